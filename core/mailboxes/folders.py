"""Counts a Maildir++ mailbox from its folders, as Dovecot's own recount does, but lists only what changed.

A folder's ``new`` and ``cur`` are listed again when their modification time changed since the last count; so a count of
a quiet mailbox is two stats a folder. A directory that was modified within the last second before it was listed may
change again without a new time, so its sum is used once and not kept.

Dovecot counts every entry of ``new`` and ``cur`` in INBOX and in the ``.Folder`` directories, dot files and links
included; not ``tmp``, not names that begin with two dots, not directories without a leading dot. The size of a message
is the number after the first ``,S=`` in its name, if ``:``, ``,`` or the end follows, else the size of the file.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ..servers.dovecot.mutf7 import is_canonical

INBOX = "INBOX"
# A number of more than 12 digits is the size of no message, and sums must stay what 64 bits hold.
_SIZE = re.compile(rb"[^,]*(?:,(?!S=)[^,]*)*,S=(\d{0,12})(?=[:,]|\Z)")
UNSETTLED_NS = 1_000_000_000
_MISSING = 0  # modification time of a directory that is not there


Summing = Callable[[bytes, list[bytes]], tuple[int, int]]  # bytes and messages of a directory with these names


class DirectorySum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Usage of one ``new`` or ``cur``; ``mtime_ns`` is when it changed, None where the sum must not be used again."""

    mtime_ns: int | None
    bytes: int
    messages: int


class FolderSum(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Usage of one folder; ``name`` is that of its directory without the leading dot, ``INBOX`` for the Maildir."""

    name: str
    new: DirectorySum
    cur: DirectorySum

    @property
    def bytes(self) -> int:
        """Bytes in both directories."""
        return self.new.bytes + self.cur.bytes

    @property
    def messages(self) -> int:
        """Messages in both directories."""
        return self.new.messages + self.cur.messages


Folders = tuple[FolderSum, ...]


def sum_physical(path: bytes, names: list[bytes]) -> tuple[int, int]:
    """Bytes and messages as Dovecot's driver ``maildir`` counts them: sizes of files, by their names where they tell.

    Raises OSError.
    """
    total = sum_of_names(_SIZES, names, b"..")
    return _sum_odd_names(path, names) if total is None else (total, len(names))


def sizes_in_names(letter: str) -> re.Pattern[bytes]:
    """The pattern for ``sum_of_names``: from the first ``,S=`` (or ``,W=``) of a name to the end of the name.

    Its group is the size, and is empty where no number follows.
    """
    return re.compile(rb",%b=(\d{1,12}(?=[:,\0]|\Z))?[^\0]*" % letter.encode())


def sum_of_names(pattern: re.Pattern[bytes], names: list[bytes], odd: bytes) -> int | None:
    """The sum of the sizes in many names; None unless each name tells its size and none begins with ``odd``.

    Joined by NUL, which no name can hold, 100,000 of them are searched in 30 ms: a match ends where its name ends, so
    there are as many matches as names only where each name has one.
    """
    joined = b"\0".join(names)
    if joined.startswith(odd) or b"\0" + odd in joined:
        return None
    sizes = pattern.findall(joined)
    try:
        return sum(map(int, sizes)) if len(sizes) == len(names) else None
    except ValueError:
        return None


_SIZES = sizes_in_names("S")


def sum_directory(path: str, known: DirectorySum | None = None, summing: Summing = sum_physical) -> DirectorySum:
    """The sum of one directory: ``known`` itself if it did not change, zeros if there is no such directory.

    Other errors of the file system are raised as OSError.
    """
    try:
        mtime = os.stat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return DirectorySum(_MISSING, 0, 0)
    if known is not None and known.mtime_ns == mtime:
        return known
    settled = mtime if time.time_ns() - mtime > UNSETTLED_NS else None
    directory = os.fsencode(path)
    return DirectorySum(settled, *summing(directory, os.listdir(directory)))


def _sum_odd_names(path: bytes, names: list[bytes]) -> tuple[int, int]:
    total = count = 0
    for name in names:
        size = None if name.startswith(b"..") else message_size(path, name)
        if size is not None:
            total += size
            count += 1
    return total, count


def message_size(directory: bytes, name: bytes) -> int | None:
    """Bytes of one message by its name, else by its file; None where the file is gone. Raises OSError."""
    match = _SIZE.match(name)
    if match is not None:
        return int(match[1] or 0)
    try:
        return os.stat(os.path.join(directory, name)).st_size
    except FileNotFoundError:
        return None


def folder_path(maildir: str, name: str) -> str:
    """The directory of a folder; ``name`` as in ``FolderSum``."""
    return maildir if name == INBOX else f"{maildir}/.{name}"


def folder_names(maildir: str) -> list[str]:
    """INBOX and every name that may be a Maildir++ folder; empty where there is no Maildir. Raises OSError.

    Dovecot shows no directory ``.INBOX``, however it is spelled: INBOX is the Maildir itself. Folders below INBOX are
    ``.INBOX.Name`` in capitals. A name has to be modified UTF-7 in its canonical form, as for any other Dovecot shows a
    mailbox and then uses another directory for it.
    """
    try:
        names = os.listdir(maildir)
    except FileNotFoundError:
        return []
    return [INBOX, *sorted(folders_among(names))]


def folders_among(names: Iterable[str]) -> Iterator[str]:
    """Those of the names in a Maildir that may be folders, without the leading dot."""
    found = (name[1:] for name in names if name[0] == "." and not name.startswith(".."))
    return filter(_may_be_folder, found)


def _may_be_folder(name: str) -> bool:
    first = name.partition(".")[0]
    return (first.upper() != INBOX or (first == INBOX and name != INBOX)) and is_canonical(name)


def sum_folder(maildir: str, name: str, known: FolderSum | None = None, summing: Summing = sum_physical) -> FolderSum:
    """The sums of one folder; the object ``known`` where neither directory changed. Raises OSError."""
    path = folder_path(maildir, name)
    new = sum_directory(f"{path}/new", known.new if known else None, summing)
    cur = sum_directory(f"{path}/cur", known.cur if known else None, summing)
    return known if known and known.new is new and known.cur is cur else FolderSum(name, new, cur)


def sum_folders(
    maildir: str,
    known: Folders = (),
    wanted: Callable[[str], bool] = lambda _name: True,
    summing: Summing = sum_physical,
) -> Folders:
    """The sums of all folders whose name is ``wanted``; sums in ``known`` are reused. Raises OSError."""
    before = {folder.name: folder for folder in known}
    found = (sum_folder(maildir, name, before.get(name), summing) for name in folder_names(maildir) if wanted(name))
    return tuple(folder for folder in found if folder.name == INBOX or is_folder(folder))


def is_folder(folder: FolderSum) -> bool:
    """Whether one of its two directories is there. A name with a leading dot may as well be some file."""
    return folder.new.mtime_ns != _MISSING or folder.cur.mtime_ns != _MISSING


def settled(folders: Folders) -> bool:
    """Whether every sum may be used again: no directory changed within a second before it was listed."""
    return all(f.new.mtime_ns is not None and f.cur.mtime_ns is not None for f in folders)
