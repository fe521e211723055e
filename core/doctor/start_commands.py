"""What starts the servers of this machine, as text for a shell of root: by systemd where that runs. Pure."""

from __future__ import annotations

import shlex
from typing import Literal

from mailquota.core.doctor.dovecot.common import DEFAULT_FILE, doveadm
from mailquota.core.doctor.model import Facts


def start(facts: Facts) -> str:
    """mailquota, from now on and at each boot."""
    return "systemctl enable --now mailquota" if facts.host.installed else _install(facts)


def restart(facts: Facts) -> str:
    """mailquota, for an engine that is away, or does not answer."""
    return "systemctl restart mailquota" if facts.host.installed else _install(facts)


def reopen(facts: Facts) -> str:
    """mailquota, for a policy socket whose file is gone: systemd holds it, so a restart of the service makes none."""
    if not facts.host.installed:
        return _install(facts)
    units = "mailquota.socket mailquota.service"
    return f"systemctl stop {units}\nsystemctl start {units}"


def _install(facts: Facts) -> str:
    if facts.host.engine.running:
        return "# end the mailquota that runs here, and start it again"
    if facts.host.systemd:
        return "mailquota install --apply"
    return "# systemd does not run here; what keeps mailquota running without it, says:\nmailquota install"


def postfix(facts: Facts) -> str:
    """One that does not run."""
    return "systemctl start postfix" if facts.host.systemd else "postfix start"


def dovecot(facts: Facts, verb: Literal["start", "restart"]) -> str:
    """The one whose settings were looked at. One that would not start again with them is not stopped."""
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
    """One of this machine, of either name."""
    if facts.host.systemd:
        return "systemctl start mariadb || systemctl start mysql"
    return "service mariadb start || service mysql start"
