"""Keeps the counts of refused mail over a restart: written as they come, read by the engine that starts next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..base.threads import gently
from ..mailboxes.ledger import Ledger
from ..mailboxes.refusals import RefusalCount, RefusalTally
from .connection import StateError
from .refusals import RefusalHistory

_SHARE = 0.1
_SLICE = 200  # rows of one transaction
_OFTEN = 12  # slices (five minutes each) between two deletions of old ones


class RefusalCounts:
    """Used on the engine's loop.

    ``steady`` is ``steady_time`` of core/base/times.py. ``round``, ``load`` and ``finish`` raise StateError.
    """

    def __init__(
        self, ledger: Ledger, tally: RefusalTally, history: RefusalHistory, steady: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._tally = tally
        self._history = history
        self._steady = steady
        self._restored = False
        self._oldest = 0  # slices before this one have been deleted

    @property
    def last_hour(self) -> int:
        """How many times mail was refused within the last hour."""
        return self._tally.last_hour(self._steady())

    def restore(self, refusals: list[RefusalCount]) -> None:
        """Take over the counts of the engine before: handed over by it, or read from the state database.

        Once they are handed over, the first round does not read the database: that would count everything twice.
        """
        self._restored = True
        self.note_refused(self._tally.recall(refusals, self._steady()))
        self._note_counts()

    async def load(self) -> None:
        """Read the counts at once, for a command without an engine."""
        if not self._restored:
            self.restore(await gently(1.0, self._history.read, self._tally.oldest(self._steady())))

    def note_refused(self, refused_at: Mapping[str, float]) -> None:
        """Note in the ledger when mail for these accounts was refused last (seconds since the epoch)."""
        for address, at in refused_at.items():
            entry = self._ledger.get(address)
            if entry is not None and at > (entry.refused_at or 0.0):
                self._ledger.note_refusal(entry, at)

    def _note_counts(self) -> None:
        """Note in the ledger how often mail was refused within the last day."""
        for address, times in self._tally.take_changes(self._steady()).items():
            entry = self._ledger.get(address)
            if entry is not None:
                self._ledger.set_refusals(entry, times)

    async def round(self) -> None:
        """Write what was refused since the last round; the first one reads the counts of the engine before."""
        self._note_counts()
        oldest = self._tally.oldest(self._steady())
        if not self._restored:
            self.restore(await gently(_SHARE, self._history.read, oldest))
        await self._write(_SHARE)
        if oldest >= self._oldest + _OFTEN:
            await gently(_SHARE, self._history.forget, oldest)
            self._oldest = oldest

    async def finish(self) -> None:
        """Write what is left, without rests, as the engine stops."""
        await self._write(1.0)

    async def _write(self, share: float) -> None:
        waiting = self._tally.unsaved()
        while waiting:
            part = waiting[-_SLICE:]
            del waiting[-_SLICE:]
            try:
                await gently(share, self._history.add, part)
            except StateError:
                self._tally.give_back([*waiting, *part])
                raise
            except asyncio.CancelledError:  # the thread still writes ``part``: given back, it would be counted twice
                self._tally.give_back(waiting)
                raise
