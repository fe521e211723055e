"""The files of a log, and their whole lines in blocks, each with how many bytes were read for it.

A log is written into one file. What was put aside of it lies beside that, under the same name with a number or a date
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

from mailquota.core.servers.mail_log.lines import LONGEST, NEEDLES

BLOCK = 1 << 20
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)  # of a packed file that is cut off, or none

_PACKED = ".gz"
_PUT_ASIDE = re.compile(r"[.-][0-9][0-9-]*(?:\.gz)?", re.ASCII)


def parts(path: str, since: float) -> list[str]:
    """A log and what was put aside of it, newest first, as far as somebody has written into it since then.

    What may not be read is among them.
    """
    if not path.startswith("/") or "\0" in path:
        return []
    beside = glob.glob(f"{glob.escape(path)}[.-][0-9]*")
    names = {path, *(name for name in beside if _PUT_ASIDE.fullmatch(name.removeprefix(path)))}
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
    """By its name."""
    return path.endswith(_PACKED)


def last_first(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The last block first. A line that is not ended is still being written."""
    end = file.seek(0, os.SEEK_END)
    tail = b""  # of a line that begins in the block before
    last = True
    while end > 0:
        start = max(0, end - BLOCK)
        file.seek(start)
        block = file.read(end - start) + tail
        if last:
            block, last = block[: block.rfind(b"\n") + 1], False
        cut = block.find(b"\n") + 1 if start else 0
        if start and not cut:
            block, tail = b"", block[: LONGEST + 1]  # no line: too long to be read, so it need not be kept whole
        else:
            tail = block[:cut]
        yield end - start, block[cut:]
        end = start


def unpacked(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The first block first, of what gzip packed. Raises one of DAMAGED."""
    tail = b""
    with gzip.GzipFile(fileobj=file) as whole:
        while part := whole.read(BLOCK):
            block = tail + part
            cut = block.rfind(b"\n") + 1
            tail = block[cut:] if cut else block[: LONGEST + 1]
            yield len(part), block[:cut]


def telling_lines(block: bytes) -> list[bytes]:
    """The lines with a word that matters, in their order."""
    found: dict[int, int] = {}
    for needle in NEEDLES:
        at = block.find(needle)
        while at >= 0:
            end = block.find(b"\n", at)
            found[block.rfind(b"\n", 0, at) + 1] = end
            at = block.find(needle, end)
    return [block[start : found[start]] for start in sorted(found)]
