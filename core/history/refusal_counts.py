"""The refusals of the last day are kept: written down as they come, and remembered by the engine that starts next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from mailquota.core.base.threads import gently
from mailquota.core.history.connection import StateError
from mailquota.core.history.refusals import RefusalHistory
from mailquota.core.mailboxes.ledger import Ledger
from mailquota.core.mailboxes.refusals import RefusalTally, Refused

_SHARE = 0.1
_SLICE = 200  # rows of one transaction
_OFTEN = 12  # slices between two times that old ones are removed


class RefusalCounts:
    """Used on the engine's loop.

    ``steady`` is ``steady_time`` of core/base/times.py. What reads or writes raises StateError.
    """

    def __init__(
        self, ledger: Ledger, tally: RefusalTally, history: RefusalHistory, steady: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._tally = tally
        self._history = history
        self._steady = steady
        self._remembered = False
        self._oldest = 0  # slice before which the history has been told to forget

    @property
    def last_hour(self) -> int:
        """How often mail was refused within the last hour."""
        return self._tally.last_hour(self._steady())

    def recall(self, refusals: list[Refused]) -> None:
        """What was before this engine, from whoever knows it; then nobody else need be asked."""
        self._remembered = True
        self.tell(self._tally.recall(refusals, self._steady()))

    def tell(self, refused_at: Mapping[str, float]) -> None:
        """When accounts were refused last."""
        for address, at in refused_at.items():
            entry = self._ledger.get(address)
            if entry is not None and at > (entry.refused_at or 0.0):
                entry.refused_at = at
                self._ledger.touch(entry)

    async def round(self) -> None:
        """Remember, at first, and write what came since the last one."""
        oldest = self._tally.oldest(self._steady())
        if not self._remembered:
            self.recall(await gently(_SHARE, self._history.read, oldest))
        await self._write(_SHARE)
        if oldest >= self._oldest + _OFTEN:
            await gently(_SHARE, self._history.forget, oldest)
            self._oldest = oldest

    async def finish(self) -> None:
        """Write what waits, without rests: the engine stops."""
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
            except asyncio.CancelledError:  # the thread comes to its end without us
                self._tally.give_back(waiting)
                raise
