"""Owner, group, mode and kind of files, folders and sockets, and what these let a user do.

``look`` and ``folders_above`` read the file system. ``allows`` is pure and judges by owner, group and mode. Where a
file has an access list (acl(5)), its mode does not tell, and nothing is judged.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Literal

import msgspec

READ, WRITE, ENTER = 4, 2, 1
_ACL = "system.posix_acl_access"

Kind = Literal["missing", "closed", "socket", "file", "folder", "other"]


class PathFacts(msgspec.Struct, frozen=True):
    """A file as stat() shows it. ``mode`` are the permission bits; ``acl``: it has an access list; size in bytes.

    ``kind`` is ``closed`` where this user can't look at it, as in a folder that it may not enter; ``fault`` says why.
    """

    path: str
    kind: Kind = "missing"
    mode: int = 0
    uid: int = -1
    gid: int = -1
    owner: str = ""
    group: str = ""
    acl: bool = False
    size: int = 0
    fault: str = ""

    @property
    def rights(self) -> str:
        """Owner, group and mode for a message: ``root:root 0644``."""
        return f"{self.owner}:{self.group} {self.mode:04o}"


class UserFacts(msgspec.Struct, frozen=True):
    """A user with the numbers of all of its groups."""

    name: str
    uid: int
    gids: tuple[int, ...]


def look(path: str, *, follow: bool = True) -> PathFacts:
    """The facts of a path. A symbolic link is followed unless ``follow`` is false. Raises nothing."""
    try:
        found = os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return PathFacts(path)
    except (OSError, ValueError) as error:
        return PathFacts(path, "closed", fault=f"{path}: {getattr(error, 'strerror', None) or error}")
    return PathFacts(
        path,
        kind=_kind(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        owner=user_name(found.st_uid),
        group=group_name(found.st_gid),
        acl=_has_acl(path),
        size=found.st_size,
    )


def folders_above(path: str) -> tuple[PathFacts, ...]:
    """All folders above an absolute path, from / on."""
    parts = os.path.dirname(os.path.abspath(path)).strip("/").split("/")
    names = ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)) if parts[0])]
    return tuple(look(name) for name in names)


def user(name: str) -> UserFacts | None:
    """A user by name; None where there is none."""
    try:
        entry = pwd.getpwnam(name)
        return UserFacts(name, entry.pw_uid, tuple(os.getgrouplist(name, entry.pw_gid)))
    except (KeyError, OSError, ValueError):
        return None


def group_id(name: str) -> int | None:
    """The number of a group; None where there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def user_name(uid: int) -> str:
    """The name of a user, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group, or its number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def allows(path: PathFacts, who: UserFacts, right: int) -> bool | None:
    """Whether a user has a right (READ, WRITE, ENTER); None where the path has an access list.

    As in the kernel, the first of owner, group and others that applies to the user decides alone.
    """
    if who.uid == 0:
        return True
    if path.acl:
        return None
    if path.uid == who.uid:
        return bool(path.mode >> 6 & right)
    return bool((path.mode >> 3 if path.gid in who.gids else path.mode) & right)


def _kind(mode: int) -> Kind:
    if stat.S_ISSOCK(mode):
        return "socket"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def _has_acl(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _ACL))
    except OSError:
        return False
