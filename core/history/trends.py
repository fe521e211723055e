"""Computes trends and weeks from the history, once a day for each account, and thins the history out with age.

Both use a twentieth of a core at most, as nothing waits for them. core/history/service.py calls the rounds.
"""

from __future__ import annotations

from collections.abc import Callable

from ..base.threads import gently
from ..mailboxes.ledger import Ledger
from .samples import Samples

_SHARE = 0.05
_SLICE = 20  # accounts; each may have 200 points
_PASS_EVERY = 6 * 3600.0  # seconds between two checks which trends are due


class TrendJob:
    """Runs on the engine's loop.

    ``now`` gives seconds since the epoch; ``keep`` is how many seconds of history are kept. Its methods raise
    StateError.
    """

    def __init__(self, ledger: Ledger, samples: Samples, keep: float, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._samples = samples
        self._keep = keep
        self._now = now
        self._checked_at = 0.0

    async def round(self) -> None:
        """Do what is due; called each hour."""
        now = self._now()
        if not 0 <= now - self._checked_at < _PASS_EVERY:
            await self.compute_trends()
            self._checked_at = now
        await self.thin()

    async def compute_trends(self) -> None:
        """Compute the trends that are due, in slices, and set them in the ledger."""
        entries = list(self._ledger.entries.values())
        for start in range(0, len(entries), _SLICE):
            limits = {entry.address: entry.limit for entry in entries[start : start + _SLICE]}
            found = await gently(_SHARE, self._samples.compute_trends, limits, self._now())
            for address, (trend, week) in found.items():
                entry = self._ledger.get(address)
                if entry is not None:
                    self._ledger.set_trend(entry, trend, week)

    async def thin(self) -> None:
        """Merge old samples into coarser slots; delete accounts that have been gone longer than the history is kept."""
        now = self._now()
        for step in await gently(_SHARE, self._samples.due_merges, now, self._keep):
            while not await gently(_SHARE, self._samples.merge, step):
                pass
        while not await gently(_SHARE, self._samples.remove, now, self._keep):
            pass
