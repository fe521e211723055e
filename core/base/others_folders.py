"""Files below folders of other users: the one way in which mailquota writes, renames and removes them.

Postfix's user owns the folder of the policy socket, the mail user the mailboxes and perhaps the folder of the state
database. Whoever owns a folder can put a link in the place of a file in it at any time, also between a check and an
act. A more trusted user who then works by paths works on the file that the link leads to. So here

- a path is opened step by step, each step relative to the handle of the one before (openat(2), O_NOFOLLOW). A link on
  the way is followed only where it is root's, our own, or the owner's of the folder that it leads to: nobody leads us
  into a folder of another one;
- the last step is never followed. Owner, mode and kind are read and changed by the handle of the file itself (O_PATH),
  and names are created, renamed and removed relative to the handle of their folder;
- where a library takes nothing but a path (a socket's bind, SQLite), root works as the first less trusted owner on the
  way (setfsuid(2), for this thread alone), so that the kernel refuses what that owner could not do himself.

tests/test_house.py holds that no other module of core does any of this by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
FOREIGN_LINK = "a link to a folder of another owner"
_MOST_LINKS = 40  # as in the kernel
_AS_WE_ARE = -1  # setfsuid(2) with it changes nothing, and tells the present user
_libc = ctypes.CDLL(None, use_errno=True)

Identity = tuple[int, int]  # device and inode: they differ for a new file of the same name


def identity_of(found: os.stat_result) -> Identity:
    """Device and inode."""
    return found.st_dev, found.st_ino


class Folder:
    """An open folder. ``handle`` is for the ``dir_fd`` of others; ``outsider`` is the first owner on its path who is
    neither root nor this user, None where there is none.
    """

    def __init__(self, path: str, handle: int, outsider: os.stat_result | None) -> None:
        self.path = path
        self.handle = handle
        self.outsider = outsider

    @property
    def status(self) -> os.stat_result:
        """Owner, mode and times of the folder itself."""
        return os.fstat(self.handle)

    def look(self, name: str) -> os.stat_result:
        """The facts of a name in it, of a link those of the link. Raises OSError."""
        return os.stat(name, dir_fd=self.handle, follow_symlinks=False)

    def names(self) -> list[str]:
        """All names in it. Raises OSError."""
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.handle)
        try:
            return os.listdir(handle)
        finally:
            os.close(handle)

    @contextmanager
    def entries(self) -> Iterator[Iterator[os.DirEntry[str]]]:
        """The names in it one by one, however many there are, each with ``stat``. Raises OSError."""
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.handle)
        try:
            with os.scandir(handle) as found:
                yield found
        finally:
            os.close(handle)

    def sync(self) -> None:
        """Have the names in it written to the disk. Raises OSError."""
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.handle)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def open(self, name: str, flags: int, mode: int = 0o600) -> int:
        """A handle of a file in it; ELOOP for a link. A named pipe does not make it wait. Raises OSError."""
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=self.handle)

    def rename(self, old: str, new: str, into: Folder | None = None) -> None:
        """Rename within this folder, or to a name in ``into``. Raises OSError."""
        os.rename(old, new, src_dir_fd=self.handle, dst_dir_fd=(into or self).handle)

    def unlink(self, name: str) -> None:
        """Remove a file, or a link itself. Raises OSError."""
        os.unlink(name, dir_fd=self.handle)

    @contextmanager
    def inner(self, name: str) -> Iterator[Folder]:
        """A folder in it, by its name. Raises NotADirectoryError for a link, and OSError."""
        handle = os.open(name, _STEP | os.O_DIRECTORY, dir_fd=self.handle)
        try:
            yield Folder(f"{self.path}/{name}", handle, _outsider(self.outsider, handle))
        finally:
            os.close(handle)

    @contextmanager
    def pinned(self, name: str) -> Iterator[int]:
        """A handle of what has this name, whatever it is: for its facts and for ``give``. Raises OSError."""
        handle = os.open(name, _STEP, dir_fd=self.handle)
        try:
            yield handle
        finally:
            os.close(handle)

    def as_outsider(self) -> AbstractContextManager[None]:
        """Root works on files as the less trusted owner within the block, in this thread; others as they are."""
        return as_owner(self.outsider)


@contextmanager
def as_owner(owner: os.stat_result | None) -> Iterator[None]:
    """As ``Folder.as_outsider``, with the rights of this owner; None for nobody else's.

    Nothing may be imported within the block, nor read of the package: that owner may not be able to.
    """
    if owner is None or os.geteuid() != 0:
        yield
        return
    _leave_groups()
    user, group = _libc.setfsuid(_AS_WE_ARE), _libc.setfsgid(owner.st_gid)
    _libc.setfsuid(owner.st_uid)
    try:
        yield
    finally:
        _libc.setfsuid(user)
        _libc.setfsgid(group)


def _leave_groups() -> None:
    """Leave root's supplementary groups, in all threads and for good: root does not need them.

    setfsuid(2) and setfsgid(2) leave them as they are, and so the owner of a folder would get at files of these groups.
    """
    if os.getgroups():
        with contextlib.suppress(PermissionError):  # without that capability setfsgid does nothing either
            os.setgroups([])


def open_plain(path: str | bytes, *, of_its_linker: bool = False) -> int | None:
    """A handle to read a plain file, below folders of others; None for what is none. Raises OSError.

    What it is is looked at first, by a handle that does not open it (O_PATH): a link may lead to a device, and to open
    one may already do something. Nor is an empty file opened, as those of /proc say they are.
    ``of_its_linker``: where the path is a link, it has to be of the file's own owner.
    """
    pinned = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(pinned)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return None
        if of_its_linker and (link := os.lstat(path)).st_ino != found.st_ino and link.st_uid != found.st_uid:
            return None
        return os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(pinned)


def set_mode(pinned: int, mode: int) -> None:
    """Change the mode of what ``Folder.pinned`` gave a handle of. Raises OSError."""
    os.chmod(f"/proc/self/fd/{pinned}", mode)


def give(pinned: int, user: int, group: int) -> None:
    """Change owner and group (-1: as it is) of what ``Folder.pinned`` gave a handle of. Raises OSError."""
    os.chown(f"/proc/self/fd/{pinned}", user, group)


@contextmanager
def opened(path: str, make: int | None = None) -> Iterator[Folder]:
    """The folder at a path; missing ones are made with the mode ``make``, if that is given.

    Raises PermissionError for a link of somebody who does not own what it leads to, and OSError.
    """
    handle, outsider = walk(path, make=make)
    try:
        if not _is_folder(handle):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        yield Folder(path, handle, outsider)
    finally:
        os.close(handle)


def walk(
    path: str, visit: Callable[[int, str], None] = lambda _handle, _name: None, make: int | None = None
) -> tuple[int, os.stat_result | None]:
    """A handle (O_PATH) of what a path leads to, and the outsider on the way, as in Folder.

    ``visit`` gets a handle of each folder on the way and of the end, with its path. Else as ``opened``.
    """
    try:
        return _Way(path, visit, make).go()
    except OSError as error:
        error.filename = error.filename if error.filename and "/" in os.fsdecode(error.filename) else path
        raise


class _Link(NamedTuple):
    owner: int
    path: str


class _Way:
    """One walk. Among the steps are links that were followed: who owns one has to own what was reached by then."""

    def __init__(self, path: str, visit: Callable[[int, str], None], make: int | None) -> None:
        self._visit = visit
        self._make = make
        whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
        self._steps: list[str | _Link] = [*reversed(whole.split("/"))]
        self._links = 0
        self._outsider: os.stat_result | None = None
        self._path = "/"
        self._handle = os.open("/", _STEP)

    def go(self) -> tuple[int, os.stat_result | None]:
        try:
            self._visit(self._handle, self._path)
            while self._steps:
                step = self._steps.pop()
                if isinstance(step, _Link):
                    self._check_owner(step)
                elif step not in {"", "."}:
                    self._take(step)
        except BaseException:
            os.close(self._handle)
            raise
        return self._handle, self._outsider

    def _take(self, step: str) -> None:
        reached = self._open(step)
        if stat.S_ISLNK(os.fstat(reached).st_mode):
            self._follow(_Link(os.fstat(reached).st_uid, self._joined(step)), reached)
            return
        os.close(self._handle)
        self._handle, self._path = reached, self._joined(step)
        self._outsider = _outsider(self._outsider, reached)
        self._visit(reached, self._path)

    def _joined(self, name: str) -> str:
        return os.path.normpath(f"{self._path.rstrip('/')}/{name}")

    def _open(self, name: str) -> int:
        try:
            return self._open_there(name)
        except FileNotFoundError:
            if self._make is None:
                raise
        folder = Folder(self._path, self._handle, self._outsider)
        with folder.as_outsider():  # also the mode: it could be another folder by then
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._handle)
            with folder.pinned(name) as made:
                if _is_folder(made):
                    set_mode(made, self._make)  # whatever the umask is
        return self._open_there(name)

    def _open_there(self, name: str) -> int:
        """As a folder first: the kernel mounts one of autofs(5) only for who asks so."""
        try:
            return os.open(name, _STEP | os.O_DIRECTORY, dir_fd=self._handle)
        except NotADirectoryError:
            return os.open(name, _STEP, dir_fd=self._handle)

    def _follow(self, link: _Link, handle: int) -> None:
        """Put the path that a link has before the other steps."""
        try:
            target = os.readlink("", dir_fd=handle)
        finally:
            os.close(handle)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), link.path)
        if link.owner not in {0, os.geteuid()}:
            self._steps.append(link)
        self._steps += reversed(target.split("/"))
        if target.startswith("/"):
            os.close(self._handle)
            self._handle, self._path = os.open("/", _STEP), "/"

    def _check_owner(self, link: _Link) -> None:
        if os.fstat(self._handle).st_uid != link.owner:
            raise PermissionError(errno.EPERM, FOREIGN_LINK, link.path)


def _outsider(before: os.stat_result | None, handle: int) -> os.stat_result | None:
    found = os.fstat(handle)
    return before or (None if found.st_uid in {0, os.geteuid()} else found)


def _is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)
