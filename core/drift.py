"""The background check for figures on record that are wrong: it counts each mailbox once a day and compares.

maildirsize can be wrong for ever: Dovecot believes one that claims too little whatever its age. A difference is said
only when a second count, some seconds later, finds the same one beside the same file; a mailbox that is in use
meanwhile is left for the next day. The check takes ``SHARE`` of a core at most and begins after the first round of the
poller. It writes nothing: what was found is mended by a recalculation, and by nobody but who orders one.

Only Dovecot's driver maildir keeps a record that can be wrong, so there is nothing to check with any other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.ledger import Entry, Ledger
from core.threads import in_thread
from core.usage.compare import Comparison, compare
from core.usage.mailstore import Mailstore
from core.usage.measure import Unmeasurable

log = logging.getLogger(__name__)

SHARE = 0.01
EVERY = 24 * 3600.0  # seconds between two checks of an account
AGAIN = 5.0  # between the two looks at a difference
_SLICE = 16
_REST_SECONDS = 60.0  # between two looks for accounts whose day is over


class DriftWatch:
    """Marks accounts in the ledger. Made and run on the engine's loop."""

    def __init__(self, ledger: Ledger, store: Mailstore, clock: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock

    async def run(self, begin: asyncio.Event) -> None:
        """Go on until cancelled, from when ``begin`` is set."""
        await begin.wait()
        while True:
            entries = self.due()
            for start in range(0, len(entries), _SLICE):
                await asyncio.sleep(await self.check(entries[start : start + _SLICE]) / SHARE)
            await asyncio.sleep(_REST_SECONDS)

    def due(self) -> list[Entry]:
        """The accounts that believe their maildirsize and were not checked for a day."""
        before = self._clock() - EVERY
        return [
            entry
            for entry in self._ledger.entries.values()
            if entry.known is not None and entry.known.source == "maildirsize" and entry.compared_at <= before
        ]

    async def check(self, entries: list[Entry]) -> float:
        """Compare these, and those that differ once more; the CPU seconds that it took."""
        found, used = await in_thread(lambda: self._compare(entries))
        suspects = {entry: comparison for entry, comparison in found.items() if comparison and comparison.drift}
        again: dict[Entry, Comparison | None] = {}
        if suspects:
            await asyncio.sleep(AGAIN)
            again, more = await in_thread(lambda: self._compare(list(suspects)))
            used += more
        for entry, comparison in found.items():
            entry.compared_at = self._clock()
            if comparison is not None and again.get(entry, comparison) == comparison:
                self._tell(entry, comparison)
        return used

    def _tell(self, entry: Entry, comparison: Comparison) -> None:
        if comparison.drift and entry.drift != comparison.drift:
            figures = comparison.recorded, comparison.counted
            log.warning("%s: %d bytes are recorded, %d were counted", entry.address, *figures)
        self._ledger.set_drift(entry, comparison.drift or None)

    def _compare(self, entries: list[Entry]) -> tuple[dict[Entry, Comparison | None], float]:
        """In a thread."""
        started = time.thread_time()
        found: dict[Entry, Comparison | None] = {}
        for entry in entries:
            try:
                found[entry] = compare(self._store, self._store.maildir(entry.address))
            except Unmeasurable as error:
                log.debug("%s can't be compared: %s", entry.address, error)
                found[entry] = None
        return found, time.thread_time() - started
