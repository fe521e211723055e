"""Listening sockets: bound, passed on by systemd, or handed over by another engine.

The file of a UNIX socket stays behind when its server dies, and bind() fails while it exists; but another engine may be
listening on it. So a stale file is replaced, the socket of a server that answers never. To do that safely, an engine
locks the folder of the file (flock, which leaves nothing behind), tries to connect, removes the file where nobody
answers, and binds and listens before it unlocks. Of two engines that start at the same time, the second one then always
finds the first one listening; without the lock it could remove the first one's new file.
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

from .endpoints import ListenAddress
from .errors import MailquotaError, SettingsError

log = logging.getLogger(__name__)

BACKLOG = 1024
MOST_FILES = 65536  # not more: some programs that are started from here go through all descriptors up to the limit
LISTEN_FDS_START = 3  # sd_listen_fds(3)


class AddressInUseError(MailquotaError):
    """Another server listens on the address."""


@dataclass(frozen=True)
class SocketOwner:
    """Mode, user and group of the file of a UNIX socket: they decide who may connect.

    A name that does not exist is no error: ``bind`` returns a warning.
    """

    mode: int
    user: str = ""
    group: str = ""


def bind(address: ListenAddress, owner: SocketOwner | None = None) -> tuple[socket.socket, str]:
    """Listen on an address: the socket, and a warning about its owner or "".

    Raises AddressInUseError where another server listens there, SettingsError where the address can't be used.
    """
    if address.kind == "unix":
        return _bind_unix(address.path, owner or SocketOwner(0o600))
    return _bind_inet(address), ""


def _bind_inet(address: ListenAddress) -> socket.socket:
    """[::] takes IPv6 only and 0.0.0.0 IPv4 only, so that the settings can name both, as in Postfix and Dovecot."""
    try:
        return socket.create_server((address.host, address.port), family=_family(address), backlog=BACKLOG)
    except UnicodeError as error:  # a label of a host name with more than 63 characters
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
    """Whether a server accepts connections on a UNIX socket. Blocks for a second at most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except (BlockingIOError, TimeoutError):  # its backlog is full: it is busy, but alive
            return True
        return True


def _clear(path: str) -> None:
    """Remove the file of a socket that nobody listens on; the lock on its folder is held.

    Raises AddressInUseError where a server answers, SettingsError for a file that is no socket.
    """
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
    """Set mode and owner of a socket file, before listen() lets clients connect. Returns a warning or "".

    Only root may change the owner; for other users the file stays theirs.
    """
    os.chmod(path, owner.mode)
    try:
        uid = pwd.getpwnam(owner.user).pw_uid if owner.user else -1
        gid = grp.getgrnam(owner.group).gr_gid if owner.group else -1
    except KeyError:
        kind = "user" if owner.user else "group"
        return f"{path}: there is no {kind} {owner.user or owner.group}; it stays the engine's"
    try:
        os.chown(path, uid, gid)
    except PermissionError:
        return f"{path}: only root can give the socket to {owner.user or owner.group}; it stays the engine's"
    return ""


Identity = tuple[int, int]


def identity(path: str) -> Identity | None:
    """Device and inode of a socket file: they differ for a new file of the same name. None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def remove(path: str, ours: Identity) -> None:
    """Remove the file of the socket with the identity ``ours``; one that another engine put in its place stays.

    To be called before the socket is closed: only while it is open can its inode be no other file's.
    """
    with contextlib.suppress(OSError), _locked(os.path.dirname(path)):
        if identity(path) == ours:
            os.unlink(path)


def allow_many() -> None:
    """Raise the limit of open files (RLIMIT_NOFILE) to at most MOST_FILES: each client takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def name_of(sock: socket.socket) -> str:
    """The address of a bound socket in the form that ``canonical`` gives; "" for a socket of another kind."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return canonical(ListenAddress("unix", path=name)) if isinstance(name, str) and name else ""
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        return str(ListenAddress("inet", host=name[0], port=name[1]))
    return ""


def canonical(address: ListenAddress) -> str:
    """An address with symbolic links resolved and the host as a number, so that equal addresses give equal texts."""
    if address.kind == "unix":
        folder, name = os.path.split(address.path)
        return f"unix:{os.path.join(os.path.realpath(folder), name)}"
    try:
        found = socket.getaddrinfo(address.host, address.port, _family(address), socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return str(address)
    return str(ListenAddress("inet", host=str(found[0][4][0]), port=address.port))


class InheritedSockets(NamedTuple):
    """Listening sockets by canonical address. ``foreign`` are those whose files this engine must not remove."""

    sockets: dict[str, socket.socket]
    foreign: frozenset[str]


def inherited(environ: dict[str, str]) -> InheritedSockets:
    """The sockets that systemd passed on (LISTEN_FDS, LISTEN_PID; sd_listen_fds(3)). Their files are systemd's."""
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
            log.warning("LISTEN_FDS: descriptor %d is not a socket: %s", handle, error.strerror or error)
            return
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield name_of(sock), sock
        else:
            log.warning("LISTEN_FDS: descriptor %d does not listen", handle)
            sock.detach()
