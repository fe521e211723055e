"""Finds the file system of a path in the kernel's list of mounts, without touching the path, which may hang."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

_MOUNTINFO = "/proc/self/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")
_KEPT_SECONDS = 5.0


class Mount(NamedTuple):
    """A mount point and the type of its file system: ext4, nfs4 …"""

    point: str
    kind: str


def parse(mountinfo: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo (proc(5)), in its order. Blanks are written as \\040 there."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) > 4 and right:
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            mounts.append(Mount(point, right.split(" ")[0]))
    return mounts


def mount_of(path: str, mounts: list[Mount]) -> Mount:
    """The mount that an absolute path without symbolic links is on. A later mount covers an earlier one."""
    best = Mount("", "")
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and len(mount.point) >= len(best.point):
            best = mount
    return best


def read() -> list[Mount]:
    """The mounts as they are now; empty where /proc can't be read."""
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            return parse(file.read())
    except OSError:
        return []


class Mounts:
    """The list of mounts, read again when it is older than five seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._read_at = float("-inf")
        self._mounts: list[Mount] = []

    def point_of(self, path: str) -> str:
        """The mount point of the file system that a path is on."""
        now = self._clock()
        if now - self._read_at > _KEPT_SECONDS:
            self._mounts, self._read_at = read(), now
        return mount_of(path, self._mounts).point
