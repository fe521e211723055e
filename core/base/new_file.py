"""A file that an operator asks for by its path: nobody else may read it, and no link of anybody leads it elsewhere.

The folder is opened step by step (``others_folders``), so that a link of another user on the way is not followed. The
last step never is: a file is made anew or not at all. One that is to be replaced is, as a whole, by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable

from .others_folders import Folder, opened

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write_file(path: str, parts: Iterable[str], *, replace: bool = False) -> None:
    """Write a text to a file of mode 0600. Blocks. Raises FileExistsError unless ``replace``, and OSError.

    What is no ordinary file of this user is not replaced. After a failure nothing new is there.
    """
    folder_path, name = os.path.split(path)
    with opened(folder_path or ".") as folder:
        if not name or name in {".", ".."}:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not replace:
            _write(folder, name, parts)
            return
        _check(folder, name, path)
        fresh = f".{name[:200]}.{secrets.token_hex(4)}"
        _write(folder, fresh, parts)
        try:
            folder.rename(fresh, name)
        except OSError:
            folder.unlink(fresh)
            raise


def _check(folder: Folder, name: str, path: str) -> None:
    """Raise PermissionError for what may not be replaced."""
    try:
        found = folder.look(name)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise PermissionError(errno.EPERM, "a link, which is neither followed nor replaced", path)
    if not stat.S_ISREG(found.st_mode):
        raise PermissionError(errno.EPERM, "no ordinary file", path)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "a file of another user", path)


def _write(folder: Folder, name: str, parts: Iterable[str]) -> None:
    handle = folder.open(name, _NEW)
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(handle)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.unlink(name)
        raise
