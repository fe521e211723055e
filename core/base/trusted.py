"""Files that decide what mailquota does: settings, and templates. As sudo and sshd do, root takes none that others
may change.

Looked at are the file and each folder on its path, also on that of a link. All have to be root's, and nobody else may
write them; a folder in which others may write has to be sticky, as /tmp is. The file is read by the handle that was
looked at. Other users than root decide for themselves.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat

from . import guarded
from .others_folders import FOREIGN_LINK, walk

_ACL = "system.posix_acl_access"
_OTHERS, _GROUP = 0o002, 0o020
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class UntrustedError(Exception):
    """Somebody else may change the file, or a folder on its way; ``fix`` is a command that ends that."""

    def __init__(self, path: str, text: str, fix: str) -> None:
        super().__init__(f"{path} {text}")
        self.fix = fix


def read_trusted(path: str, most: int) -> bytes:
    """The first ``most`` bytes of a plain file. Raises UntrustedError, where this is root, and OSError."""
    with open(_open(path), "rb") as file:
        _check_kind(file.fileno())
        return file.read(most)


def distrust(path: str) -> UntrustedError | None:
    """Why root does not take what is at ``path``, whoever asks; None where it does. Raises OSError."""
    try:
        os.close(_pinned(path))
    except UntrustedError as error:
        return error
    return None


def _open(path: str) -> int:
    if os.geteuid() != 0:
        return os.open(path, _READ)
    pinned = _pinned(path)
    try:
        _check_kind(pinned)
        return os.open(f"/proc/self/fd/{pinned}", _READ)
    finally:
        os.close(pinned)


def _pinned(path: str) -> int:
    try:
        return walk(path, _visit)[0]
    except PermissionError as error:
        if error.strerror != FOREIGN_LINK:
            raise
        link = str(error.filename)
        raise UntrustedError(link, "is a link of another user", guarded.without_link(_straight(link))) from None


def _check_kind(handle: int) -> None:
    mode = os.fstat(handle).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):  # a device has no end, and a named pipe waits for a writer
        raise OSError(errno.EINVAL, "is not a file")


def _visit(handle: int, path: str) -> None:
    found = os.fstat(handle)
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
        return  # it is not read
    if found.st_uid != 0:
        raise UntrustedError(
            path, f"belongs to {_user(found.st_uid)}, who may change it", _fix(path, guarded.owner_to("root"))
        )
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return
    if found.st_mode & _OTHERS:
        raise UntrustedError(path, "may be written by everybody", _fix(path, guarded.mode_by("root", "go-w")))
    if found.st_mode & _GROUP and not _is_roots_group(handle, found.st_gid):
        raise UntrustedError(
            path, f"may be written by {_group(found.st_gid)}", _fix(path, guarded.mode_by("root", "g-w"))
        )


def _fix(path: str, step: str) -> str:
    return guarded.line(_straight(path), step)


def _straight(path: str) -> str:
    """The path without links above its end. The folders there were looked at before, so only root could change them."""
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _is_roots_group(handle: int, group: int) -> bool:
    """Whether root alone is in the group. With an access list the group's bits are those of others, too."""
    with contextlib.suppress(OSError):
        if os.getxattr(f"/proc/self/fd/{handle}", _ACL):
            return False
    try:
        return group == 0 and not set(grp.getgrgid(0).gr_mem) - {"root"}
    except KeyError:
        return True


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return f"the group {grp.getgrgid(number).gr_name}"
    except KeyError:
        return f"the group {number}"
