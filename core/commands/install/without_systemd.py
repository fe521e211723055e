"""How to start mailquota and keep it running where there is no systemd. Pure."""

from __future__ import annotations

import shlex

from ...settings.config import Config
from .model import STATE_FOLDER, Host

LOG = "/var/log/mailquota.log"
STARTERS = ("/etc/cron.d/mailquota", "/etc/sv/mailquota", "/etc/init.d/mailquota")  # where the lines below go
_PASSWORDS = {  # settings, by the names of credentials
    "password": ("accounts", "password_file"),
    "write_password": ("accounts", "write_password_file"),
    "doveadm_password": ("mailstore", "doveadm_password_file"),
}


def advice(config: Config, host: Host) -> str:
    """Comments with examples, for root."""
    words = shlex.join([*host.command, "--serve", "--config", host.settings])
    logged = f"{words} >> {LOG} 2>&1"
    cron, runit, init = STARTERS
    return f"""\
# systemd does not run here, so nothing starts mailquota. One of these does; its log is {LOG} then:
#
# - cron, in {cron}:
#   @reboot root {logged.replace("%", chr(92) + "%")}
#
# - runit, in {runit}/run (and the like for s6 and daemontools); restarts it when it ends:
#   #!/bin/sh
#   exec {logged}
#
# - OpenRC or sysvinit, from a script {init}:
#   start-stop-daemon --start --background --make-pidfile --pidfile /run/mailquota.pid --startas /bin/sh -- -c {
        shlex.quote(f"exec {logged}")
    }
#
# - now, until the next boot:
#   setsid {words} </dev/null >> {LOG} 2>&1 &
#
# All of these run as root, which can open the socket in Postfix's private folder.
{_as_owner(config, host)}\
# SIGHUP reads the settings again; SIGTERM ends it.\
"""


def _as_owner(config: Config, host: Host) -> str:
    """Comments on how to run it as the owner of the mailboxes instead of root."""
    user = host.owner.user if host.owner is not None else "vmail"
    lines = [
        f"As {user}, without root, it takes this:",
        "",
        f"- another start: {user} in place of root (cron), and before the command: chpst -u {user} (runit),",
        f"  --chuid {user} (start-stop-daemon), setpriv --reuid={user} --regid={user} --init-groups (by hand);",
        "- places of its own, the first at each boot:",
        f"  install -d -o {user} /run/mailquota",
        f"  install -d -o {user} -m 0750 {STATE_FOLDER}",
        f"  install -o {user} -m 0640 /dev/null {LOG}",
    ]
    lines += _lines_for_settings(config, host, user)
    return "".join(f"# {line}".rstrip() + "\n" for line in [*lines, ""])


def _lines_for_settings(config: Config, host: Host, user: str) -> list[str]:
    lines = []
    if any(address.kind == "unix" for address in config.settings.policy.listen_addresses):
        lines += ["- Postfix's private folder is closed to it, so Postfix has to ask over TCP. In [policy]:",
                  '  listen = ["inet:127.0.0.1:12345"]']  # fmt: skip
    for name, path in sorted(host.credentials.items()):
        section, key = _PASSWORDS[name]
        own = f"/etc/mailquota/{name}"
        lines += [f"- it can't read {path}, so it needs that password, alone, in a file of its own. In [{section}]:",
                  f'  {key} = "{own}"',
                  f"  and: install -o {user} -m 0400 /dev/null {own}"]  # fmt: skip
    if host.dovecot_closed:
        lines += [f"- it can't run Dovecot's tools ({host.dovecot_closed}), and does without. In [mailstore]:",
                  '  doveadm = "off"']  # fmt: skip
    if host.unreachable:
        lines += [f"- {host.unreachable}"]
    if lines:
        lines += [f"Those settings are in {host.settings}; afterwards: mailquota install --apply"]
    return lines
