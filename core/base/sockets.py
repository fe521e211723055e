"""Listening sockets: bound, inherited, or handed over; a stale file is replaced, a live engine's never.

To take the place of a socket file, an engine locks the folder it lies in (flock; nothing is left behind), asks whether
anybody answers there, and binds and listens before it lets go. So of two engines that start at once the second always
finds the first one listening.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import resource
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from mailquota.core.base.endpoints import ListenAddress
from mailquota.core.base.errors import MailquotaError, SettingsError

log = logging.getLogger(__name__)

BACKLOG = 1024
MOST_FILES = 65536  # programs that we start may look at each descriptor up to the limit
LISTEN_FDS_START = 3  # sd_listen_fds(3)


class AddressInUseError(MailquotaError):
    """Somebody answers there already."""


@dataclass(frozen=True)
class SocketOwner:
    """Who may connect to a unix socket. Names that do not exist are reported by ``bind``'s return, not raised."""

    mode: int
    user: str = ""
    group: str = ""


def bind(address: ListenAddress, owner: SocketOwner | None = None) -> tuple[socket.socket, str]:
    """A listening socket, and a warning or "".

    Raises AddressInUseError where a live server answers, SettingsError where the place can't be used.
    """
    if address.kind == "unix":
        return _bind_unix(address.path, owner or SocketOwner(0o600))
    return _bind_inet(address), ""


def _bind_inet(address: ListenAddress) -> socket.socket:
    """[::] is IPv6 alone and 0.0.0.0 is IPv4 alone, so that both can be named, as in Postfix and Dovecot."""
    try:
        return socket.create_server((address.host, address.port), family=_family(address), backlog=BACKLOG)
    except UnicodeError as error:  # a part of a host name with more than 63 letters
        raise SettingsError(f"can't listen on {address}: not a host name") from error
    except OSError as error:
        kind = AddressInUseError if error.errno == errno.EADDRINUSE else SettingsError
        reason = (error.strerror or str(error)).partition(" (while")[0]  # what create_server adds
        raise kind(f"can't listen on {address}: {reason}") from error


def _family(address: ListenAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def _bind_unix(path: str, owner: SocketOwner) -> tuple[socket.socket, str]:
    folder = os.path.dirname(path)
    try:
        with _locked(folder):
            _clear(path)
            sock, warning = _listen_unix(path, owner)
    except FileNotFoundError as error:
        raise SettingsError(f"can't listen on unix:{path}: the folder {folder} does not exist") from error
    except OSError as error:
        raise SettingsError(f"can't listen on unix:{path}: {error.strerror or error}") from error
    return sock, warning


def _listen_unix(path: str, owner: SocketOwner) -> tuple[socket.socket, str]:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        try:
            warning = own(path, owner)
            sock.listen(BACKLOG)
        except OSError:
            os.unlink(path)
            raise
    except OSError:
        sock.close()
        raise
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


def own(path: str, owner: SocketOwner) -> str:
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


Identity = tuple[int, int]


def identity(path: str) -> Identity | None:
    """What tells one socket file from another one of the same name; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(path: str, ours: Identity) -> None:
    """Take the file of a socket of ours away at the end; one that another engine put in its place stays.

    Call it before the socket is closed: while it is open its inode can't be another file's.
    """
    with contextlib.suppress(OSError), _locked(os.path.dirname(path)):
        if identity(path) == ours:
            os.unlink(path)


def allow_many() -> None:
    """Each client is a descriptor: take as many as we may and can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def name_of(sock: socket.socket) -> str:
    """A bound socket in the form of the settings, as ``canonical`` would write it; "" where it has no such name."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return canonical(ListenAddress("unix", path=name)) if isinstance(name, str) and name else ""
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        return str(ListenAddress("inet", host=name[0], port=name[1]))
    return ""


def canonical(address: ListenAddress) -> str:
    """An address with links followed and the host as a number: two ways to write one place give one text."""
    if address.kind == "unix":
        folder, name = os.path.split(address.path)
        return f"unix:{os.path.join(os.path.realpath(folder), name)}"
    try:
        found = socket.getaddrinfo(address.host, address.port, _family(address), socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return str(address)
    return str(ListenAddress("inet", host=str(found[0][4][0]), port=address.port))


class InheritedSockets(NamedTuple):
    """Listening sockets by their addresses, and those among them whose files are not ours to remove."""

    sockets: dict[str, socket.socket]
    foreign: frozenset[str]


def inherited(environ: dict[str, str]) -> InheritedSockets:
    """What systemd passed on (LISTEN_FDS, LISTEN_PID), by canonical addresses; all of it is foreign."""
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        meant_for = int(environ.get("LISTEN_PID", "0"))
    except ValueError:
        count = meant_for = 0
    wanted = count if meant_for in {0, os.getpid()} else 0
    found = dict(_take(range(LISTEN_FDS_START, LISTEN_FDS_START + wanted)))
    return InheritedSockets(found, frozenset(found))


def _take(handles: Iterable[int]) -> Iterator[tuple[str, socket.socket]]:
    for handle in handles:
        try:
            os.set_inheritable(handle, False)
            sock = socket.socket(fileno=handle)
        except OSError as error:
            log.warning("LISTEN_FDS: descriptor %d is no socket: %s", handle, error.strerror or error)
            return
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield name_of(sock), sock
        else:
            log.warning("LISTEN_FDS: descriptor %d does not listen", handle)
            sock.detach()
