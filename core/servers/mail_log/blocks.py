"""The files of a log with its rotated parts, and their complete lines in blocks.

A log is written to one file. Rotated parts are beside it, under the same name with a number or a date appended
(logrotate, and Postfix for its own file), often packed by gzip. A packed one can only be read from its start.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from .lines import LONGEST, NEEDLES

BLOCK = 1 << 20
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # what a packed file raises that is cut off or not packed by gzip

_PACKED = ".gz"
_ROTATED = re.compile(r"[.-][0-9][0-9-]*(?:\.gz)?", re.ASCII)


def parts(path: str, since: float) -> list[str]:
    """The log and its rotated files that were written to after ``since`` (seconds since the epoch), newest first.

    Files that this user may not read are among them.
    """
    if not path.startswith("/") or "\0" in path:
        return []
    beside = glob.glob(f"{glob.escape(path)}[.-][0-9]*")
    names = {path, *(name for name in beside if _ROTATED.fullmatch(name.removeprefix(path)))}
    times = {name: _written_at(name) for name in names if name.removesuffix(_PACKED) == name or name[:-3] not in names}
    recent = [name for name, at in times.items() if at >= since]
    return sorted(recent, key=lambda name: (name != path, -times[name]))


def _written_at(path: str) -> float:
    try:
        found = os.stat(path)
    except OSError:
        return float("-inf")
    return found.st_mtime if stat.S_ISREG(found.st_mode) else float("-inf")


def is_packed(path: str) -> bool:
    """Whether a file is packed, by its name."""
    return path.endswith(_PACKED)


def last_first(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Blocks of complete lines from the end of a file to its start, each with the number of bytes read for it.

    A block rarely begins at the start of a line. So the part up to its first line end is kept as the ``tail`` of a line
    that begins in the block before it in the file, which is read next. A last line without a line end is still being
    written and left out. A line longer than LONGEST is never parsed, so no more than that is kept of it: a file without
    line ends costs no memory.
    """
    end = file.seek(0, os.SEEK_END)
    tail = b""
    last = True
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start) + tail
        if last:
            block, last = block[: block.rfind(b"\n") + 1], False
        cut = block.find(b"\n") + 1 if start else 0
        if start and not cut:
            block, tail = b"", block[: LONGEST + 1]  # no line end in the block
        else:
            tail = block[:cut]
        yield end - start, block[cut:]
        end = start


def unpacked(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Blocks of complete lines of a packed file, from its start, each with its unpacked size. Raises one of DAMAGED."""
    tail = b""
    with gzip.GzipFile(fileobj=file) as whole:
        while part := whole.read(BLOCK):
            block = tail + part
            cut = block.rfind(b"\n") + 1
            tail = block[cut:] if cut else block[: LONGEST + 1]
            yield len(part), block[:cut]


def telling_lines(block: bytes) -> list[bytes]:
    """The lines with one of NEEDLES, in their order. Searching a block is much faster than looking at each line."""
    found: dict[int, int] = {}
    for needle in NEEDLES:
        at = block.find(needle)
        while at >= 0:
            end = block.find(b"\n", at)
            found[block.rfind(b"\n", 0, at) + 1] = end
            at = block.find(needle, end)
    return [block[start : found[start]] for start in sorted(found)]
