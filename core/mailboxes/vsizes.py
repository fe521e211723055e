"""Virtual sizes of messages, which Dovecot's quota driver ``count`` adds up: each end of a line counts as CRLF.

The size is the number after the first ``,W=`` in a file name. Dovecot writes it there; other programs do not, and then
the file is read, once: its size is remembered by the file name without flags. Every entry of ``new`` and ``cur`` is a
message, but for names that begin with a dot, and directories.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator

from ..base.others_folders import open_plain
from .folders import FolderSum, folder_path, sizes_in_names, sum_of_names
from .measure import Unmeasurable

_MOST_SIZES = 1_000_000  # remembered over all mailboxes; about 150 bytes each
_CHUNK = 1024 * 1024
_MOST_READ = 4 * 1024**3  # bytes of a file
_MOST_EXTENTS = 100_000  # of a file
_SIZES = sizes_in_names("W")
_SIZE = re.compile(rb"[^,]*(?:,(?!W=)[^,]*)*,W=(\d{1,12})(?=[:,]|\Z)")

Sizes = dict[bytes, dict[bytes, int]]  # by directory, then by the unique part of the file name
Linked = dict[tuple[int, int, int, int], int | None]  # sizes of files with several names


class TooMuchToReadError(Unmeasurable):
    """More files would have to be read than an answer to Postfix can wait for."""


class SizeCache:
    """The sizes of files that were read, by mailbox; the mailbox whose last count is oldest is forgotten first."""

    def __init__(self, most: int = _MOST_SIZES) -> None:
        self._most = most
        self._mailboxes: OrderedDict[str, Sizes] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def of(self, maildir: str) -> Sizes:
        """The sizes of a mailbox; a count adds to them."""
        with self._lock:
            return self._mailboxes.setdefault(maildir, {})

    def keep(self, maildir: str, sizes: Sizes) -> None:
        """Replace the sizes of a mailbox, and forget other mailboxes where there are too many."""
        with self._lock:
            self._drop(maildir)
            if any(sizes.values()):
                self._mailboxes[maildir] = sizes
                self._counts[maildir] = sum(map(len, sizes.values()))
                self._count += self._counts[maildir]
            while self._count > self._most:
                self._drop(next(iter(self._mailboxes)))

    def _drop(self, maildir: str) -> None:
        self._mailboxes.pop(maildir, None)
        self._count -= self._counts.pop(maildir, 0)


class SizeCount:
    """One count of one mailbox. It may read ``reads`` files; None: as many as it takes."""

    def __init__(self, known: Sizes, reads: int | None = None) -> None:
        self._known = known
        self._reads = reads
        self._linked: Linked = {}
        self.listed: Sizes = {}  # remembered sizes of files that are there now

    def sum_names(self, directory: bytes, names: list[bytes]) -> tuple[int, int]:
        """Bytes and messages of a directory. Raises OSError and TooMuchToReadError.

        What was read before an error is remembered, so that the next count gets further.
        """
        self.listed[directory] = {}
        total = sum_of_names(_SIZES, names, b".")
        if total is not None:
            return total, len(names)
        found = [size for name in names if (size := self._size(directory, name)) is not None]
        return sum(found), len(found)

    def sizes(self, maildir: str, folders: tuple[FolderSum, ...]) -> Sizes:
        """The sizes to be kept: of directories that were listed now, and of others that are still there."""
        paths = (os.fsencode(f"{folder_path(maildir, f.name)}/{part}") for f in folders for part in ("new", "cur"))
        return {path: names for path in paths if (names := self.listed.get(path, self._known.get(path)))}

    def _size(self, directory: bytes, name: bytes) -> int | None:
        if name.startswith(b"."):
            return None
        match = _SIZE.match(name)
        if match is not None:
            return int(match[1])
        unique = name.partition(b":")[0]
        size = self._remembered(directory, unique)
        if size is None:
            size = self._read(directory, name)
        if size is not None:
            self.listed[directory][unique] = size
            self._known.setdefault(directory, {})[unique] = size
        return size

    def _remembered(self, directory: bytes, unique: bytes) -> int | None:
        """The size of this file or of the same message in the other directory: reading it moves it to ``cur``."""
        sibling = os.path.dirname(directory) + (b"/new" if directory.endswith(b"/cur") else b"/cur")
        size = self._known.get(directory, {}).get(unique)
        return self._known.get(sibling, {}).get(unique) if size is None else size

    def _read(self, directory: bytes, name: bytes) -> int | None:
        if self._reads is not None:
            if self._reads <= 0:
                raise TooMuchToReadError("its messages are still being counted")
            self._reads -= 1
        return self._read_once(os.path.join(directory, name))

    def _read_once(self, path: bytes) -> int | None:
        """As ``virtual_size``. Of the names of one file the first is read: more cost their maker nothing."""
        try:
            found = os.stat(path)
        except FileNotFoundError:
            return None
        if found.st_nlink < 2:
            return virtual_size(path)
        identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        if identity not in self._linked:
            self._linked[identity] = virtual_size(path)
        return self._linked[identity]


def virtual_size(path: bytes) -> int | None:
    """Bytes of a file with each LF counted as CRLF; None where it is gone or no regular file. Raises OSError."""
    try:
        return _read(path) if stat.S_ISREG(os.stat(path).st_mode) else None
    except FileNotFoundError:
        return None


def _read(path: bytes) -> int:
    handle = open_plain(path)
    if handle is None:
        return 0
    try:
        return _count(handle)
    finally:
        os.close(handle)


def _count(handle: int) -> int:
    """Bytes with each LF counted as CRLF. Holes of a sparse file are not read: there is no line end in them.

    Of a file with more than _MOST_READ bytes of data the line ends of the rest are not counted, as somebody may have
    made it to keep us busy. Its size counts all the same.
    """
    more, left, last, end = 0, _MOST_READ, b"", 0
    for start, stop in _extents(handle):
        if start != end:
            last = b""
        os.lseek(handle, start, os.SEEK_SET)
        end = start
        while end < stop and left > 0 and (chunk := os.read(handle, min(_CHUNK, stop - end))):
            more += chunk.count(b"\n") - chunk.count(b"\r\n")
            if last == b"\r" and chunk[:1] == b"\n":  # this CRLF was cut by the end of a chunk
                more -= 1
            last = chunk[-1:]
            end += len(chunk)
            left -= len(chunk)
        if left <= 0:
            break
    return os.fstat(handle).st_size + more


def _extents(handle: int) -> Iterator[tuple[int, int]]:
    """Start and end of each part of a file that is no hole (lseek(2), SEEK_DATA). Raises OSError."""
    end = 0
    for _ in range(_MOST_EXTENTS):
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no more data
                return
            if error.errno != errno.EINVAL or end:
                raise
            start, end = 0, os.fstat(handle).st_size  # a file system without holes
            yield start, end
            return
        yield start, end
