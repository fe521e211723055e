"""Recounts a mailbox: writes a new maildirsize where that is safe, else removes it, so that Dovecot counts itself.

Dovecot does not lock the file: a delivery first moves its mail into ``new`` and then appends a line. A file that is
replaced between the two would be wrong for ever. So the new one goes into place only if no directory changed and
nothing was appended between the start of the count and the rename. Then the directories are checked once more, and if
one changed, the file is removed. A second change within one second leaves no new time, so a directory that changed
within the last second counts as changed. Where there was no file none is made: Dovecot makes its own where its driver
keeps one, and with another driver nothing would bring the file up to date at a delivery.

The owner of the mailbox may exchange it for a link meanwhile. So files are made, renamed and removed in the folder that
was opened at first (core/base/others_folders.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import time
from collections.abc import Callable

from ..base.others_folders import Folder, opened
from .folders import UNSETTLED_NS, Folders, folder_names, folder_path, settled, sum_folders
from .mailstore import Mailstore
from .measure import total

_RECORD = "maildirsize"
_TRIES = 4
_PAUSE_SECONDS = 1.1  # a little more than directories take to settle


def rewrite(store: Mailstore, maildir: str, limit: int | None, most: int | None = None) -> str:
    """Count the mailbox and write maildirsize with its limits of bytes and messages. Raises OSError.

    Returns the method: ``rewrite``, or ``unlink`` where no file is left, so that the next reader counts. For an
    mailbox without a limit of bytes the file is always removed: the count can wait for a reader.
    """
    with contextlib.ExitStack() as stack:
        try:
            home = stack.enter_context(opened(maildir))
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.isdir(store.base):
                raise FileNotFoundError(2, "the mailstore is not there", store.base) from None
            return "unlink"
        return _rewrite(store, home, limit, most)


def _rewrite(store: Mailstore, home: Folder, limit: int | None, most: int | None) -> str:
    before = _identity(home)
    folders = sum_folders(home.path)
    header = f"{limit}S" if most is None else f"{limit}S,{most}C"
    if limit is not None and before and settled(folders) and _replace(store, home, header, folders, before):
        return "rewrite"
    with contextlib.suppress(FileNotFoundError):
        home.unlink(_RECORD)
    return "unlink"


Times = Callable[[str], dict[str, int]]


def with_doveadm(maildir: str, recalc: Callable[[], None], times: Times | None = None) -> None:
    """Have Dovecot recount by ``recalc``, and once more where mail was delivered meanwhile.

    Dovecot takes no lock either, and counts such a mail twice. In a mailbox that is never quiet the count of the last
    of ``_TRIES`` stands, and the background check (core/mailboxes/drift.py) compares it. ``times`` is ``times_of``, or
    has another process do it. Raises what ``recalc`` raises, and OSError.
    """
    look = times or times_of
    for left in reversed(range(_TRIES)):
        before = look(maildir)
        recalc()
        if not left or (_are_settled(before) and look(maildir) == before):
            return
        time.sleep(_PAUSE_SECONDS)


def times_of(maildir: str) -> dict[str, int]:
    """When each directory with messages changed, in ns; empty where the Maildir is not on this host."""
    times = {}
    for name in folder_names(maildir):
        for part in ("new", "cur"):
            with contextlib.suppress(FileNotFoundError):
                path = f"{folder_path(maildir, name)}/{part}"
                times[path] = os.stat(path).st_mtime_ns
    return times


def _are_settled(times: dict[str, int]) -> bool:
    return all(time.time_ns() - moment > UNSETTLED_NS for moment in times.values())


def _replace(store: Mailstore, home: Folder, header: str, folders: Folders, before: tuple[int, ...]) -> bool:
    """Put a new file in place, unless the mailbox changes meanwhile; False where the file has to be removed."""
    used, messages = total(store, folders)
    temporary = f"{_RECORD}{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(8)}"
    try:
        _write(home, temporary, f"{header}\n{used} {messages}\n")
        if _identity(home) != before or not _unchanged(home.path, folders):
            return False
        home.rename(temporary, _RECORD)
        return _unchanged(home.path, folders)
    except PermissionError:  # neither root nor the owner: Dovecot could not read a file that this user owns
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            home.unlink(temporary)


def _write(home: Folder, name: str, text: str) -> None:
    """Write a file with the owner and the rights that Dovecot would give it: those of the Maildir, for files."""
    like = home.status
    handle = home.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, text.encode())
        os.fchown(handle, like.st_uid, like.st_gid)
        os.fchmod(handle, stat.S_IMODE(like.st_mode) & 0o666)
    finally:
        os.close(handle)


def _identity(home: Folder) -> tuple[int, ...] | None:
    """Of the record, or what else has its name; None where there is none."""
    try:
        found = home.look(_RECORD)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _unchanged(maildir: str, folders: Folders) -> bool:
    """Whether the same folders are there, with the same times and sums."""
    return sum_folders(maildir, folders) == folders
