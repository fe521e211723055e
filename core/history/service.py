"""What the engine keeps beyond its own life: the state database, and those who write into it in the background.

A state database that can't be used is never a reason to stop anything: it is told once in the log and all the time in
the status, and tried again. What was to be written waits in memory meanwhile, as far as that is cheap.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Awaitable, Callable

from mailquota.core.base import restarts
from mailquota.core.base.growth import trend, week
from mailquota.core.base.model import Point
from mailquota.core.base.threads import in_thread
from mailquota.core.base.times import steady_time
from mailquota.core.history.connection import StateError
from mailquota.core.history.from_settings import make_state
from mailquota.core.history.journal import Journal
from mailquota.core.history.refusal_counts import RefusalCounts
from mailquota.core.history.refusals import RefusalHistory
from mailquota.core.history.samples import Samples
from mailquota.core.history.sampling import Sampler
from mailquota.core.history.trends import TrendJob
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.refusals import RefusalTally
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

_ROUND_SECONDS = 10.0  # how soon a change is in the history
_TEND_SECONDS = 3600.0
_RETRY_SECONDS = 60.0
_SHOWN_SECONDS = 100 * 86400.0  # what a card has a use for: each slot of it may be a read of the disk
_STOP_SECONDS = 0.5  # for everything: writing what waits, and giving the database back
_WRITE_SECONDS = 0.3


class HistoryService:
    """Made and used on the engine's loop."""

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
        """Begin, once the ledger holds the accounts."""
        works = {"history": self._sample, "growth": self._tend, "refusals": self._count_refusals}
        self._tasks = [restarts.start(name, work) for name, work in works.items()]

    async def stop(self) -> None:
        """Write what waits, in half a second at most with everything."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError, StateError):
            async with asyncio.timeout(_STOP_SECONDS):
                if self._tasks:
                    await asyncio.wait(self._tasks)
                    await self.refusals.finish()
                    await self._sampler.finish(_WRITE_SECONDS)
                await in_thread(self.state.close)

    async def recall(self) -> None:
        """Remember once, without a rest: for a command that acts by itself. Raises StateError."""
        await self._sampler.remember(share=1.0)

    async def past(self, entry: Entry) -> list[Point]:
        """The use of one account until now, as far back as is shown; its growth is reckoned anew. Raises StateError."""
        now = self._now()
        points = await in_thread(lambda: self.samples.series(entry.address, now - _SHOWN_SECONDS, now))
        known = entry.known
        if points and known is not None and known.used != points[-1].used_bytes:
            points.append(Point(now, known.used, known.messages))
        entry.trend, entry.week = trend(points, now), week(points, entry.limit, now)
        self._ledger.touch(entry)
        return points

    # ---- in the background

    async def _sample(self) -> None:
        await self._again_and_again("sampling", self._sampler.round, _ROUND_SECONDS)

    async def _tend(self) -> None:
        await self._sampler.remembered.wait()
        await self._again_and_again("tending", self._trend_job.round, _TEND_SECONDS)

    async def _count_refusals(self) -> None:
        await self._again_and_again("counting refusals", self.refusals.round, _ROUND_SECONDS)

    async def _again_and_again(self, name: str, work: Callable[[], Awaitable[None]], pause: float) -> None:
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
        except Exception as error:  # an outer edge: a fault here must not end the history for good
            problem = f"{name} failed: {error}"
            if self._problems.get(name) != problem:
                log.exception("history: %s", problem)
        before = any(self._problems.values())
        self._problems[name] = problem
        if before and not any(self._problems.values()):
            log.info("history: it works again")
        return not problem
