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


@contextmanager
def placed(path: Path, make: int | None = None) -> Iterator[Folder]:
    """The folder of the database, with the rights of its owner within the block. ``make``: as for ``opened``.

    Raises OSError, also for a link of another user.
    """
    with opened(str(path.absolute().parent), make) as place, place.as_outsider():
        try:
            found = place.look(path.name)
        except FileNotFoundError:
            pass
        else:
            _check(place, found, path)
        yield place


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
    trusted = place.outsider is None and found.st_uid in {0, os.geteuid()}
    if stat.S_ISLNK(found.st_mode) and not trusted:
        raise OSError(errno.EPERM, "it is a link, in a folder of another user", str(path))
