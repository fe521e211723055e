"""How to keep mailquota running where there is no systemd. Pure."""

from __future__ import annotations

import shlex

from core.config import Config
from core.install.model import Host


def advice(config: Config, host: Host) -> str:
    """Comments and examples for root."""
    words = shlex.join([*host.command, "--serve", "--config", host.settings])
    user = host.owner.user if host.owner is not None else "vmail"
    rights = (
        f"# As {user}, without root: Postfix's private folder is closed to it, so let Postfix ask over TCP:\n"
        '#   listen = ["inet:127.0.0.1:12345"] in [policy] of the settings, then mailquota install --apply again.\n'
        if any(address.kind == "unix" for address in config.settings.policy.listen_addresses)
        else ""
    )
    return f"""\
# systemd does not run here, so nothing starts mailquota. One of these does:
#
# - cron, in /etc/cron.d/mailquota:
#   @reboot root {words} 2>&1 | logger -t mailquota -p mail.info
#
# - runit, in /etc/sv/mailquota/run (and the like for s6 and daemontools); restarts it when it ends:
#   #!/bin/sh
#   exec {words} 2>&1
#
# - OpenRC or sysvinit, from a script in /etc/init.d:
#   start-stop-daemon --start --background --make-pidfile --pidfile /run/mailquota.pid --exec {host.command[0]} -- {
        shlex.join([*host.command[1:], "--serve", "--config", host.settings])
    }
#
# - now, until the next boot:
#   setsid {words} </dev/null >/dev/null 2>&1 &
#
# All of these run as root, which can open the socket in Postfix's private folder.
{rights}# SIGHUP reads the settings again; SIGTERM ends it.\
"""
