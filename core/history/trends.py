"""Growth and sparklines from the history, once a day for each account, and the thinning of the history with age.

Both take the smallest share of a core: nobody waits for them. core/history/service.py calls the rounds.
"""

from __future__ import annotations

from collections.abc import Callable

from mailquota.core.base.threads import gently
from mailquota.core.history.samples import Samples
from mailquota.core.mailboxes.ledger import Ledger

_SHARE = 0.05
_SLICE = 20  # accounts; each may have 200 points
_PASS_EVERY = 6 * 3600.0  # seconds between two looks at for whom it is time


class TrendJob:
    """Runs on the engine's loop. ``now`` gives seconds since the epoch; ``keep``: seconds. Raises StateError."""

    def __init__(self, ledger: Ledger, samples: Samples, keep: float, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._samples = samples
        self._keep = keep
        self._now = now
        self._looked_at = 0.0

    async def round(self) -> None:
        """What is due; to be called each hour."""
        now = self._now()
        if not 0 <= now - self._looked_at < _PASS_EVERY:
            await self.reckon()
            self._looked_at = now
        await self.thin()

    async def reckon(self) -> None:
        """The trends for which it is time, all of them where none was ever reckoned."""
        entries = list(self._ledger.entries.values())
        for start in range(0, len(entries), _SLICE):
            limits = {entry.address: entry.limit for entry in entries[start : start + _SLICE]}
            found = await gently(_SHARE, self._samples.reckon, limits, self._now())
            for address, (trend, week) in found.items():
                entry = self._ledger.get(address)
                if entry is not None:
                    self._ledger.set_trend(entry, trend, week)

    async def thin(self) -> None:
        """Merge old samples into coarser ones, and forget who is gone for longer than the history is kept."""
        now = self._now()
        for step in await gently(_SHARE, self._samples.due_merges, now, self._keep):
            while not await gently(_SHARE, self._samples.merge, step):
                pass
        while not await gently(_SHARE, self._samples.remove, now, self._keep):
            pass
