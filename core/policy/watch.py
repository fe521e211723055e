"""Change notification for maildirsize files (inotify), so that answers about a busy mailbox need no stat each.

Theory of operation. ``follow`` runs in the thread of a probe, before the probe: the file is watched first, so a change
after the probe is an event. ``drain`` runs on the loop before an answer. The kernel queues an event before the writer's
system call returns; so a request that Postfix sends after a delivery finds the event in the queue. One drain in a turn
of the loop is enough, before its first answer: all requests of a turn arrived before the turn began.

An entry is *fresh* while its watch holds: no event since before the probe, and at most ``FRESH_SECONDS``. That limit
covers changes without an event on the file, as when a folder above it is renamed. Where an event may have been missed
(a *doubt*), nothing becomes fresh, and mailboxes are probed as if there were no notification.

Only file systems that are known to report every change are watched: not NFS, where other hosts write, not FUSE, not
overlays. ``prune`` ends the watches of files without recent requests.
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

from ..base import mounts, restarts
from ..base.helper_calls import Helper
from ..mailboxes.ledger import Entry

log = logging.getLogger(__name__)

FRESH_SECONDS = 10.0
IDLE_SECONDS = 30.0  # so long after its freshness an entry without a new lookup is not watched any more
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "tmpfs", "bcachefs"})
_MASK = flags.MODIFY | flags.ATTRIB | flags.DELETE_SELF | flags.MOVE_SELF
_LOST = flags.Q_OVERFLOW | flags.IGNORED | flags.UNMOUNT  # events were dropped, or the watch has ended
_NOTHING = bytearray(4)  # FIONREAD: 0 bytes wait


class EventCounts(NamedTuple):
    """The counters before a probe: events of the entry, and doubts of the watch."""

    events: int
    doubts: int


class Watch:
    """Watches the files of entries below ``base``. Made on the loop.

    Without inotify, or on a file system that is not local, nothing is ever fresh.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._helper: Helper | None = None
        self._device: int | None = None  # of the mailstore, where its file system reports every change
        self._entries: dict[int, list[Entry]] = {}
        self._doubts = 0  # how often an event may have been missed
        self._full = False  # the system's limit of watches is reached
        self._waiting = bytearray(4)
        self._drained = False  # in this turn of the loop
        self._loop = asyncio.get_running_loop()
        self._notify = self._open()

    def _open(self) -> INotify | None:
        try:
            notify = INotify(nonblocking=True)
        except OSError as error:
            log.warning("no change notification (%s): each answer needs a look at its mailbox", error.strerror)
            return None
        self._loop.add_reader(notify.fileno(), self.drain)
        if self._helper is not None:
            self._helper.watch_with(notify.fileno())
        return notify

    def work_by(self, helper: Helper) -> None:
        """Have this one add the watches: the engine itself has no rights in mailboxes."""
        self._helper = helper
        if self._notify is not None:
            helper.watch_with(self._notify.fileno())

    # ---- in the thread of a probe

    def follow(self, entry: Entry, path: str) -> EventCounts | None:
        """Watch the file at ``path``, before it is probed; None where that is not possible.

        May hang with its file system. Adding a watch twice is harmless: the kernel returns the same number.
        """
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
        self.followed(entry, watch)
        return before

    def counts(self, entry: Entry) -> EventCounts:
        """The counters now, before a probe by the helper."""
        return EventCounts(entry.events, self._doubts)

    def followed(self, entry: Entry, watch: int) -> None:
        """The entry's file has this watch. An event that came before finds no entries for it, and is a doubt."""
        entries = self._entries.setdefault(watch, [])
        if entry not in entries:
            entries.append(entry)

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
        """Whether no change, and no doubt, came since ``follow`` returned ``before``."""
        self.drain()
        return before == (entry.events, self._doubts)

    def drain_once(self) -> None:
        """Call ``drain`` unless that was done in this turn of the loop."""
        if not self._drained:
            self._drained = True
            self._loop.call_soon(self._next_turn)
            self.drain()

    def _next_turn(self) -> None:
        self._drained = False

    def drain(self) -> None:
        """Take the events that wait, and end the freshness of the entries that they are about.

        Called for answers: where no event waits it costs one ioctl.
        """
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
        """A watch ended, an event came before its watch was noted, or events were dropped.

        Which entries that is about is not known, so no probe that is going on may make its entry fresh.
        """
        self._doubts += 1
        self._entries.pop(watch, None)
        if everything:
            for entries in list(self._entries.values()):
                for entry in entries:
                    entry.end_freshness()

    def _begin_anew(self, error: Exception) -> None:
        """The descriptor of inotify fails: end all freshness, and open another one. Files are watched as they come."""
        restarts.count("change notification", error)
        for entries in list(self._entries.values()):
            for entry in entries:
                entry.end_freshness()
        self.close()
        self._doubts += 1
        self._entries.clear()
        self._notify = self._open()

    def doubt_all(self) -> None:
        """End all freshness, and let no probe that is going on make its entry fresh: a file system came or went."""
        self._doubts += 1
        self._device = None  # it may be another one
        for entries in list(self._entries.values()):
            for entry in entries:
                entry.end_freshness()

    def prune(self, now: float) -> None:
        """End the watches of entries whose freshness ended long ago or by an event; ``now`` is in loop time."""
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
                log.debug("a watch had ended already")

    def close(self) -> None:
        """Close the descriptor of inotify. Entries that are fresh stay so."""
        notify, self._notify = self._notify, None
        if notify is not None:
            with suppress(OSError, ValueError):  # it may be closed already
                self._loop.remove_reader(notify.fileno())
                notify.close()
