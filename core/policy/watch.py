"""Change notification for maildirsize files (inotify), so that a busy mailbox needs no look at the disk per answer.

Theory of operation. ``follow`` runs in the thread that looks at a mailbox, before it looks: the file is watched first,
so a change after the look is an event. ``drain`` runs on the loop before each decision. The kernel queues an event
before the writer's system call returns; so whoever asks after a delivery finds the event in the queue. Once in a
turn of the loop is enough, before its first decision: what is answered in a turn was asked before it began. An entry is
*fresh* while its watch holds: no event since the mark was taken, at most ``FRESH_SECONDS`` (which covers what has no
event on the file, like a folder above it that was renamed). Where anything is in doubt, nothing is fresh, and the
mailbox is looked at as if there were no notification.

Only file systems that are known to report every change are watched: not NFS, where other hosts write, not FUSE, not
overlays. Watches of files that nobody asks about any more are taken back by ``prune``.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import termios
from contextlib import suppress
from typing import NamedTuple

from inotify_simple import INotify, flags

from mailquota.core.base import mounts, restarts
from mailquota.core.mailboxes.ledger import Entry

log = logging.getLogger(__name__)

FRESH_SECONDS = 10.0
IDLE_SECONDS = 30.0  # a file that nobody asked about for so long is not watched any more
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "tmpfs", "bcachefs"})
_MASK = flags.MODIFY | flags.ATTRIB | flags.DELETE_SELF | flags.MOVE_SELF
_LOST = flags.Q_OVERFLOW | flags.IGNORED | flags.UNMOUNT
_NOTHING = bytearray(4)


class EventCounts(NamedTuple):
    """What was known when a look began."""

    events: int
    doubts: int


class Watch:
    """Made on the loop. Without inotify, or off a local file system, it does nothing."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._device: int | None = None  # of the mailstore, where its file system reports every change
        self._entries: dict[int, list[Entry]] = {}
        self._doubts = 0  # counts what might have hidden an event
        self._full = False
        self._waiting = bytearray(4)
        self._drained = False  # in this turn of the loop
        self._loop = asyncio.get_running_loop()
        self._notify = self._open()

    def _open(self) -> INotify | None:
        try:
            notify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("no change notification (%s): each decision looks at the disk", error.strerror)
            return None
        self._loop.add_reader(notify.fileno(), self.drain)
        return notify

    # ---- in the thread that looks

    def follow(self, entry: Entry, path: str) -> EventCounts | None:
        """Watch the file before it is looked at; None where that can't be. May hang as any look may."""
        before = EventCounts(entry.events, self._doubts)
        notify = self._notify
        if notify is None or self._full or not self._is_local(path):
            return None
        try:
            watch = notify.add_watch(path, _MASK)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # ENOSPC: the system's limit of watches
            self._full = True
            log.info("no further change notification: %s", error)
            return None
        entries = self._entries.setdefault(watch, [])
        if entry not in entries:
            entries.append(entry)
        return before

    def _is_local(self, path: str) -> bool:
        if self._device is None:
            self._device = self._find_device()
        try:
            return self._device == os.stat(path).st_dev
        except OSError:
            return False

    def _find_device(self) -> int | None:
        """The device of the mailstore's top folder; -1 where changes may go unreported, None where it is missing."""
        try:
            kind = mounts.mount_of(os.path.realpath(self._base), mounts.read()).kind
            return os.stat(self._base).st_dev if kind in _LOCAL else -1
        except OSError:
            return None

    # ---- on the loop

    def holds(self, entry: Entry, before: EventCounts) -> bool:
        """Whether nothing happened since the mark was taken."""
        self.drain()
        return before == (entry.events, self._doubts)

    def drain_once(self) -> None:
        """``drain``, once in a turn of the loop."""
        if not self._drained:
            self._drained = True
            self._loop.call_soon(self._next_turn)
            self.drain()

    def _next_turn(self) -> None:
        self._drained = False

    def drain(self) -> None:
        """Take the events that are there, and end the freshness of what they name."""
        notify, waiting = self._notify, self._waiting
        if notify is None:
            return
        try:
            fcntl.ioctl(notify.fd, termios.FIONREAD, waiting)
            if waiting == _NOTHING:
                return
            events = notify.read(timeout=0)
        except (OSError, ValueError) as error:
            self._begin_anew(error)
            return
        for watch, mask, _, _ in events:
            entries = self._entries.get(watch, ())
            for entry in entries:
                entry.note_event()
            if mask & _LOST or not entries:
                self._lose(watch, everything=bool(mask & flags.Q_OVERFLOW))

    def _lose(self, watch: int, *, everything: bool) -> None:
        """A watch ended, an event came before its watch was known, or events were dropped: what is being looked at
        now can't be fresh."""
        self._doubts += 1
        self._entries.pop(watch, None)
        if everything:
            for entries in list(self._entries.values()):
                for entry in entries:
                    entry.end_freshness()

    def _begin_anew(self, error: Exception) -> None:
        """The kernel's file is of no use any more: nothing is fresh, and nothing is watched but by another one."""
        restarts.count("change notification", error)
        for entries in list(self._entries.values()):
            for entry in entries:
                entry.end_freshness()
        self.close()
        self._doubts += 1
        self._entries.clear()
        self._notify = self._open()

    def prune(self, now: float) -> None:
        """Take back the watches of what was not fresh for a while; ``now`` is the loop's time."""
        notify = self._notify
        if notify is None:
            return
        self._full = False
        idle = [
            watch
            for watch, entries in list(self._entries.items())
            if all(entry.fresh_until < now - IDLE_SECONDS for entry in entries)
        ]
        for watch in idle:
            del self._entries[watch]
            try:
                notify.rm_watch(watch)
            except OSError:
                log.debug("a watch was gone already")

    def close(self) -> None:
        """Give the file back."""
        notify, self._notify = self._notify, None
        if notify is not None:
            with suppress(OSError, ValueError):  # it may be closed already
                self._loop.remove_reader(notify.fileno())
                notify.close()
