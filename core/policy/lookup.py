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
from mailquota.core.mailboxes.measure import Measurement, Need
from mailquota.core.policy.watch import FRESH_SECONDS, Mark, Watch

log = logging.getLogger(__name__)

PROBE_PATIENCE = 0.06
COUNT_PATIENCE = 5.0
_THREADS = 4


class Look:
    """One mailbox that is looked at, for whoever asked."""

    __slots__ = ("asker", "base", "entry", "mark")

    def __init__(self, entry: Entry, asker: object) -> None:
        self.entry = entry
        self.asker = asker
        self.base: Measurement | None = None  # what was known when the work on it began
        self.mark: Mark | None = None


class UsageLookup:
    """``done(look, bytes used)`` is called on the loop, with None where the mailbox can't be measured now.

    ``wanted(look)`` says whether somebody still waits for it.
    """

    def __init__(
        self, ledger: Ledger, driver: Driver, done: Callable[[Look, int | None], None], wanted: Callable[[Look], bool]
    ) -> None:
        self._ledger = ledger
        self._driver = driver
        self._done = done
        self._loop = asyncio.get_running_loop()
        self.watch = Watch(driver.base)
        self._probes: Lane[Look, Measurement | Need] = Lane(
            "probe", self._probe, self._probed, stuck=self._hangs, key=_key, place=self._place,
            patience=PROBE_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip
        self._counts: Lane[Look, Measurement] = Lane(
            "count", self._count, self._counted, stuck=self._hangs, key=_key, place=self._place,
            patience=COUNT_PATIENCE, threads=_THREADS, wanted=wanted,
        )  # fmt: skip

    @property
    def hanging(self) -> int:
        """Threads that wait for a file system which does not answer."""
        return self._probes.stuck + self._counts.stuck

    def look(self, entry: Entry, asker: object) -> None:
        """Look at a mailbox; ``done`` follows, never within this call."""
        look = Look(entry, asker)
        if not entry.fault and self._probes.usable(look):
            self._probes.submit(look)
        else:
            self._loop.call_soon(self._hangs, look)

    def close(self) -> None:
        """End the lanes."""
        self._probes.close()
        self._counts.close()
        self.watch.close()

    def _place(self, look: Look) -> str:
        return self._driver.place(look.entry.address)

    # ---- in the lanes' threads

    def _probe(self, look: Look) -> Measurement | Need:
        entry = look.entry
        look.base = entry.known
        record = self._driver.record(entry.address)
        look.mark = self.watch.follow(entry, record) if record is not None else None
        return self._driver.probe(entry.address, entry.limit, look.base, time.time())

    def _count(self, look: Look) -> Measurement:
        entry = look.entry
        look.base = entry.known
        return self._driver.count(entry.address, entry.limit, look.base, time.time())

    # ---- on the loop

    def _probed(self, look: Look, result: Measurement | Need | Exception) -> None:
        if result is Need.COUNT and self._counts.usable(look):
            self._counts.submit(look)
        elif isinstance(result, Measurement):
            self._take(look, result)
        elif result is Need.NOTHING and look.base is not None:
            self._take(look, look.base)
        else:
            self._unmeasurable(look, result)

    def _counted(self, look: Look, result: Measurement | Exception) -> None:
        look.mark = None  # deliveries into a counted mailbox change no file that is watched
        if isinstance(result, Measurement):
            self._take(look, result)
        else:
            self._unmeasurable(look, result)

    def _take(self, look: Look, known: Measurement) -> None:
        """A figure that holds now."""
        entry, mark = look.entry, look.mark
        taken = self._ledger.set_known(entry, look.base, known, time.time())
        if taken and known.source == "maildirsize" and mark is not None and self.watch.holds(entry, mark):
            lasting = FRESH_SECONDS if known.expires_at is None else known.expires_at - time.time()
            entry.keep_fresh(self._loop.time() + min(FRESH_SECONDS, lasting))
        self._done(look, known.used)

    def _unmeasurable(self, look: Look, result: object) -> None:
        if isinstance(result, Exception):
            if look.entry.trouble is None:
                log.warning("%s can't be measured: %s", look.entry.address, result)
            self._ledger.set_trouble(look.entry, str(result))
        self._done(look, None)

    def _hangs(self, look: Look) -> None:
        self._done(look, None)


def _key(look: Look) -> str:
    return look.entry.address
