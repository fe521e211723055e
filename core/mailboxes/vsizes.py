"""Virtual sizes, which Dovecot's quota driver ``count`` adds up: each end of a line counts as CRLF.

The size is the number after the first ``,W=`` of a file name. Dovecot writes it there; other programs do not, and then
the file is read, once: what was counted is remembered by the name without its flags. What counts is every entry of new
and cur but names that begin with a dot; a directory is no message.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections import OrderedDict

from mailquota.core.mailboxes.folders import FolderSum, folder_path, sizes_in_names, sum_of_names
from mailquota.core.mailboxes.measure import Unmeasurable

_MOST_SIZES = 1_000_000  # remembered over all mailboxes; about 150 bytes each
_CHUNK = 1024 * 1024
_SIZES = sizes_in_names("W")
_SIZE = re.compile(rb"[^,]*(?:,(?!W=)[^,]*)*,W=(\d{1,12})(?=[:,]|\Z)")

Sizes = dict[bytes, dict[bytes, int]]  # by directory, by the unique part of the name


class TooMuchToReadError(Unmeasurable):
    """More files must be read than there is time for."""


class SizeCache:
    """The sizes of files that were read, by mailbox; the one that was not counted for longest is forgotten first."""

    def __init__(self, most: int = _MOST_SIZES) -> None:
        self._most = most
        self._mailboxes: OrderedDict[str, Sizes] = OrderedDict()
        self._counts: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    def of(self, maildir: str) -> Sizes:
        """What is remembered of a mailbox; to be filled while it is counted."""
        with self._lock:
            return self._mailboxes.setdefault(maildir, {})

    def keep(self, maildir: str, sizes: Sizes) -> None:
        """What is there now, in place of what was."""
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
    """One count of one mailbox. It may read ``reads`` files, None: as many as it takes."""

    def __init__(self, known: Sizes, reads: int | None = None) -> None:
        self._known = known
        self._reads = reads
        self.listed: Sizes = {}  # the sizes that stand for files which are there now

    def sum_names(self, directory: bytes, names: list[bytes]) -> tuple[int, int]:
        """Bytes and messages. Raises OSError, and TooMuchToReadError; what was read until then is remembered."""
        self.listed[directory] = {}
        total = sum_of_names(_SIZES, names, b".")
        if total is not None:
            return total, len(names)
        found = [size for name in names if (size := self._size(directory, name)) is not None]
        return sum(found), len(found)

    def sizes(self, maildir: str, folders: tuple[FolderSum, ...]) -> Sizes:
        """What is worth remembering: of directories that were listed now, and of others that are still there."""
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
        """A message that was seen by a mail client moved from new to cur."""
        sibling = os.path.dirname(directory) + (b"/new" if directory.endswith(b"/cur") else b"/cur")
        size = self._known.get(directory, {}).get(unique)
        return self._known.get(sibling, {}).get(unique) if size is None else size

    def _read(self, directory: bytes, name: bytes) -> int | None:
        if self._reads is not None:
            if self._reads <= 0:
                raise TooMuchToReadError("its messages are still being counted")
            self._reads -= 1
        return virtual_size(os.path.join(directory, name))


def virtual_size(path: bytes) -> int | None:
    """Bytes with each LF as CRLF; None for a file that is gone or is none. Raises OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return _count(handle)
    finally:
        os.close(handle)


def _count(handle: int) -> int:
    size = 0
    last = b""
    while chunk := os.read(handle, _CHUNK):
        size += len(chunk) + chunk.count(b"\n") - chunk.count(b"\r\n")
        if last == b"\r" and chunk[:1] == b"\n":  # cut between the two
            size -= 1
        last = chunk[-1:]
    return size
