"""Writes recordings: one file after the other, never more than the settings allow. Blocking; called in a thread.

Each engine writes files of its own, so two at once do not meet. A file has mode 0600 and a name that begins with its
time, UTC, as in ``20261224T180000Z-4711.mqr``. The oldest files are removed where all take more room than they may, or
are too old; also those of other engines in the same folder. A file whose name is in the future (the clock was set back)
counts as the oldest. While the file system is nearly full nothing is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ..base.others_folders import Folder, opened
from . import blocks
from .periods import Period, Shortener, encode

NAME = re.compile(r"(\d{8}T\d{6}Z)-\d+(?:-\d+)?\.mqr")
_FORM = "%Y%m%dT%H%M%SZ"
_FILE_SECONDS = 3600.0
_LONGEST_SECONDS = 86400.0
_SHARE = 5  # a file goes on until the table at its start is at most a fifth of it, a day at most
_FILES = 8  # at least so many share the room, so that removing one leaves most
_AHEAD = 3600.0  # seconds; so far ahead a name is in the future
FREE_BYTES = 256 * 1024 * 1024  # that stay free on the file system
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


class Limits(NamedTuple):
    """What recordings may take: bytes of all files, and seconds until a file is removed. No bytes: none are made."""

    bytes: int
    seconds: float


def name_of(at: float, number: int = 0) -> str:
    """The name of a file that begins at ``at``, of this process."""
    more = f"-{number}" if number else ""
    return f"{datetime.fromtimestamp(at, UTC).strftime(_FORM)}-{os.getpid()}{more}.mqr"


def time_of(name: str) -> float | None:
    """When a file of this name begins, in seconds since the epoch; None for other names."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], _FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


class Writer:
    """The file that is being written. ``steady`` gives seconds of a clock that never goes back."""

    def __init__(
        self,
        path: str,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        free_bytes: int = FREE_BYTES,
    ) -> None:
        self.path = path
        self._now = now
        self._steady = steady
        self._free_bytes = free_bytes
        self._lock = threading.Lock()  # a thread may still be writing when the engine stops
        self._handle: int | None = None
        self._shortener = Shortener()
        self._begun = 0.0
        self._size = 0
        self._table = 0  # bytes of the table at the start of the file

    def wants_whole(self, limits: Limits) -> bool:
        """Whether the next period has to be the first of a whole table: a new file begins with it."""
        age = self._steady() - self._begun
        if self._handle is None or age >= _LONGEST_SECONDS:
            return True
        large = self._size >= max(limits.bytes // _FILES, 2 * self._table)
        return large or (age >= _FILE_SECONDS and self._size >= _SHARE * self._table)

    def write(self, period: Period, limits: Limits) -> None:
        """Write one period. Raises OSError; then the file is closed, and the next one has to begin anew."""
        with self._lock:
            self._write(period, limits)

    def close(self) -> None:
        """Close the file, if one is open."""
        with self._lock:
            self._close()

    def _write(self, period: Period, limits: Limits) -> None:
        try:
            if period.first:
                self._close()
                self._open(limits)
            if self._handle is None:
                raise OSError(errno.EBADF, "no file is open")
            accounts, usages = self._shortener.split(period.accounts)
            data = encode(msgspec.structs.replace(period, accounts=accounts, usages=usages))
            self._put(self._handle, blocks.pack(data, period.start, period.end, first=period.first))
            if period.whole:
                self._table = self._size
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)

    def _put(self, handle: int, data: bytes) -> None:
        if not os.fstat(handle).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "the file was removed", self.path)
        space = os.fstatvfs(handle)
        if space.f_bavail * space.f_frsize < self._free_bytes + len(data):
            raise OSError(errno.ENOSPC, "the file system is nearly full", self.path)
        while data:
            written = os.write(handle, data)
            self._size += written
            data = data[written:]

    def _open(self, limits: Limits) -> None:
        now = self._now()
        with opened(self.path, make=0o700) as folder, folder.as_outsider():
            remove_old(folder, limits, now)
            self._handle = _made(folder, now)
        self._shortener, self._begun, self._size, self._table = Shortener(), self._steady(), 0, 0
        self._put(self._handle, blocks.FIRST_LINE)

    def thin_out(self, limits: Limits) -> None:
        """Remove what is too old or too much. Raises OSError."""
        with contextlib.suppress(FileNotFoundError), opened(self.path) as folder, folder.as_outsider():
            remove_old(folder, limits, self._now())


def _made(folder: Folder, now: float) -> int:
    """A new file. One of the same name is there where the clock was set back."""
    for number in range(100):
        with contextlib.suppress(FileExistsError):
            return folder.open(name_of(now, number), _NEW, 0o600)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder.path)


def files_in(folder: Folder, now: float) -> list[tuple[float, str]]:
    """Time and name of each recording, oldest first; those in the future before all others. Raises OSError."""
    found = [(at, name) for name in folder.names() if (at := time_of(name)) is not None]
    return sorted((at if at <= now + _AHEAD else -at, name) for at, name in found)


def remove_old(folder: Folder, limits: Limits, now: float) -> None:
    """Remove the oldest recordings. Raises OSError."""
    sizes = []
    for at, name in files_in(folder, now):
        with contextlib.suppress(FileNotFoundError):
            look = folder.look(name)
            if stat.S_ISREG(look.st_mode):
                sizes.append((at, name, look))
    total = sum(found.st_size for _at, _name, found in sizes)
    for at, name, found in sizes:
        # Its last block is as old as the file was last written to; what is being written now stays.
        age = now - found.st_mtime if at >= 0 else 0.0
        if total > limits.bytes or age > limits.seconds:
            with contextlib.suppress(FileNotFoundError):
                folder.unlink(name)
            total -= found.st_size
