"""The texts of the two systemd units. Pure.

The socket unit opens the policy socket as root, inside Postfix's chroot; the service gets it open, and needs only the
rights of the owner of the mailboxes. Requests wait in that socket while the service restarts. docs/service.md explains
each hardening option; a few of them depend on the paths of this server (``_private``).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ...base.endpoints import ListenAddress, parse_database_url
from ...settings.config import Config
from .model import STATE_FOLDER, Host, Owner

WATCHDOG_SECONDS = 30

_HOMES = ("/home", "/root", "/run/user")
_SHARED_TEMP = ("/tmp", "/var/tmp")  # noqa: S108  names, not files of ours
# To read mail.log and the journal, and to write to Postfix's maildrop, as no program is setgid in the service.
_GROUPS = ("adm", "systemd-journal", "postdrop")

_SEALED = """\
CapabilityBoundingSet=
NoNewPrivileges=yes
UMask=0077
ProtectControlGroups=yes
ProtectProc=invisible
RemoveIPC=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown @setuid
SystemCallErrorNumber=EPERM
"""


def socket_unit(config: Config) -> str:
    """mailquota.socket: it listens on all addresses of ``policy.listen``."""
    policy = config.settings.policy
    lines = [f"ListenStream={_escaped(_listen_stream(address))}" for address in policy.listen_addresses]
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
    """mailquota.service: it runs as the owner of the mailboxes."""
    groups = [config.settings.control.group, *(name for name in _GROUPS if name in host.groups)]
    credentials = "".join(
        f"LoadCredential={name}:{_escaped(path)}\n" for name, path in sorted(host.credentials.items())
    )
    words = [*host.command, "--serve", "--config", host.settings]
    return f"""\
# Written by mailquota install. What is changed here stays at an uninstall; better: systemctl edit mailquota.service
[Unit]
Description=mailquota: mail quota policy server
Requires=mailquota.socket
After=mailquota.socket network.target remote-fs.target mariadb.service mysql.service dovecot.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={" ".join(map(_word, words))}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
WatchdogSec={WATCHDOG_SECONDS}
User={owner.user}
Group={owner.group}
SupplementaryGroups={" ".join(dict.fromkeys(filter(None, groups)))}
{credentials}RuntimeDirectory=mailquota
RuntimeDirectoryPreserve=restart
StateDirectory=mailquota
StateDirectoryMode=0750
LimitNOFILE=65536

{_hardening(config, host)}
[Install]
WantedBy=multi-user.target
"""


def _hardening(config: Config, host: Host) -> str:
    return f"ProtectSystem=strict\n{_writable(config, host)}{_private(host)}{_SEALED}"


def _writable(config: Config, host: Host) -> str:
    maildrop = f"{host.postfix.queue_directory}/maildrop"
    log = [host.dovecot_log] if host.dovecot_log else []
    paths = [config.settings.mailstore.folder, maildrop, *log, *_own_folders(config)]
    return "".join(f"ReadWritePaths=-{_escaped(path)}\n" for path in dict.fromkeys(paths))


def _own_folders(config: Config) -> list[str]:
    """Folders of databases that are files, and of the control socket, where they are not the usual ones."""
    settings = config.settings
    urls = map(parse_database_url, _databases(config))
    files = [url.path for url in urls if url.kind == "sqlite"]
    folders = [str(PurePosixPath(file).parent) for file in (*files, settings.control.socket)]
    return [folder for folder in folders if folder not in {STATE_FOLDER, "/run/mailquota"}]


def _databases(config: Config) -> list[str]:
    accounts = config.settings.accounts
    return [text for text in (accounts.database, accounts.write_database, config.settings.state.database) if text]


def _private(host: Host) -> str:
    """Hide homes and /tmp, unless the service needs a path there."""
    home = "read-only" if any(_below(place, _HOMES) for place in host.places) else "yes"
    temp = "no" if any(_below(place, _SHARED_TEMP) for place in host.places) else "yes"
    return f"ProtectHome={home}\nPrivateTmp={temp}\n"


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _escaped(text: str) -> str:
    """A path as the value of a setting in a unit, where % begins a specifier (systemd.unit(5))."""
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """A word of a command line (systemd.service(5)): quoted where it must be, and nothing is expanded."""
    plain = _escaped(text).replace("$", "$$")
    if any(char in plain for char in " \t\"'\\;"):
        plain = '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return plain
