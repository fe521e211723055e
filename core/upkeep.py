"""What an engine does beside measuring and answering: it notes its start and its end in the journal, ends temporary
limits, shows metrics, and forgets what nobody asks about any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from core.expiry import Expiry
from core.exporter import Exporter
from core.lifetime import Lifetime
from core.metric_page import Figures
from core.version import version

if TYPE_CHECKING:
    from core.engine import Engine

log = logging.getLogger(__name__)

_PRUNE_SECONDS = 30.0


class Upkeep:
    """Used on the engine's loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lifetime = Lifetime(engine.journal)
        self.expiry = Expiry(engine.limits.changes, engine.ledger, lambda: engine.sync.store)
        self._exporter = Exporter(self._figures)
        self._expiring: asyncio.Task[None] | None = None
        self._pruning: asyncio.Task[None] | None = None
        self._successor: int | None = None  # its process

    def start(self, *, took_over: bool) -> None:
        """Begin; nothing of it is waited for."""
        self._lifetime.begin(self._description(), took_over=took_over)
        self._expiring = _spawn(self.expiry.run(self._engine.accounts_read))
        self._pruning = _spawn(self._prune())
        self.follow()

    def follow(self) -> None:
        """The settings may be new."""
        self._exporter.listen(self._engine.config.settings.metrics.address)

    def handed_over(self, pid: int) -> None:
        """Another engine has the sockets, and wants the place of the metrics."""
        self._successor = pid
        self._exporter.listen(None)

    async def stop(self) -> None:
        """End everything. Returns soon, whatever hangs."""
        self._exporter.listen(None)
        if self._pruning is not None:
            self._pruning.cancel()
        why = "stopped" if self._successor is None else f"handed over to pid {self._successor}"
        await asyncio.gather(self._lifetime.end(why), self.expiry.end(self._expiring))

    def _description(self) -> str:
        engine = self._engine
        where = [", demo"] * engine.options.demo + [", in a console"] * engine.options.embedded
        return f"version {version()}, mode {engine.config.settings.policy.mode}{''.join(where)}"

    def _figures(self) -> Figures:
        engine = self._engine
        return Figures(engine.status(), dict(engine.ledger.totals.levels), *engine.metrics.histogram())

    async def _prune(self) -> None:
        """Take back watches of files that nobody asks about any more."""
        while True:
            await asyncio.sleep(_PRUNE_SECONDS)
            self._engine.enforcer.looker.watch.prune(asyncio.get_running_loop().time())


def _spawn(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_tell_end)
    return task


def _tell_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a part of the engine ended", exc_info=error)
