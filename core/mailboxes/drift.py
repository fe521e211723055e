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

from mailquota.core.base.lanes import Lane
from mailquota.core.mailboxes.compare import Comparison, compare
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.mailstore import Mailstore

log = logging.getLogger(__name__)

SHARE = 0.01
EVERY = 24 * 3600.0  # seconds between two checks of an account
AGAIN = 5.0  # between the two looks at a difference
_SLICE = 16
_PATIENCE = 30.0  # a count of a million messages by stat is slow, not hanging
_REST_SECONDS = 60.0  # between two looks for accounts whose day is over


_Lane = Lane[Entry, Comparison | None]


class DriftWatch:
    """Marks accounts in the ledger. ``place`` as that of a driver."""

    def __init__(
        self,
        ledger: Ledger,
        store: Mailstore,
        place: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._place = place
        self._clock = clock
        self._lane: _Lane | None = None
        self._found: dict[Entry, Comparison | None] = {}
        self._wanted = 0

    async def run(self, begin: asyncio.Event) -> None:
        """Go on until cancelled, from when ``begin`` is set."""
        await begin.wait()
        try:
            while True:
                entries = self.due()
                for start in range(0, len(entries), _SLICE):
                    await asyncio.sleep(await self.check(entries[start : start + _SLICE]) / SHARE)
                await asyncio.sleep(_REST_SECONDS)
        finally:
            self.close()

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
        lane = self._lane = self._lane or self._open()
        before = lane.cpu_seconds
        found = await self._compare_all(lane, entries)
        suspects = [entry for entry, comparison in found.items() if comparison and comparison.drift]
        again: dict[Entry, Comparison | None] = {}
        if suspects:
            await asyncio.sleep(AGAIN)
            again = await self._compare_all(lane, suspects)
        for entry, comparison in found.items():
            self._ledger.note_compared(entry, self._clock())
            if comparison is not None and again.get(entry, comparison) == comparison:
                self._tell(entry, comparison)
        return lane.cpu_seconds - before

    def close(self) -> None:
        """End the thread."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None

    def _open(self) -> _Lane:
        return Lane(
            "drift", self._compare, self._take, stuck=lambda entry: self._take(entry, None),
            key=lambda entry: entry.address, place=lambda entry: self._place(entry.address), patience=_PATIENCE,
        )  # fmt: skip

    async def _compare_all(
        self, lane: Lane[Entry, Comparison | None], entries: list[Entry]
    ) -> dict[Entry, Comparison | None]:
        """None for what can't be compared, as on a disk that hangs."""
        self._found, self._wanted = {}, len(entries)
        self._complete = asyncio.get_running_loop().create_future()
        for entry in entries:
            if lane.usable(entry):
                lane.submit(entry)
            else:
                self._take(entry, None)
        await self._complete
        return self._found

    def _take(self, entry: Entry, result: Comparison | Exception | None) -> None:
        if isinstance(result, Exception):
            log.debug("%s can't be compared: %s", entry.address, result)
            result = None
        self._found[entry] = result
        if len(self._found) == self._wanted and not self._complete.done():
            self._complete.set_result(None)

    def _tell(self, entry: Entry, comparison: Comparison) -> None:
        if comparison.drift and entry.drift != comparison.drift:
            figures = comparison.recorded, comparison.counted
            log.warning("%s: %d bytes are recorded, %d were counted", entry.address, *figures)
        self._ledger.set_drift(entry, comparison.drift or None)

    def _compare(self, entry: Entry) -> Comparison | None:
        """In the lane's thread."""
        return compare(self._store, self._store.maildir(entry.address))
