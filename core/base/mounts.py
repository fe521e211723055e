"""Finds the file system of a path in the kernel's list of mounts, without touching the path, which may hang."""

from __future__ import annotations

import os
import re
import select
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import NamedTuple

_MOUNTINFO = "/proc/self/mountinfo"
FSTAB = "/etc/fstab"
_OCTAL = re.compile(r"\\([0-7]{3})")
_KEPT_SECONDS = 5.0
_ALL_ALIKE = {"tmpfs", "ramfs", "overlay"}  # the source of one says nothing of which it is
_NO_DISK = "0:"  # numbers of file systems without a disk, which are given to others again
_DELETED = "//deleted"  # what the kernel appends to the root of a bind mount whose folder was removed


class Mount(NamedTuple):
    """A mount point and the type of its file system: ext4, nfs4 …

    ``source`` is what is mounted (``/dev/sdb1``, ``server:/mail``), ``root`` the folder of it that is seen at the mount
    point (``/`` but for bind mounts), ``device`` its number as ``major:minor``, which may be another one after a
    restart of the machine. ``number`` and ``parent`` are those of the mount and of the one that it is mounted on.
    """

    point: str
    kind: str
    source: str = ""
    root: str = "/"
    device: str = ""
    number: str = ""
    parent: str = ""

    def is_same(self, other: Mount) -> bool:
        """Whether both show the same folder of the same file system at the same mount point."""
        if (self.point, self.root, self.kind) != (other.point, other.root, other.kind):
            return False
        if self.source != other.source:
            return self.device == other.device and not self.device.startswith(_NO_DISK)
        return self.device == other.device or self.kind not in _ALL_ALIKE


def parse(mountinfo: str) -> list[Mount]:
    """The mounts in the text of /proc/self/mountinfo (proc(5)), in its order. Blanks are written as \\040 there."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, about = left.split(" "), right.split(" ")
        if len(fields) > 4 and right:
            source = _plain(about[1]) if len(about) > 1 else ""
            root = _plain(fields[3]).removesuffix(_DELETED)
            mounts.append(Mount(_plain(fields[4]), about[0], source, root, fields[2], fields[0], fields[1]))
    return mounts


def _plain(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def is_inside(path: str, point: str) -> bool:
    """Whether an absolute path is this folder, or below it."""
    return path == point or path.startswith(point.rstrip("/") + "/")


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount:
    """The mount that an absolute path without symbolic links is on, as the kernel walks down to it.

    A mount covers the one that was there before, and with it all that is mounted below that.
    """
    above = [mount for mount in mounts if is_inside(path, mount.point)]
    numbers = {mount.number for mount in above}
    found = next((mount for mount in above if mount.parent not in numbers), Mount("", ""))
    while above:
        below = [mount for mount in above if mount.parent == found.number and mount is not found]
        if not below:
            break
        nearest = min(len(mount.point) for mount in below)
        found = [mount for mount in below if len(mount.point) == nearest][-1]
        above.remove(found)
    return found


def wanted_mount(path: str, fstab: Iterable[Mount]) -> Mount:
    """The line of an fstab(5) that an absolute path without symbolic links belongs to."""
    found = [mount for mount in fstab if is_inside(path, mount.point)]
    return max(found, key=lambda mount: len(mount.point), default=Mount("", ""))


def read() -> list[Mount]:
    """The mounts as they are now; empty where /proc can't be read."""
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            return parse(file.read())
    except OSError:
        return []


def read_fstab(path: str = FSTAB) -> list[Mount]:
    """The file systems that this machine is to mount at its start, by fstab(5); empty where that can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return parse_fstab(file.read())
    except OSError:
        return []


def parse_fstab(text: str) -> list[Mount]:
    """The lines of an fstab(5), without those that are not to be mounted at the start (``noauto``)."""
    mounts = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[0].startswith("#") or not fields[1].startswith("/"):
            continue
        if "noauto" not in fields[3].split(","):
            mounts.append(Mount(_plain(fields[1]).rstrip("/") or "/", fields[2], _plain(fields[0])))
    return mounts


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


class MountTable:
    """The list of mounts as it is at this moment: the kernel tells when it has changed, so a look costs a microsecond.

    Used from any thread. Where the kernel can't be asked for changes the list is read at each look.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle = -1
        self._poll = select.poll()
        self._mounts: tuple[Mount, ...] = ()
        self.changes = 0  # how often the list was found to be another one
        try:
            self._handle = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._handle, select.POLLERR | select.POLLPRI)
        except OSError:
            self._poll = select.poll()

    def now(self) -> tuple[Mount, ...]:
        """The mounts; the same object while nothing changed."""
        with self._lock:
            if self._handle < 0 or not self._mounts or self._poll.poll(0):
                found = tuple(read())
                if found != self._mounts:
                    self._mounts = found
                    self.changes += 1
            return self._mounts

    def close(self) -> None:
        """Let the kernel's list go."""
        with self._lock:
            handle, self._handle = self._handle, -1
            if handle >= 0:
                self._poll.unregister(handle)
                os.close(handle)
