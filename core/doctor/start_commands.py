"""Commands for a root shell that start mailquota, Postfix, Dovecot and the database, by systemd if it runs. Pure."""

from __future__ import annotations

import shlex
from typing import Literal

from .dovecot.common import DEFAULT_FILE, doveadm
from .model import Facts


def start(facts: Facts) -> str:
    """The commands that start mailquota now and at each boot."""
    return "systemctl enable --now mailquota" if facts.host.installed else _install(facts)


def restart(facts: Facts) -> str:
    """The commands for an engine that is down or does not answer."""
    return "systemctl restart mailquota" if facts.host.installed else _install(facts)


def reopen(facts: Facts) -> str:
    """The commands for a policy socket whose file is missing.

    systemd keeps the socket open, so that a restart of the service alone would not create the file again.
    """
    if not facts.host.installed:
        return _install(facts)
    units = "mailquota.socket mailquota.service"
    return f"systemctl stop {units}\nsystemctl start {units}"


def _install(facts: Facts) -> str:
    if facts.host.engine.running:
        return "# stop the mailquota that runs here, and start it again"
    if facts.host.systemd:
        return "mailquota install --apply"
    return "# systemd does not run here; this prints how to keep mailquota running without it:\nmailquota install"


def postfix(facts: Facts) -> str:
    """The command that starts Postfix."""
    return "systemctl start postfix" if facts.host.systemd else "postfix start"


def dovecot(facts: Facts, verb: Literal["start", "restart"]) -> str:
    """The command that starts or restarts the Dovecot whose settings were examined.

    A restart first checks the settings: a Dovecot that would not start again with them is not stopped.
    """
    file = facts.dovecot.config_file
    option = "" if file == DEFAULT_FILE else f" -c {shlex.quote(file)}"
    if facts.host.systemd and not option:
        command = f"systemctl {verb} dovecot"
    elif verb == "start":
        command = f"dovecot{option}"
    else:
        command = f"{doveadm(facts.dovecot)} stop || true; dovecot{option}"
    return command if verb == "start" else f"doveconf{option} -n > /dev/null && {{ {command}; }}"


def database(facts: Facts) -> str:
    """The command that starts MariaDB or MySQL, whichever is installed."""
    if facts.host.systemd:
        return "systemctl start mariadb || systemctl start mysql"
    return "service mariadb start || service mysql start"
