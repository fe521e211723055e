"""The background check for a wrong maildirsize: it counts each mailbox once a day and compares.

maildirsize can stay wrong for ever: Dovecot believes one that claims too little whatever its age. A difference is
reported only when a second count, some seconds later, finds the same one beside the same file; a mailbox that changes
meanwhile is left for the next day. The check takes ``SHARE`` of a core at most and begins after the first round of the
poller. It writes nothing: a recount puts maildirsize right, and an operator has to order it.

Only Dovecot's driver ``maildir`` keeps a record that can be wrong, so nothing is checked with other drivers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ..base.errors import MailquotaError
from ..base.gathering import GatheringLane
from ..base.helper_calls import Helper
from .compare import Comparison, compare
from .ledger import Entry, Ledger
from .mailstore import Mailstore
from .measure import Unmeasurable

log = logging.getLogger(__name__)

SHARE = 0.01
EVERY = 24 * 3600.0  # seconds between two checks of an account
AGAIN = 5.0  # between the two counts of a mailbox that differs
_SLICE = 16
_PATIENCE = 30.0  # a count of a million messages by stat is slow, not hanging
_REST_SECONDS = 60.0  # between two searches for accounts that are due


_Lane = GatheringLane[Entry, Comparison | None]


class DriftWatch:
    """Puts differences into the ledger. ``place`` is that of a driver; ``clock`` in seconds never goes back.

    ``helper`` is the one that compares, where this process can't.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Mailstore,
        place: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
        helper: Helper | None = None,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._place = place
        self._helper = helper
        self._clock = clock
        self._lane: _Lane | None = None

    async def run(self, begin: asyncio.Event) -> None:
        """Check accounts as they become due, from when ``begin`` is set until cancelled."""
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
        """The accounts whose usage is from maildirsize and that were not checked for a day."""
        before = self._clock() - EVERY
        return [
            entry
            for entry in self._ledger.entries.values()
            if entry.known is not None and entry.known.source == "maildirsize" and entry.compared_at <= before
        ]

    async def check(self, entries: list[Entry]) -> float:
        """Compare these accounts, and those that differ once more; the CPU seconds that it took."""
        lane = self._lane = self._lane or self._open()
        before = lane.cpu_seconds
        found = await lane.gather(entries)
        suspects = [entry for entry, comparison in found.items() if comparison and comparison.drift]
        again: dict[Entry, Comparison | None] = {}
        if suspects:
            await asyncio.sleep(AGAIN)
            again = await lane.gather(suspects)
        for entry, comparison in found.items():
            self._ledger.note_compared(entry, self._clock())
            if comparison is not None and again.get(entry, comparison) == comparison:
                self._report(entry, comparison)
        return lane.cpu_seconds - before

    def close(self) -> None:
        """End the thread."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None

    def _open(self) -> _Lane:
        return GatheringLane(
            "drift", self._compare, None, key=lambda entry: entry.address,
            place=lambda entry: self._place(entry.address), patience=_PATIENCE,
        )  # fmt: skip

    def _report(self, entry: Entry, comparison: Comparison) -> None:
        if comparison.drift and entry.drift != comparison.drift:
            figures = comparison.recorded, comparison.counted
            log.warning("%s: %d bytes are recorded, %d were counted", entry.address, *figures)
        self._ledger.set_drift(entry, comparison.drift or None)

    def _compare(self, entry: Entry) -> Comparison | None:
        """Runs in the lane's thread. None where the mailbox can't be compared."""
        if self._helper is None:
            return compare(self._store, self._store.maildir(entry.address))
        name = self._store.names.in_path(entry.address)
        try:
            found: Comparison | None = self._helper.call("compare", name, gives=Comparison | None)
        except (MailquotaError, OSError) as error:
            raise Unmeasurable(str(error)) from error
        return found
