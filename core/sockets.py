"""Listening sockets: bound, inherited, or handed over; a stale file is replaced, a live engine's never.

To take the place of a socket file, an engine locks the folder it lies in (flock; nothing is left behind), asks whether
anybody answers there, and binds and listens before it lets go. So of two engines that start at once the second always
finds the first one listening.
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.endpoints import ListenAddress
from core.errors import MailquotaError, SettingsError

BACKLOG = 1024
LISTEN_FDS_START = 3  # sd_listen_fds(3)


class AddressInUseError(MailquotaError):
    """Somebody answers there already."""


@dataclass(frozen=True)
class Owner:
    """Who may connect to a unix socket. Names that do not exist are reported by ``bind``'s return, not raised."""

    mode: int
    user: str = ""
    group: str = ""


def bind(address: ListenAddress, owner: Owner | None = None) -> tuple[socket.socket, str]:
    """A listening socket, and a warning or "".

    Raises AddressInUseError where a live server answers, SettingsError where the place can't be used.
    """
    if address.kind == "unix":
        return _bind_unix(address.path, owner or Owner(0o600))
    return _bind_inet(address), ""


def _bind_inet(address: ListenAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        kind = AddressInUseError if error.errno == 98 else SettingsError
        raise kind(f"can't listen on {address}: {error.strerror or error}") from error
    return sock


def _bind_unix(path: str, owner: Owner) -> tuple[socket.socket, str]:
    folder = os.path.dirname(path)
    try:
        with _locked(folder):
            _clear(path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.bind(path)
                warning = _own(path, owner)
                sock.listen(BACKLOG)
            except OSError:
                sock.close()
                raise
    except FileNotFoundError as error:
        raise SettingsError(f"can't listen on unix:{path}: the folder {folder} does not exist") from error
    except OSError as error:
        raise SettingsError(f"can't listen on unix:{path}: {error.strerror or error}") from error
    return sock, warning


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def answers(path: str) -> bool:
    """Whether a server accepts connections on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except (BlockingIOError, TimeoutError):  # a full backlog: busy, so alive
            return True
        return True


def _clear(path: str) -> None:
    """Make room for a new socket file; only a socket that nobody listens on is removed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SettingsError(f"can't listen on unix:{path}: there is a file that is not a socket")
    if answers(path):
        raise AddressInUseError(f"can't listen on unix:{path}: another server answers there")
    os.unlink(path)


def _own(path: str, owner: Owner) -> str:
    """Mode and owner before anybody can connect. Only root gives files away; others keep their own with a warning."""
    os.chmod(path, owner.mode)
    try:
        uid = pwd.getpwnam(owner.user).pw_uid if owner.user else -1
        gid = grp.getgrnam(owner.group).gr_gid if owner.group else -1
    except KeyError:
        return f"{path}: there is no {'user' if owner.user else 'group'} {owner.user or owner.group}; it stays ours"
    try:
        os.chown(path, uid, gid)
    except PermissionError:
        return f"{path}: only root can give the socket to {owner.user or owner.group}; it stays ours"
    return ""


def remove(path: str) -> None:
    """Take the file of a socket of ours away at the end."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def name_of(sock: socket.socket) -> str:
    """A bound socket in the form of the settings."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    return str(ListenAddress("inet", host=name[0], port=name[1]))


def inherited(environ: dict[str, str]) -> dict[str, socket.socket]:
    """The listening sockets that systemd or an engine before us passed on, by address (LISTEN_FDS, LISTEN_PID)."""
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        meant_for = int(environ.get("LISTEN_PID", "0"))
    except ValueError:
        return {}
    if meant_for not in {0, os.getpid()}:
        return {}
    return dict(_take(range(LISTEN_FDS_START, LISTEN_FDS_START + count)))


def _take(handles: Iterable[int]) -> Iterator[tuple[str, socket.socket]]:
    for handle in handles:
        os.set_inheritable(handle, False)
        try:
            sock = socket.socket(fileno=handle)
        except OSError:
            continue
        yield name_of(sock), sock
