"""Dovecot's quota driver ``count``: the sum of the virtual sizes of all messages, from the folders.

Dovecot keeps no file beside the mail for it, so a maildirsize that lies there is a leftover and is never looked at.
Listing a directory of 100,000 messages takes a tenth of a second, reading messages whose names don't tell their virtual
size minutes. A decision waits for neither: for a big INBOX, and while a count goes on, it uses what is known, and the
poller, which looks each second at the accounts that were asked about, counts.
"""

from __future__ import annotations

import contextlib
import os
import threading
from weakref import WeakValueDictionary

from mailquota.core.base.mounts import Mounts
from mailquota.core.mailboxes.folders import INBOX, Folders, is_folder, sum_folder, sum_folders
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import (
    NO_FILE,
    Measurement,
    ProbeOutcome,
    Unmeasurable,
    counted,
    probe_inbox,
    reason,
)
from mailquota.core.mailboxes.vsizes import SizeCache, SizeCount, TooMuchToReadError

BIG_INBOX = 10_000  # messages; listing so many takes about 10 ms
READS_FOR_A_DECISION = 200


class _Lock:
    """A lock that can be referred to weakly."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class CountDriver:
    """See the module."""

    name = "count"

    def __init__(self, store: Mailstore) -> None:
        self._store = store
        self._mounts = Mounts()
        self.base = store.base
        self._sizes = SizeCache()
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
        self._making = threading.Lock()
        self._again: set[str] = set()  # whose next measuring starts from nothing

    def place(self, address: str) -> str:
        """See Driver."""
        return self._mounts.point_of(self._store.maildir(address))

    def record(self, address: str) -> str | None:
        """See Driver. There is none: a delivery writes to a directory of its own."""
        return None

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """See Driver."""
        if known is None or not known.folders:
            return ProbeOutcome.COUNT_DUE
        if known.folders[0].messages > BIG_INBOX:
            return ProbeOutcome.UNCHANGED
        return probe_inbox(self._store.maildir(address), known, NO_FILE)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver. INBOX anew, other folders as last counted."""
        lock = self._lock(address)
        if not lock.lock.acquire(blocking=False):
            return _usable(known)
        try:
            return self._count(address, known, READS_FOR_A_DECISION)
        except TooMuchToReadError:
            return _usable(known)
        finally:
            lock.lock.release()

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """See Driver."""
        lock = self._lock(address)
        with lock.lock:
            again = address in self._again
            self._again.discard(address)
            return self._count(address, None if again else known, None)

    look = measure
    survey = measure

    def recorded(self, address: str) -> tuple[int, int] | None:
        """See Driver. There is no record but the messages themselves."""
        return None

    def recount(self, address: str, limit: int | None) -> str:
        """See Driver. Whatever was remembered is counted anew; a maildirsize of another time goes."""
        maildir = self._store.maildir(address)
        if not os.path.isdir(self._store.base):
            raise FileNotFoundError(2, "the mailstore is not there", self._store.base)
        self._sizes.keep(maildir, {})
        self._again.add(address)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(f"{maildir}/maildirsize")
        return "unlink"

    def folders(self, address: str) -> Folders:
        """See Driver."""
        return self.measure(address, None, None, 0.0).folders or ()

    def _count(self, address: str, known: Measurement | None, reads: int | None) -> Measurement:
        maildir = self._store.maildir(address)
        counting = SizeCount(self._sizes.of(maildir), reads)
        try:
            folders = self._folders(maildir, known, counting, everything=reads is None)
        except OSError as error:
            raise Unmeasurable(reason(error)) from error
        if not folders and not os.path.isdir(self._store.base):
            raise Unmeasurable(f"{self._store.base} is not there")
        if counting.listed:
            self._sizes.keep(maildir, counting.sizes(maildir, folders))
        return counted(self._store, folders, NO_FILE, known)

    @staticmethod
    def _folders(maildir: str, known: Measurement | None, counting: SizeCount, *, everything: bool) -> Folders:
        before = (known.folders if known else None) or ()
        if before and not everything:
            inbox = sum_folder(maildir, INBOX, before[0], counting.sum_names)
            if is_folder(inbox):
                return (inbox, *before[1:])
        return sum_folders(maildir, before, summing=counting.sum_names)

    def _lock(self, address: str) -> _Lock:
        with self._making:
            return self._locks.setdefault(address, _Lock())


def _usable(known: Measurement | None) -> Measurement:
    if known is None:
        raise Unmeasurable("its messages are still being counted")
    return known
