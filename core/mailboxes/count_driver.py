"""Dovecot's quota driver ``count``: usage is the sum of the virtual sizes of all messages in the folders.

Dovecot keeps no file beside the mail for it; a maildirsize in the Maildir is a leftover of another driver and is not
read. Listing a directory of 100,000 messages takes a tenth of a second, and reading messages whose names lack their
virtual size takes minutes. An answer to Postfix waits for neither: for a big INBOX, and while a count goes on, it uses
the last usage. The poller (core/mailboxes/rounds.py) counts the accounts of recent requests each second.
"""

from __future__ import annotations

import contextlib
import os
import threading
from weakref import WeakValueDictionary

from ..base.mounts import Mounts
from ..base.others_folders import opened
from .folders import INBOX, Folders, is_folder, sum_folder, sum_folders
from .mailstore import Mailstore
from .measure import (
    NO_FILE,
    MailstoreAbsent,
    Measurement,
    ProbeOutcome,
    Unmeasurable,
    check_owner,
    counted,
    probe_inbox,
    unmeasurable,
)
from .vsizes import SizeCache, SizeCount, TooMuchToReadError

BIG_INBOX = 10_000  # messages; listing so many takes about 10 ms
READS_FOR_A_DECISION = 200


class _Lock:
    """A lock that a weak dictionary can hold: it goes once no thread uses it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class CountDriver:
    """Measures Maildirs as Dovecot's ``count`` does."""

    name = "count"

    def __init__(self, store: Mailstore) -> None:
        self._store = store
        self._mounts = Mounts()
        self.base = store.base
        self._sizes = SizeCache()
        self._locks: WeakValueDictionary[str, _Lock] = WeakValueDictionary()
        self._making = threading.Lock()
        self._again: set[str] = set()  # addresses whose next measurement reuses nothing

    def place(self, address: str) -> str:
        """The mount point of its Maildir."""
        return self._mounts.point_of(self._store.maildir(address))

    def record(self, address: str) -> str | None:
        """None: no file changes with each delivery."""
        return None

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """Two stats of INBOX; UNCHANGED for one of more than ``BIG_INBOX`` messages, which the poller counts."""
        if known is None or not known.folders:
            return ProbeOutcome.COUNT_DUE
        if known.folders[0].messages > BIG_INBOX:
            return ProbeOutcome.UNCHANGED
        return probe_inbox(self._store.maildir(address), known, NO_FILE)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """Count INBOX anew and take other folders as last counted. Raises Unmeasurable.

        Where another thread counts the mailbox, or too many files would have to be read, the last usage is returned.
        """
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
        """Count all folders that changed, however long it takes. Raises Unmeasurable."""
        lock = self._lock(address)
        with lock.lock:
            again = address in self._again
            self._again.discard(address)
            return self._count(address, None if again else known, None)

    look = measure
    survey = measure

    def recorded(self, address: str) -> tuple[int, int] | None:
        """None: Dovecot has no record but the messages themselves."""
        return None

    def recount(self, address: str, limit: int | None) -> str:
        """Drop all remembered sizes, so that the next measurement counts everything, and remove an old maildirsize.

        Returns ``unlink``. Raises OSError.
        """
        maildir = self._store.maildir(address)
        if not os.path.isdir(self._store.base):
            raise FileNotFoundError(2, "the mailstore is not there", self._store.base)
        self._sizes.keep(maildir, {})
        self._again.add(address)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), opened(maildir) as home:
            home.unlink("maildirsize")
        return "unlink"

    def folders(self, address: str) -> Folders:
        """Usage by folder, as ``measure``."""
        return self.measure(address, None, None, 0.0).folders or ()

    def _count(self, address: str, known: Measurement | None, reads: int | None) -> Measurement:
        maildir = self._store.maildir(address)
        counting = SizeCount(self._sizes.of(maildir), reads)
        try:
            check_owner(maildir)
            folders = self._folders(maildir, known, counting, everything=reads is None)
        except OSError as error:
            raise unmeasurable(maildir, error) from error
        if not folders and not os.path.isdir(self._store.base):
            raise MailstoreAbsent(f"{self._store.base} is not there")
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
