"""What works in an engine by itself, put together: started once it listens, each kept going (core/base/restarts.py).

Beside measuring and answering an engine notes its start and its end in the journal, ends temporary limits, shows
metrics, sees that its sockets take connections, and forgets what nobody asks about any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mailquota.core.base import restarts
from mailquota.core.base.threads import in_thread
from mailquota.core.base.version import version
from mailquota.core.changes.expiry import Expiry
from mailquota.core.engine.accepting import AcceptWatch
from mailquota.core.engine.exporter import Exporter
from mailquota.core.engine.lifetime import Lifetime
from mailquota.core.engine.metric_page import Figures
from mailquota.core.engine.parts import EngineParts
from mailquota.core.mailboxes.drift import DriftWatch

_PRUNE_SECONDS = 30.0


class Upkeep:
    """Used on the engine's loop."""

    def __init__(self, engine: EngineParts) -> None:
        self._engine = engine
        self._lifetime = Lifetime(engine.journal)
        self.expiry = Expiry(engine.limits.changes, engine.ledger, lambda: engine.sync.store)
        self._exporter = Exporter(self._figures)
        self._accept_watch = AcceptWatch(engine)
        self._tasks: list[asyncio.Task[None]] = []
        self._expiring: asyncio.Task[None] | None = None
        self._successor: int | None = None  # its process

    def start(self, *, took_over: bool) -> None:
        """Begin; nothing of it is waited for."""
        engine = self._engine
        self._lifetime.begin(self._description(), took_over=took_over)
        self._expiring = restarts.start("temporary limits", lambda: self.expiry.run(engine.accounts_read))
        self._tasks = [
            restarts.start("publisher", engine.publisher.run),
            restarts.start("status", engine.reporter.run),
            restarts.start("sockets", self._accept_watch.run),
            restarts.start("watches", self._prune),
            asyncio.create_task(self._measure()),
        ]
        self._tasks[-1].add_done_callback(self._measuring)
        self.follow()

    async def _measure(self) -> None:
        """Begin to, once the accounts are read."""
        engine = self._engine
        await engine.accounts_read.wait()
        engine.poller.start()
        engine.history.start()
        engine.alerts.start()
        if engine.driver.name == "maildir":
            drift = DriftWatch(engine.ledger, engine.mailstore, engine.driver.place)
            self._tasks.append(restarts.start("background check", lambda: drift.run(engine.poller.first_round)))
        owner = await in_thread(lambda: engine.listeners.let_in_owner(engine.mailstore.base))
        engine.control.rights = replace(engine.control.rights, mailbox_owner=owner)

    def _measuring(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._engine.fail(f"measuring could not begin: {error!r}")

    def follow(self) -> None:
        """The settings may be new."""
        self._exporter.listen(self._engine.config.settings.metrics.address)

    def handed_over(self, pid: int) -> None:
        """Another engine has the sockets, and wants the place of the metrics."""
        self._successor = pid
        self._exporter.listen(None)

    def end(self) -> None:
        """Begin nothing more."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End everything. Returns soon, whatever hangs."""
        self.end()
        self._exporter.listen(None)
        why = "stopped" if self._successor is None else f"handed over to pid {self._successor}"
        await asyncio.gather(self._lifetime.end(self._engine.failed or why), self.expiry.end(self._expiring))

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
            self._engine.enforcer.lookup.watch.prune(asyncio.get_running_loop().time())
