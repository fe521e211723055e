"""Probes for answers to Postfix: many in one order, their results as they are ready, and the watches of their files.

A probe that hangs must not keep back the results of those before it: a thread of its own sends what is ready every few
milliseconds while batches are worked at.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
import time
from collections import deque

import msgspec

from ..base import mounts
from ..base.errors import MailquotaError
from ..base.helper_calls import LONGEST_REASON, Ahead, send
from ..mailboxes.folders import FolderSum
from ..mailboxes.measure import MadeUnreadable, MailstoreAbsent, Measurement, ProbeOutcome, Unmeasurable
from .verbs import Verbs

_MASK = 0x2 | 0x4 | 0x400 | 0x800  # IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF: as core/policy/watch.py
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "tmpfs", "bcachefs"})
_SOON = 0.005  # seconds
_DEVICE_SECONDS = 5.0  # how long the device of the mailstore is believed
_ENCODER = msgspec.msgpack.Encoder()
_libc = ctypes.CDLL(None, use_errno=True)


class Asked(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The words of a probe: the driver, the account, its limits, and of its last measurement source, stamp, expiry and
    INBOX."""

    driver: str
    name: str
    limit: int | None
    most: int | None
    known: tuple[str, int | None, float | None, FolderSum | None] | None


class Watcher:
    """Adds watches to descriptors of inotify that engines sent."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._device = -1
        self._looked = float("-inf")

    def add(self, notify: int, path: str) -> int:
        """The number of the watch; -1 where there is none. May hang with the file system."""
        if notify < 0:
            return -1
        try:
            if os.stat(path).st_dev != self._of_mailstore():
                return -1
        except (OSError, ValueError):
            return -1
        return int(_libc.inotify_add_watch(notify, os.fsencode(path), _MASK))

    def _of_mailstore(self) -> int:
        """The device of the folder above all mailboxes; -2 where changes may go unreported. Raises OSError."""
        now = time.monotonic()
        if now - self._looked > _DEVICE_SECONDS:
            kind = mounts.mount_of(os.path.realpath(self._base), mounts.read()).kind
            self._device = os.stat(self._base).st_dev if kind in _LOCAL else -2
            self._looked = now
        return self._device


class Batch:
    """The results of one order that are not sent yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ready: deque[Ahead] = deque()
        self._sending = threading.Lock()

    def add(self, result: Ahead) -> None:
        """A probe is done."""
        self._ready.append(result)

    def flush(self) -> None:
        """Send what is ready. Raises OSError."""
        with self._sending:
            ready = [self._ready.popleft() for _ in range(len(self._ready))]
            if ready:
                send(self._sock, _ENCODER.encode(ready))


class Flusher:
    """Sends the results of batches that take long. Its thread rests while there is no batch."""

    def __init__(self) -> None:
        self._batches: dict[Batch, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        threading.Thread(target=self._run, name="flusher", daemon=True).start()

    def begin(self, batch: Batch) -> None:
        """A batch is worked at."""
        with self._lock:
            self._batches[batch] = time.monotonic()
        self._wake.set()

    def end(self, batch: Batch) -> None:
        """It is done."""
        with self._lock:
            self._batches.pop(batch, None)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_SOON)
            with self._lock:
                batches = list(self._batches)
                if not batches:
                    self._wake.clear()
            for batch in batches:
                try:
                    batch.flush()
                except OSError:
                    self.end(batch)  # its own thread finds the connection closed


def work_off(verbs: Verbs, watcher: Watcher, notify: int, asked: list[Asked], batch: Batch) -> None:
    """Do these probes, and send their results. Raises OSError where the engine has gone."""
    for each in asked:
        batch.add(_probe(verbs, watcher, notify, each))
    batch.flush()


def _probe(verbs: Verbs, watcher: Watcher, notify: int, asked: Asked) -> Ahead:
    watch = -1
    try:
        driver = verbs.driver(asked.driver)
        # Watch first, then probe: a change after the probe is then an event, and none falls between the two.
        record = driver.record(verbs.name(asked.name))
        watch = -1 if record is None else watcher.add(notify, record)
        found = verbs.probe(driver, asked.name, asked.limit, asked.most, _known(asked))
    except MailstoreAbsent as error:
        return Ahead(watch, 4, reason=_text(error))
    except MadeUnreadable as error:
        return Ahead(watch, 5, reason=_text(error))
    except (Unmeasurable, MailquotaError, OSError) as error:
        return Ahead(watch, 3, reason=_text(error))
    if isinstance(found, Measurement):
        return Ahead(watch, 0, found.used, found.messages, found.stamp or 0, found.expires_at)
    return Ahead(watch, 1 if found is ProbeOutcome.COUNT_DUE else 2)


def _known(asked: Asked) -> Measurement | None:
    """The last measurement, as far as a probe needs it."""
    if asked.known is None:
        return None
    source, stamp, expires_at, inbox = asked.known
    folders = None if inbox is None else (inbox,)
    kind = "scan" if source == "scan" else "maildirsize"
    return Measurement(0, 0, kind, stamp, expires_at=expires_at, folders=folders)  # type: ignore[arg-type]


def _text(error: Exception) -> str:
    return str(error)[:LONGEST_REASON].encode("utf-8", "backslashreplace").decode()[:LONGEST_REASON]
