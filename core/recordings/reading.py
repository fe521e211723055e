"""Reads recordings, which may be cut off, damaged, or no recordings at all. Blocking; called in a thread.

Only headers are read at first; they say what happened when. Damaged blocks are left out, and so is a file from the
place on where its headers can't be read.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
from typing import NamedTuple

from ..base.errors import MailquotaError
from ..base.others_folders import Folder, opened
from . import blocks
from .blocks import Header
from .periods import DamagedError, Period, decode
from .writing import files_in

_MOST_BLOCKS = 1_000_000  # of all files; a week has 60,480
_LONGEST = 60.0  # seconds that one block is shown for, whatever its times say
_READ = os.O_RDONLY | os.O_CLOEXEC


class Block(NamedTuple):
    """``file`` is a number. ``place`` is when it begins, in seconds of the replay, ``seconds`` how long it takes."""

    file: int
    offset: int
    header: Header
    place: float
    seconds: float


class Recording:
    """Open files with the blocks that can be read, in their order. ``remark`` says what can't be, "" where all can."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.remark = ""
        self._handles: list[int] = []
        self._count = 0
        self._found: list[list[tuple[int, Header]]] = []  # of each file, the place in it and the header of each block

    @property
    def length(self) -> float:
        """Seconds of the replay."""
        return self.blocks[-1].place + self.blocks[-1].seconds if self.blocks else 0.0

    def add(self, handle: int) -> None:
        """Take an open file, whose blocks come after those at hand. Raises DamagedError for what is no recording."""
        self._handles.append(handle)
        self._found.append([])
        if os.pread(handle, len(blocks.FIRST_LINE), 0) != blocks.FIRST_LINE:
            raise DamagedError("it is no recording of mailquota, or one of another version")
        offset, size = len(blocks.FIRST_LINE), os.fstat(handle).st_size
        whole = False
        while offset < size:
            try:
                header = blocks.header_of(os.pread(handle, blocks.HEADER_SIZE, offset))
            except DamagedError as error:
                self.remark = str(error)
                return
            end = offset + blocks.HEADER_SIZE + header.size
            if end > size:  # it is being written, or the engine was killed
                return
            whole = whole or header.first  # what comes before a table can't be shown
            if whole:
                self._found[-1].append((offset, header))
            self._count += 1
            if self._count > _MOST_BLOCKS:
                raise DamagedError(f"it has over {_MOST_BLOCKS:,} parts")
            offset = end

    def arrange(self) -> None:
        """Bring the blocks of all files into one order, by time; those of one file stay in theirs (the clock may have
        been set back).
        """
        waiting = [(found[0][1].start, file, 0) for file, found in enumerate(self._found) if found]
        heapq.heapify(waiting)
        place = 0.0
        while waiting:
            _start, file, at = heapq.heappop(waiting)
            offset, header = self._found[file][at]
            seconds = min(max(header.end - header.start, 0.0), _LONGEST)
            self.blocks.append(Block(file, offset, header, place, seconds))
            place += seconds
            if at + 1 < len(self._found[file]):
                heapq.heappush(waiting, (self._found[file][at + 1][1].start, file, at + 1))
        self._found = []

    def read(self, number: int) -> Period:
        """The period of a block. Raises DamagedError, and OSError."""
        block = self.blocks[number]
        data = os.pread(self._handles[block.file], block.header.size, block.offset + blocks.HEADER_SIZE)
        return decode(blocks.unpack(block.header, data))

    def close(self) -> None:
        """Close the files."""
        handles, self._handles = self._handles, []
        for handle in handles:
            os.close(handle)

    # ---- places

    def block_at(self, place: float) -> int:
        """The number of the block at a place of the replay."""
        low, high = 0, len(self.blocks) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self.blocks[middle].place <= place:
                low = middle
            else:
                high = middle - 1
        return low

    def time_at(self, place: float) -> float:
        """The time that is shown at a place, in seconds since the epoch."""
        block = self.blocks[self.block_at(place)]
        return min(block.header.start + max(place - block.place, 0.0), max(block.header.end, block.header.start))

    def place_of(self, moment: float) -> float:
        """The place of a time; where nothing was recorded then, that of the next block; else the end."""
        for block in self.blocks:
            if block.header.end >= moment:
                return block.place + min(max(moment - block.header.start, 0.0), block.seconds)
        return self.length

    def table_before(self, number: int) -> int:
        """The number of the block at which a table begins, at this one or before it."""
        while number and not self.blocks[number].header.first:
            number -= 1
        return number


def open_file(path: str) -> Recording:
    """The recording of one file. Raises MailquotaError, which names the file, and OSError."""
    folder_path, name = os.path.split(path)
    recording = Recording()
    try:
        with opened(folder_path or ".") as folder:
            _add(recording, folder, name)
        return _not_empty(recording, path)
    except BaseException:
        recording.close()
        raise


def open_folder(path: str, since: float, now: float) -> Recording:
    """What is recorded in a folder, in files that were written to since a time. Raises MailquotaError, and OSError."""
    recording, remarks = Recording(), []
    try:
        with opened(path) as folder:
            names = [name for _at, name in files_in(folder, now)]
            for name in names:
                try:
                    if folder.look(name).st_mtime < since and name != names[-1]:
                        continue
                    _add(recording, folder, name)
                except FileNotFoundError:  # it was just removed
                    continue
                except MailquotaError as error:
                    remarks.append(str(error))
        recording.remark = "; ".join(filter(None, [recording.remark, *remarks]))
        return _not_empty(recording, path)
    except BaseException:
        recording.close()
        raise


def _add(recording: Recording, folder: Folder, name: str) -> None:
    path = os.path.join(folder.path, name)
    try:
        handle = folder.open(name, _READ)
    except OSError as error:
        error.filename = path
        if error.errno == errno.ELOOP:
            raise MailquotaError(f"{path}: a link, which is not followed") from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise MailquotaError(f"{path}: no ordinary file")
    try:
        recording.add(handle)
    except DamagedError as error:
        raise MailquotaError(f"{path}: {error}") from error


def _not_empty(recording: Recording, path: str) -> Recording:
    recording.arrange()
    if not recording.blocks:
        why = recording.remark or "nothing is recorded there yet"
        raise MailquotaError(f"{path}: {why}")
    return recording
