"""The files of UNIX sockets: made, owned, checked and removed, also in folders of other users.

Such a file stays behind when its server dies, and bind() fails while it exists; but another engine may be listening on
it. So a stale file is replaced, the socket of a server that answers never. To do that safely, an engine takes a lock,
tries to connect, removes the file where nobody answers, and binds and listens before it unlocks. Of two engines that
start at the same time, the second one then always finds the first one listening; without the lock it could remove the
first one's new file.

The lock is a file beside the socket that its user alone can open, so that no other one can hold it; it is removed
afterwards. It is a help among engines, not a right to go on: where it can't be had within a second, as it is held, or
is not ours, that is logged, and the work is done without it.

In the folder of another user root makes the file as that user, so that it comes into being nowhere but where he could
make it himself. Owner and mode are changed by a handle of the file, and only of the one that was made.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import logging
import os
import pwd
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import MailquotaError, SettingsError
from .others_folders import Folder, Identity, give, identity_of, opened, set_mode

log = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds for a lock
_PAUSE_SECONDS = 0.02


class AddressInUseError(MailquotaError):
    """Another server listens on the address."""


@dataclass(frozen=True)
class SocketOwner:
    """Mode, user and group of the file of a UNIX socket: they decide who may connect. No user is the engine's own.

    A name that does not exist is no error: ``bind`` returns a warning.
    """

    mode: int
    user: str = ""
    group: str = ""


def bind(path: str, owner: SocketOwner, backlog: int) -> tuple[socket.socket, str, Identity]:
    """Listen at a path: the socket, a warning about its owner or "", and the file that was made.

    Raises AddressInUseError where another server listens there, SettingsError where the path can't be used.
    """
    folder, name = os.path.split(path)
    try:
        with opened(folder) as place, _locked(place, name):
            _clear(place, name)
            return _listen(place, name, owner, backlog)
    except FileNotFoundError as error:
        raise SettingsError(f"can't listen on unix:{path}: the folder {folder} does not exist") from error
    except OSError as error:
        raise SettingsError(f"can't listen on unix:{path}: {error.strerror or error}") from error


def _listen(place: Folder, name: str, owner: SocketOwner, backlog: int) -> tuple[socket.socket, str, Identity]:
    """Nobody can connect before listen(), and by then the file has the rights that it shall have."""
    path = os.path.join(place.path, name)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), owner.mode)  # the file gets it, less the umask
        with place.as_outsider():
            sock.bind(path)
        with place.pinned(name) as made:
            found = os.fstat(made)
            _check_made(place, found)
            try:
                if found.st_uid != os.geteuid():
                    give(made, os.geteuid(), -1)
                warning = _own(made, path, owner)
                sock.listen(backlog)
            except OSError:
                place.unlink(name)
                raise
            return sock, warning, identity_of(found)
    except OSError:
        sock.close()
        raise


def _check_made(place: Folder, found: os.stat_result) -> None:
    """Raises OSError unless this is a socket of the user who made it."""
    maker = place.outsider.st_uid if place.outsider and os.geteuid() == 0 else os.geteuid()
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in {maker, os.geteuid()}:
        raise OSError(errno.EPERM, "the folder was changed by its owner meanwhile")


@contextmanager
def _locked(place: Folder, name: str) -> Iterator[None]:
    lock = f".{name}.lock"
    handle = _lock(place, lock)
    try:
        yield
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                place.unlink(lock)
            os.close(handle)


def _lock(place: Folder, name: str) -> int | None:
    """A handle of the locked file; None where it can't be had in time, which is logged."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            handle = place.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:  # where no file can be made, bind() tells why
            if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
                log.warning("%s/%s is not the lock of an engine; it is done without", place.path, name)
            return None
        if not _is_ours(os.fstat(handle)):
            os.close(handle)
            log.warning("%s/%s belongs to another user; it is done without that lock", place.path, name)
            return None
        if _try(place, name, handle):
            return handle
        os.close(handle)
        if time.monotonic() > until:
            log.warning("%s/%s is held by another process since %g s; it is done without", place.path, name, PATIENCE)
            return None
        time.sleep(_PAUSE_SECONDS)


def _is_ours(found: os.stat_result) -> bool:
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink <= 1  # 0: its last holder has just removed it
    return plain and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _try(place: Folder, name: str, handle: int) -> bool:
    """Whether the lock is ours now, and its file has not been removed by the one who held it before."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(place.look(name), os.fstat(handle))
    except OSError:
        return False


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


def _clear(place: Folder, name: str) -> None:
    """Remove the file of a socket that nobody listens on; the lock is held.

    Raises AddressInUseError where a server answers, SettingsError for a file that is no socket.
    """
    path = os.path.join(place.path, name)
    try:
        found = place.look(name)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SettingsError(f"can't listen on unix:{path}: there is a file that is not a socket")
    if answers(f"/proc/self/fd/{place.handle}/{name}"):
        raise AddressInUseError(f"can't listen on unix:{path}: another server answers there")
    place.unlink(name)


def _own(made: int, path: str, owner: SocketOwner) -> str:
    """Set mode and owner of a socket file by its handle. Returns a warning or "".

    Only root may change the owner; for other users the file stays theirs.
    """
    set_mode(made, owner.mode)
    try:
        uid = pwd.getpwnam(owner.user).pw_uid if owner.user else -1
        gid = grp.getgrnam(owner.group).gr_gid if owner.group else -1
    except KeyError:
        kind = "user" if owner.user else "group"
        return f"{path}: there is no {kind} {owner.user or owner.group}; it stays the engine's"
    try:
        give(made, uid, gid)
    except PermissionError:
        return f"{path}: only root can give the socket to {owner.user or owner.group}; it stays the engine's"
    return ""


def own_again(path: str, ours: Identity, owner: SocketOwner) -> str:
    """Set mode and owner of the file that was made as ``ours``; a warning where another one is in its place, or "".

    Raises OSError.
    """
    with _ours(path, ours) as made:
        return _replaced(path) if made is None else _own(made, path, owner)


def give_to(path: str, ours: Identity, user: int) -> str:
    """Change the owner of the file that was made as ``ours``, as ``own_again`` does."""
    with _ours(path, ours) as made:
        if made is None:
            return _replaced(path)
        give(made, user, -1)
    return ""


def _replaced(path: str) -> str:
    return f"{path} is not the socket that this engine made there, so no client reaches it: start the engine anew"


@contextmanager
def _ours(path: str, ours: Identity) -> Iterator[int | None]:
    folder, name = os.path.split(path)
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(opened(folder))
            made = stack.enter_context(place.pinned(name))
        except FileNotFoundError:
            yield None
            return
        found = os.fstat(made)
        yield made if identity_of(found) == ours and stat.S_ISSOCK(found.st_mode) else None


def identity(path: str) -> Identity | None:
    """Device and inode of a socket file. None where there is none."""
    folder, name = os.path.split(path)
    try:
        with opened(folder) as place:
            found = place.look(name)
    except OSError:
        return None
    return identity_of(found) if stat.S_ISSOCK(found.st_mode) else None


def remove(path: str, ours: Identity) -> None:
    """Remove the file of the socket with the identity ``ours``; one that another engine put in its place stays.

    To be called before the socket is closed: only while it is open can its inode be no other file's.
    """
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError), opened(folder) as place, _locked(place, name):
        if identity_of(place.look(name)) == ours:
            place.unlink(name)
