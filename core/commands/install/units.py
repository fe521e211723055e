"""The texts of the two systemd units. Pure.

The socket unit opens the policy socket as root, inside Postfix's chroot; the service gets it open, and needs only the
rights of the owner of the mailboxes. Requests wait in that socket while the service restarts. What the service may not
do is in hardening.py.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ...base.endpoints import ListenAddress
from ...settings.config import Config
from .hardening import escaped, hardening, helper_hardening
from .model import Host, Owner

WATCHDOG_SECONDS = 30
HELPER = "mailquota-helper.service"

# To read mail.log and the journal, and to write to Postfix's maildrop, as no program is setgid in the service.
_GROUPS = ("adm", "systemd-journal", "postdrop")


def socket_unit(config: Config) -> str:
    """mailquota.socket: it listens on all addresses of ``policy.listen``."""
    policy = config.settings.policy
    lines = [f"ListenStream={escaped(_listen_stream(address))}" for address in policy.listen_addresses]
    if any(address.kind == "unix" for address in policy.listen_addresses):
        lines += [f"SocketUser={policy.socket_user}"] if policy.socket_user else []
        lines += [f"SocketMode={policy.socket_mode}"]
    text = "\n".join(lines)
    return f"""\
# Written by mailquota install. What is changed here stays at an uninstall; better: systemctl edit mailquota.socket
[Unit]
Description=mailquota: where Postfix asks
Before=postfix.service

[Socket]
{text}
Backlog=1024
BindIPv6Only=ipv6-only
RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"""


def _listen_stream(address: ListenAddress) -> str:
    return address.path if address.kind == "unix" else str(address).removeprefix("inet:")


def service_unit(config: Config, host: Host, owner: Owner) -> str:
    """mailquota.service: it runs as the owner of the mailboxes, or as the engine's own user beside a helper."""
    groups = [config.settings.control.group, *(name for name in _GROUPS if name in host.groups)]
    credentials = "".join(f"LoadCredential={name}:{escaped(path)}\n" for name, path in sorted(host.credentials.items()))
    words = [*host.command, "--serve", "--config", host.settings]
    helper = f" {HELPER}" if config.settings.mailstore.helper else ""
    runs_as = f"User={config.settings.mailstore.engine_user}" if helper else f"User={owner.user}\nGroup={owner.group}"
    return f"""\
# Written by mailquota install. What is changed here stays at an uninstall; better: systemctl edit mailquota.service
[Unit]
Description=mailquota: mail quota policy server
Requires=mailquota.socket
{f"Wants={HELPER}" + chr(10) if helper else ""}\
After=mailquota.socket{helper} network.target remote-fs.target mariadb.service mysql.service dovecot.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={" ".join(map(_word, words))}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
WatchdogSec={WATCHDOG_SECONDS}
{runs_as}
SupplementaryGroups={" ".join(dict.fromkeys(filter(None, groups)))}
{credentials}RuntimeDirectory=mailquota
RuntimeDirectoryPreserve=restart
StateDirectory=mailquota
StateDirectoryMode=0750
LimitNOFILE=65536

{hardening(config, host)}
[Install]
WantedBy=multi-user.target
"""


def helper_unit(config: Config, host: Host, owner: Owner) -> str:
    """mailquota-helper.service: it runs as the owner of the mailboxes, for an engine that has a user of its own."""
    words = [*host.command, "--helper", "--config", host.settings]
    folder = PurePosixPath(config.settings.mailstore.helper).parent
    runtime = folder.relative_to("/run") if folder.is_relative_to("/run/") and folder != PurePosixPath("/run") else ""
    return f"""\
# Written by mailquota install. What is changed here stays at an uninstall; better: systemctl edit {HELPER}
[Unit]
Description=mailquota: works in mailboxes for the engine
After=network.target remote-fs.target dovecot.service
StopWhenUnneeded=yes
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={" ".join(map(_word, words))}
Restart=always
RestartSec=1
WatchdogSec={WATCHDOG_SECONDS}
User={owner.user}
Group={owner.group}
{f"RuntimeDirectory={escaped(str(runtime))}" + chr(10) if runtime else ""}\
LimitNOFILE=65536

{helper_hardening(config, host)}"""


def _word(text: str) -> str:
    """A word of a command line (systemd.service(5)): quoted where it must be, and nothing is expanded."""
    plain = escaped(text).replace("$", "$$")
    if any(char in plain for char in " \t\"'\\;"):
        plain = '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return plain
