"""What a file, folder or socket looks like from outside, and what that lets a user do with it.

``look`` is the only part that touches the file system. The rest is pure and judges by owner, group and mode; where an
access list (acl(5)) says more than the mode, that is noted and not judged.
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
    """``closed``: a folder above it may not be entered by us, and ``fault`` says so. ``mode`` are the rights alone."""

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
        """Owner, group and mode for people."""
        return f"{self.owner}:{self.group} {self.mode:04o}"


class UserFacts(msgspec.Struct, frozen=True):
    """A user with all of its groups."""

    name: str
    uid: int
    gids: tuple[int, ...]


def look(path: str, *, follow: bool = True) -> PathFacts:
    """The file at a path; a link counts as what it points to, unless ``follow`` is false."""
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
    """All folders on the way to an absolute path, from / on."""
    parts = os.path.dirname(os.path.abspath(path)).strip("/").split("/")
    names = ["/", *("/" + "/".join(parts[: count + 1]) for count in range(len(parts)) if parts[0])]
    return tuple(look(name) for name in names)


def user(name: str) -> UserFacts | None:
    """None where there is no such user."""
    try:
        entry = pwd.getpwnam(name)
        return UserFacts(name, entry.pw_uid, tuple(os.getgrouplist(name, entry.pw_gid)))
    except (KeyError, OSError, ValueError):
        return None


def group_id(name: str) -> int | None:
    """None where there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def user_name(uid: int) -> str:
    """The name, else the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def group_name(gid: int) -> str:
    """The name, else the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def allows(path: PathFacts, who: UserFacts, right: int) -> bool | None:
    """Whether a user may; the first of owner, group, others that fits decides. None: an access list has a say."""
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
