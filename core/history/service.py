"""Opens the state database of an engine, and runs what writes to it: usage, trends, counts of refusals.

A state database that can't be used stops nothing: the log says so once, the status as long as it is so, and it is tried
again. What was to be written waits in memory meanwhile, as far as that takes little memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable

from ..base import restarts
from ..base.growth import trend, week
from ..base.model import Point
from ..base.threads import in_thread
from ..base.times import steady_time
from ..mailboxes.ledger import Entry, Ledger
from ..mailboxes.refusals import RefusalTally
from ..settings.config import Config
from .connection import StateError
from .from_settings import make_state
from .journal import Journal
from .refusal_counts import RefusalCounts
from .refusals import RefusalHistory
from .samples import Samples
from .sampling import Sampler
from .trends import TrendJob

log = logging.getLogger(__name__)

_ROUND_SECONDS = 10.0  # between two writes of what changed
_TREND_SECONDS = 3600.0
_RETRY_SECONDS = 60.0
_SHOWN_SECONDS = 100 * 86400.0  # as far back as a card shows: each slot may be a read of the file system
_STOP_SECONDS = 0.5  # for all of it: writing what waits, and closing the database
_WRITE_SECONDS = 0.3


class HistoryService:
    """Made and used on the engine's loop. ``now`` gives seconds since the epoch."""

    def __init__(
        self, config: Config, ledger: Ledger, tally: RefusalTally, now: Callable[[], float] = time.time
    ) -> None:
        self.state = make_state(config)
        self.journal = Journal(self.state)
        self.samples = Samples(self.state)
        self._ledger = ledger
        self._now = now
        self._sampler = Sampler(ledger, self.samples, self.journal, now)
        self._trend_job = TrendJob(ledger, self.samples, config.settings.state.keep_seconds, now)
        self.refusals = RefusalCounts(ledger, tally, RefusalHistory(self.state, socket.gethostname()), steady_time)
        self._tasks: list[asyncio.Task[None]] = []
        self._problems: dict[str, str] = {}

    @property
    def problem(self) -> str:
        """Why the state database can't be used now; empty while it can."""
        return next(filter(None, [*self._problems.values(), self.state.problem]), "")

    def start(self) -> None:
        """Begin to write; called once the ledger has the accounts."""
        works = {"history": self._sample, "growth": self._compute_trends, "refusals": self._count_refusals}
        self._tasks = [restarts.start(name, work) for name, work in works.items()]

    async def stop(self) -> None:
        """Stop, write what waits, and close the database, in half a second at most."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError, StateError):
            async with asyncio.timeout(_STOP_SECONDS):
                if self._tasks:
                    await asyncio.wait(self._tasks)
                    await self.refusals.finish()
                    await self._sampler.finish(_WRITE_SECONDS)
                await in_thread(self.state.close)

    async def load(self) -> None:
        """Read the history into the ledger at once, for a command without an engine. Raises StateError."""
        await self._sampler.load(share=1.0)
        await self.refusals.load()

    async def usage_points(self, entry: Entry) -> list[Point]:
        """The usage of one account over the last 100 days, oldest first; also computes its trend. Raises StateError."""
        now = self._now()
        points = await in_thread(lambda: self.samples.series(entry.address, now - _SHOWN_SECONDS, now))
        known = entry.known
        if points and known is not None and known.used != points[-1].used_bytes:
            points.append(Point(now, known.used, known.messages))
        self._ledger.set_trend(entry, trend(points, now), week(points, entry.limit, now))
        return points

    # ---- in the background

    async def _sample(self) -> None:
        await self._repeat("sampling", self._sampler.round, _ROUND_SECONDS)

    async def _compute_trends(self) -> None:
        await self._sampler.loaded.wait()
        await self._repeat("computing trends", self._trend_job.round, _TREND_SECONDS)

    async def _count_refusals(self) -> None:
        await self._repeat("counting refusals", self.refusals.round, _ROUND_SECONDS)

    async def _repeat(self, name: str, work: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            done = await self._attempt(name, work)
            await asyncio.sleep(pause if done else _RETRY_SECONDS)

    async def _attempt(self, name: str, work: Callable[[], Awaitable[None]]) -> bool:
        problem = ""
        try:
            await work()
        except StateError as error:
            problem = str(error)
            if not any(self._problems.values()):
                log.error("history: %s; it is tried again", problem)
        except Exception as error:  # an outer edge: a fault must not end the history for good
            problem = f"{name} failed: {error}"
            if self._problems.get(name) != problem:
                log.exception("history: %s", problem)
        before = any(self._problems.values())
        self._problems[name] = problem
        if before and not any(self._problems.values()):
            log.info("history: it works again")
        return not problem
