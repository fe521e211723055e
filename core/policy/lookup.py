"""Looks up the usage of mailboxes for answers to Postfix, without ever waiting for a file system that hangs.

Theory of operation. A lookup is a call of the driver's ``probe`` in the *probe* lane, at most one stat and one small
read. Where that says that the folders have to be counted, the *count* lane calls the driver's ``count``. Lanes are
threads that may hang without harm (core/base/lanes.py), and a second one starts only where a file system is slow. A
lookup whose request has been answered meanwhile is not begun.

A lane hands the result back on the loop, and it goes into the ledger, also where its request was answered long ago: the
next request then has it. Where the mailbox's file is watched (core/policy/watch.py) and did not change since before the
probe, the entry is *fresh* afterwards, and the next answer needs no lookup.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..base.helper_calls import Helper
from ..base.lanes import Lane
from ..mailboxes.driver import Driver, go_ahead
from ..mailboxes.ledger import Entry, Ledger
from ..mailboxes.measure import MadeUnreadable, Measurement, ProbeOutcome
from .watch import FRESH_SECONDS, EventCounts, Watch

log = logging.getLogger(__name__)

PROBE_PATIENCE = 0.06  # seconds; a probe that takes longer hangs, and its mailbox is left out until it returns
COUNT_PATIENCE = 5.0
_THREADS = 4


class PendingLookup:
    """The lookup of one mailbox for one request."""

    __slots__ = ("base", "before", "entry", "request")

    def __init__(self, entry: Entry, request: object) -> None:
        self.entry = entry
        self.request = request
        self.base: Measurement | None = None  # the last measurement when the work began
        self.before: EventCounts | None = None  # of the watch, before the probe; None where nothing is watched


class UsageLookup:
    """Looks usage up in threads; used on the engine's loop.

    ``done(lookup, used)`` is called on the loop, with bytes, or None where the mailbox can't be measured now.
    ``wanted(lookup)`` is called in a thread and says whether its request still waits.
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
        self._helper: Helper | None = None
        self.watch = Watch(driver.base)
        self._probes: Lane[PendingLookup, Measurement | ProbeOutcome] = Lane(
            "probe", self._probe, self._probed, stuck=self._hangs, key=_key, place=self._place,
            patience=PROBE_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip
        self._counts: Lane[PendingLookup, Measurement] = Lane(
            "count", self._count, self._counted, stuck=self._hangs, key=_key, place=self._place,
            patience=COUNT_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip

    def work_by(self, helper: Helper) -> None:
        """Have this one probe and add the watches: the engine itself has no rights in mailboxes. Before any lookup."""
        self._helper = helper
        self._probes.prepare = self._go_ahead
        self.watch.work_by(helper)

    @property
    def hanging(self) -> int:
        """The number of threads that wait for a file system which does not answer."""
        return self._probes.hanging_threads + self._counts.hanging_threads

    def start(self, entry: Entry, request: object) -> None:
        """Look a mailbox up; ``done`` is called later, never within this call."""
        lookup = PendingLookup(entry, request)
        if not entry.fault and self._probes.usable(lookup):
            self._probes.submit(lookup)
        else:  # its file system hangs, or its limit is not usable: trouble, at once
            self._loop.call_soon(self._hangs, lookup)

    def close(self) -> None:
        """End the lanes and the watch."""
        self._probes.close()
        self._counts.close()
        self.watch.close()

    def _place(self, lookup: PendingLookup) -> str:
        return self._driver.place(lookup.entry.address)

    # ---- in the lanes' threads

    def _go_ahead(self, lookups: list[PendingLookup]) -> None:
        """Have the helper begin the probes of a batch."""
        for lookup in lookups:
            lookup.base = lookup.entry.known
            lookup.before = self.watch.counts(lookup.entry)
        go_ahead(self._driver, [(each.entry.address, each.entry.limit, each.base) for each in lookups])

    def _probe_by(self, helper: Helper, lookup: PendingLookup) -> Measurement | ProbeOutcome:
        """As ``_probe``; the helper adds the watch, before its probe."""
        entry, before = lookup.entry, lookup.before
        lookup.before = None
        helper.take_watch()
        found = self._driver.probe(entry.address, entry.limit, lookup.base, time.time())
        watch = helper.take_watch()
        if before is not None and watch >= 0 and self._driver.record(entry.address) is not None:
            self.watch.followed(entry, watch)
            lookup.before = before
        return found

    def _probe(self, lookup: PendingLookup) -> Measurement | ProbeOutcome:
        if self._helper is not None:
            return self._probe_by(self._helper, lookup)
        entry = lookup.entry
        lookup.base = entry.known
        # Watch first, then probe: a change after the probe is then an event, and none falls between the two.
        record = self._driver.record(entry.address)
        lookup.before = self.watch.follow(entry, record) if record is not None else None
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
        lookup.before = None  # a delivery into a mailbox that was counted changes no file that is watched
        if isinstance(result, Measurement):
            self._take(lookup, result)
        else:
            self._unmeasurable(lookup, result)

    def _take(self, lookup: PendingLookup, known: Measurement) -> None:
        """Put a measurement into the ledger, and let answers use it as long as the watch holds."""
        entry, before = lookup.entry, lookup.before
        taken = self._ledger.set_known(entry, lookup.base, known, time.time())
        if taken and known.source == "maildirsize" and before is not None and self.watch.holds(entry, before):
            # What Dovecot will disbelieve after some time (core/mailboxes/maildirsize.py) is fresh until then at most.
            lasting = FRESH_SECONDS if known.expires_at is None else known.expires_at - time.time()
            entry.keep_fresh(self._loop.time() + min(FRESH_SECONDS, lasting))
        self._done(lookup, known.used)

    def _unmeasurable(self, lookup: PendingLookup, result: object) -> None:
        if isinstance(result, Exception):
            if lookup.entry.trouble is None:
                log.warning("%s can't be measured: %s", lookup.entry.address, result)
            self._ledger.set_trouble(lookup.entry, str(result), unreadable=isinstance(result, MadeUnreadable))
        self._done(lookup, None)

    def _hangs(self, lookup: PendingLookup) -> None:
        self._done(lookup, None)


def _key(lookup: PendingLookup) -> str:
    return lookup.entry.address
