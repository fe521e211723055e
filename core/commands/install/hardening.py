"""What the service unit shuts: rights, paths, system calls, memory. Pure.

docs/service.md explains each option; a few of them depend on the paths of this server.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ...base.endpoints import parse_database_url
from ...settings.config import Config
from .model import STATE_FOLDER, Host

_HOMES = ("/home", "/root", "/run/user")
_SHARED_TEMP = ("/tmp", "/var/tmp")  # noqa: S108  names, not files of ours

# Bytes for the engine and all programs that it runs, and the number of its threads and of theirs: docs/service.md has
# what was measured. Where the kernel ends one of these programs for want of memory, the engine goes on.
_BOUNDS = """\
MemoryMax=2G
TasksMax=512
OOMPolicy=continue
LimitCORE=0
"""
_SEALED = """\
CapabilityBoundingSet=
NoNewPrivileges=yes
UMask=0077
ProtectControlGroups=yes
ProtectProc=invisible
RemoveIPC=yes
PrivateIPC=yes
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
SystemCallFilter=~@privileged @resources @keyring @aio
SystemCallFilter=@chown @setuid
SystemCallErrorNumber=EPERM
"""


def hardening(config: Config, host: Host) -> str:
    """The lines of the service unit. Where a helper works in the mailboxes, the engine can't write there."""
    log = [host.dovecot_log] if host.dovecot_log else []
    mailboxes = [] if config.settings.mailstore.helper else [config.settings.mailstore.folder, *log]
    return _lines(config, host, [*mailboxes, _maildrop(host), *_own_folders(config)])


def helper_hardening(config: Config, host: Host) -> str:
    """The lines of the helper's unit: it can write mailboxes, and a log of Dovecot."""
    mailstore = config.settings.mailstore
    folder = str(PurePosixPath(mailstore.helper).parent)
    socket = [] if folder.startswith("/run/") else [folder]
    return _lines(config, host, [mailstore.folder, *([host.dovecot_log] if host.dovecot_log else []), *socket])


def _lines(config: Config, host: Host, writable: list[str]) -> str:
    return f"{_BOUNDS}ProtectSystem=strict\n{_writable(writable)}{_not_run(config, host)}{_private(host)}{_SEALED}"


def _writable(found: list[str]) -> str:
    paths = dict.fromkeys(found)
    # systemd forgets NoExecPaths= of a folder that is named here and lies below another one that is.
    tops = [path for path in paths if not any(_below(path, (other,)) for other in paths if other != path)]
    return "".join(f"ReadWritePaths=-{escaped(path)}\n" for path in tops)


def _maildrop(host: Host) -> str:
    return f"{host.postfix.queue_directory}/maildrop"


def _own_folders(config: Config) -> list[str]:
    """Folders of databases that are files, of the control socket and the recordings, where not the usual ones."""
    settings = config.settings
    urls = map(parse_database_url, _databases(config))
    files = [url.path for url in urls if url.kind == "sqlite"]
    folders = [str(PurePosixPath(file).parent) for file in (*files, settings.control.socket)]
    folders += [settings.state.recordings_folder] if settings.state.recordings_folder else []
    return [folder for folder in folders if folder not in {STATE_FOLDER, "/run/mailquota"}]


def _databases(config: Config) -> list[str]:
    accounts = config.settings.accounts
    return [text for text in (accounts.database, accounts.write_database, config.settings.state.database) if text]


def _not_run(config: Config, host: Host) -> str:
    """What can be written is not run, unless mailquota itself is there."""
    folders = (config.settings.mailstore.folder, _maildrop(host), STATE_FOLDER)
    places = [place for place in host.places if place != config.settings.mailstore.folder]
    shut = [folder for folder in folders if not any(_below(place, (folder,)) for place in places)]
    return "".join(f"NoExecPaths=-{escaped(folder)}\n" for folder in shut)


def _private(host: Host) -> str:
    """Hide homes and /tmp, unless the service needs a path there."""
    home = "read-only" if any(_below(place, _HOMES) for place in host.places) else "yes"
    temp = "no" if any(_below(place, _SHARED_TEMP) for place in host.places) else "yes"
    return f"ProtectHome={home}\nPrivateTmp={temp}\n"


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def escaped(text: str) -> str:
    """A path as the value of a setting in a unit, where % begins a specifier (systemd.unit(5))."""
    return text.replace("%", "%%")
