"""The file of the state database, in a folder that may belong to another user.

On most servers that is the folder of the owner of the mailboxes, as whom the service runs, and root's commands open
the file there. SQLite takes paths alone: it makes files beside the database, and removes those that a journal names. So
root lets it work with the rights of the folder's owner (core/base/others_folders.py), and takes no link for the file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.others_folders import Folder, opened

_FILES = ("", "-journal", "-wal", "-shm")


@contextmanager
def placed(path: Path, make: int | None = None) -> Iterator[Folder]:
    """The folder of the database, with the rights of its owner, else of the file's, within the block.

    ``make``: as for ``opened``. Raises OSError, also for links and files of another user.
    """
    with opened(str(path.absolute().parent), make) as place:
        found = {ending: look for ending in _FILES if (look := _look(place, path.name + ending))}
        main = found.get("")
        if place.outsider is None and main and stat.S_ISREG(main.st_mode) and main.st_uid not in {0, os.geteuid()}:
            place.outsider = main  # the folder is that of a group of its owner
        for one in found.values():
            _check(place, one, path)
        with place.as_outsider():
            yield place


def _look(place: Folder, name: str) -> os.stat_result | None:
    try:
        return place.look(name)
    except FileNotFoundError:
        return None


def made(place: Folder, path: Path) -> str:
    """Make an empty file where there is none, which SQLite takes for a new database. Raises OSError.

    Returns the mode to open it with: SQLite makes it only behind a link that ``placed`` let pass.
    """
    try:
        os.close(place.open(path.name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return "rwc" if stat.S_ISLNK(place.look(path.name).st_mode) and place.outsider is None else "rw"
    return "rw"


def _check(place: Folder, found: os.stat_result, path: Path) -> None:
    trusted = found.st_uid in {0, os.geteuid()}
    if stat.S_ISLNK(found.st_mode) and not (trusted and place.outsider is None):
        raise OSError(errno.EPERM, "it is a link, in a folder of another user", str(path))
    if stat.S_ISFIFO(found.st_mode):  # it would be waited for
        raise OSError(errno.EPERM, "it, or a file beside it, is a named pipe", str(path))
    if os.geteuid() == 0 and place.outsider is None and not trusted:  # others may write there, as in /tmp
        raise OSError(errno.EPERM, "a file beside it belongs to another user", str(path))
