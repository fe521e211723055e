"""What an engine does on its own once it listens: measure, warn, end temporary limits, publish, keep its journal.

Each task is kept going (core/base/restarts.py): where it dies, it is started again and that is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from ..alerts.service import AlertService
from ..base import restarts
from ..base.helper_calls import Helper
from ..changes.expiry import Expiry
from ..history.service import HistoryService
from ..mailboxes.drift import DriftWatch
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Ledger
from ..mailboxes.mailstore import Mailstore
from ..mailboxes.rounds import Poller
from ..mailboxes.witness import Witness
from ..policy.watch import Watch
from .accepting import Servers
from .accounts import AccountUpdates
from .ending import Ending
from .exporter import Exporter
from .postfix_maps import PostfixMaps
from .start_and_stop_entries import StartAndStopEntries

_PRUNE_SECONDS = 30.0


@dataclass(frozen=True)
class Measuring:
    """The parts that begin once the accounts are read, and what they need to do so."""

    mailstore: Mailstore
    helper: Helper | None
    driver: Driver
    ledger: Ledger
    poller: Poller
    history: HistoryService
    alerts: AlertService
    witness: Witness | None
    postfix_maps: PostfixMaps

    def begin(self) -> list[asyncio.Task[None]]:
        """Start measuring, samples, warnings, and the background check of those accounts that have a maildirsize.

        Returns the tasks that none of the parts ends by itself.
        """
        self.poller.start()
        self.history.start()
        self.alerts.start()
        begin = self.poller.first_round
        tasks = [restarts.start("verification of maps", self.postfix_maps.verify_always)]
        if (witness := self.witness) is not None:
            tasks.append(restarts.start("witness", lambda: witness.run(begin)))
        drift = DriftWatch(self.ledger, self.mailstore, self.driver.place, helper=self.helper)
        return [*tasks, restarts.start("background check", lambda: drift.run(begin))]


class Upkeep:
    """The tasks of an engine. ``works`` are those that run from the start, by name. Used on the engine's loop."""

    def __init__(
        self,
        *,
        works: Mapping[str, Callable[[], Coroutine[Any, Any, None]]],
        measuring: Measuring,
        accounts: AccountUpdates,
        servers: Servers,
        expiry: Expiry,
        exporter: Exporter,
        entries: StartAndStopEntries,
        ending: Ending,
    ) -> None:
        self.expiry = expiry
        self._works = works
        self._measuring = measuring
        self._accounts = accounts
        self._servers = servers
        self._exporter = exporter
        self._entries = entries
        self._ending = ending
        self._tasks: list[asyncio.Task[None]] = []
        self._expiring: asyncio.Task[None] | None = None
        self._successor: int | None = None  # the process that has the sockets now

    def start(self, description: str, metrics: tuple[str, int] | None, *, took_over: bool) -> None:
        """Begin; waits for nothing. ``description`` of this engine is for the journal, ``metrics`` as for ``follow``.

        ``took_over``: the sockets came from another engine.
        """
        self._entries.begin(description, took_over=took_over)
        self._expiring = restarts.start("temporary limits", lambda: self.expiry.run(self._accounts.read))
        self._tasks = [restarts.start(name, work) for name, work in self._works.items()]
        measuring = asyncio.create_task(self._measure())
        measuring.add_done_callback(self._measuring_began)
        self._tasks.append(measuring)
        self.follow(metrics)

    async def _measure(self) -> None:
        await self._accounts.read.wait()
        self._tasks += self._measuring.begin()
        await self._servers.let_in_owner(self._measuring.mailstore.base)

    def _measuring_began(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._ending.fail(f"measuring could not begin: {error!r}")

    def follow(self, metrics: tuple[str, int] | None) -> None:
        """Show metrics on this host and port, as new settings may want it; None for nowhere."""
        self._exporter.listen(metrics)

    def handed_over(self, pid: int) -> None:
        """The engine of process ``pid`` has the sockets: let go of the metrics address, so that it can bind that."""
        self._successor = pid
        self._exporter.listen(None)

    def end(self) -> None:
        """Cancel all tasks, without waiting for them."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End everything, and note that in the journal. Takes half a second at most, whatever hangs."""
        self.end()
        self._exporter.listen(None)
        reason = "stopped" if self._successor is None else f"handed over to pid {self._successor}"
        await asyncio.gather(self._entries.end(self._ending.failed or reason), self.expiry.end(self._expiring))


async def prune(watch: Watch) -> None:
    """Take back, every 30 s until cancelled, the watches on files of mailboxes that no request named lately."""
    while True:
        await asyncio.sleep(_PRUNE_SECONDS)
        watch.prune(asyncio.get_running_loop().time())
