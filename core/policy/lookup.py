"""Looks at mailboxes for decisions: what a mailbox holds now, from the disk, and never waiting for a disk that hangs.

Theory of operation. A look is one stat in the *probe* lane; where that says that folders must be counted, the *count*
lane does it. Both are threads that may hang without harm (see core/base/lanes.py), several where the disk is slow; a
look that nobody waits for any more is not begun. A figure found lands in the ledger, also where its request was
answered long ago. Where the file reports its changes (core/policy/watch.py), the entry is *fresh* afterwards, and the
next decision needs no look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from mailquota.core.base.lanes import Lane
from mailquota.core.mailboxes.driver import Driver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Measurement, ProbeOutcome
from mailquota.core.policy.watch import FRESH_SECONDS, EventCounts, Watch

log = logging.getLogger(__name__)

PROBE_PATIENCE = 0.06
COUNT_PATIENCE = 5.0
_THREADS = 4


class PendingLookup:
    """One mailbox that is looked at, for whoever asked."""

    __slots__ = ("asker", "base", "entry", "events")

    def __init__(self, entry: Entry, asker: object) -> None:
        self.entry = entry
        self.asker = asker
        self.base: Measurement | None = None  # what was known when the work on it began
        self.events: EventCounts | None = None


class UsageLookup:
    """``done(look, bytes used)`` is called on the loop, with None where the mailbox can't be measured now.

    ``wanted(look)`` says whether somebody still waits for it.
    """

    def __init__(
        self,
        ledger: Ledger,
        driver: Driver,
        done: Callable[[PendingLookup, int | None], None],
        wanted: Callable[[PendingLookup], bool],
    ) -> None:
        self._ledger = ledger
        self._driver = driver
        self._done = done
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(driver.base)
        self._probes: Lane[PendingLookup, Measurement | ProbeOutcome] = Lane(
            "probe", self._probe, self._probed, stuck=self._hangs, key=_key, place=self._place,
            patience=PROBE_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip
        self._counts: Lane[PendingLookup, Measurement] = Lane(
            "count", self._count, self._counted, stuck=self._hangs, key=_key, place=self._place,
            patience=COUNT_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip

    @property
    def hanging(self) -> int:
        """Threads that wait for a file system which does not answer."""
        return self._probes.stuck + self._counts.stuck

    def start(self, entry: Entry, asker: object) -> None:
        """Look at a mailbox; ``done`` follows, never within this call."""
        lookup = PendingLookup(entry, asker)
        if not entry.fault and self._probes.usable(lookup):
            self._probes.submit(lookup)
        else:
            self._loop.call_soon(self._hangs, lookup)

    def close(self) -> None:
        """End the lanes."""
        self._probes.close()
        self._counts.close()
        self.watch.close()

    def _place(self, lookup: PendingLookup) -> str:
        return self._driver.place(lookup.entry.address)

    # ---- in the lanes' threads

    def _probe(self, lookup: PendingLookup) -> Measurement | ProbeOutcome:
        entry = lookup.entry
        lookup.base = entry.known
        record = self._driver.record(entry.address)
        lookup.events = self.watch.follow(entry, record) if record is not None else None
        return self._driver.probe(entry.address, entry.limit, lookup.base, time.time())

    def _count(self, lookup: PendingLookup) -> Measurement:
        entry = lookup.entry
        lookup.base = entry.known
        return self._driver.count(entry.address, entry.limit, lookup.base, time.time())

    # ---- on the loop

    def _probed(self, lookup: PendingLookup, result: Measurement | ProbeOutcome | Exception) -> None:
        if result is ProbeOutcome.COUNT_DUE and self._counts.usable(lookup):
            self._counts.submit(lookup)
        elif isinstance(result, Measurement):
            self._take(lookup, result)
        elif result is ProbeOutcome.UNCHANGED and lookup.base is not None:
            self._take(lookup, lookup.base)
        else:
            self._unmeasurable(lookup, result)

    def _counted(self, lookup: PendingLookup, result: Measurement | Exception) -> None:
        lookup.events = None  # deliveries into a counted mailbox change no file that is watched
        if isinstance(result, Measurement):
            self._take(lookup, result)
        else:
            self._unmeasurable(lookup, result)

    def _take(self, lookup: PendingLookup, known: Measurement) -> None:
        """A figure that holds now."""
        entry, events = lookup.entry, lookup.events
        taken = self._ledger.set_known(entry, lookup.base, known, time.time())
        if taken and known.source == "maildirsize" and events is not None and self.watch.holds(entry, events):
            lasting = FRESH_SECONDS if known.expires_at is None else known.expires_at - time.time()
            entry.keep_fresh(self._loop.time() + min(FRESH_SECONDS, lasting))
        self._done(lookup, known.used)

    def _unmeasurable(self, lookup: PendingLookup, result: object) -> None:
        if isinstance(result, Exception):
            if lookup.entry.trouble is None:
                log.warning("%s can't be measured: %s", lookup.entry.address, result)
            self._ledger.set_trouble(lookup.entry, str(result))
        self._done(lookup, None)

    def _hangs(self, lookup: PendingLookup) -> None:
        self._done(lookup, None)


def _key(lookup: PendingLookup) -> str:
    return lookup.entry.address
