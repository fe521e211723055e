"""The engine: everything that goes on without a screen, on one event loop.

Start, in this order: the control socket (so that a second engine finds the first), the policy sockets, the accounts,
the mailboxes. Requests are answered from the moment the policy sockets listen; until the accounts are read they wait,
two seconds at most. Stop in reverse: nobody new is accepted, what was received is answered, connections are closed.

A *successor* is an engine that takes over from another one (see core/engine/handover.py): it reads the accounts first,
says that it is ready, and gets the sockets.
"""

from __future__ import annotations

import asyncio
import logging
import os

from mailquota.core.base import sockets
from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.threads import in_thread
from mailquota.core.control.messages import Order
from mailquota.core.control.server import ControlConnection
from mailquota.core.engine import handover, relay
from mailquota.core.engine.orders import Orders
from mailquota.core.engine.parts import EngineParts, Options
from mailquota.core.engine.upkeep import Upkeep
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

_STOP_SECONDS = 3.0  # for answers to what was received; the contract allows 5 s for everything


class Engine(EngineParts):
    """Made and used on its own loop."""

    def __init__(self, config: Config, options: Options) -> None:
        super().__init__(config, options)
        self._orders = Orders(self)
        self.upkeep = Upkeep(self)

    def handle(self, connection: ControlConnection, order: Order) -> None:
        """See EngineParts."""
        self._orders.handle(connection, order)

    def settings_changed(self) -> None:
        """See EngineParts."""
        self.upkeep.follow()

    def handed_over(self, pid: int) -> None:
        """See EngineParts."""
        self.upkeep.handed_over(pid)

    # ---- start

    async def start(self, predecessor: handover.Predecessor | None = None) -> None:
        """Listen, read, measure. Raises AddressInUseError and SettingsError; then nothing is left behind."""
        sockets.allow_many()
        for remark in self.config.remarks:
            log.warning("settings: %s", remark)
        try:
            async with self._changing:
                await self._start(predecessor)
        except BaseException:
            await self.stop()
            raise
        self.upkeep.start(took_over=predecessor is not None)

    async def _start(self, predecessor: handover.Predecessor | None) -> None:
        given = sockets.inherited(dict(os.environ)) if predecessor is None else await in_thread(predecessor.listeners)
        self.listeners.open(self.config.settings, given)
        self.sync.start()
        if predecessor is not None:
            await self.accounts_read.wait()
            await relay.take_over(self, predecessor)
        await self.listen()

    async def start_local(self) -> None:
        """Only read the accounts: for a command that acts by itself, where no engine runs. Raises DatabaseError.

        Nothing listens and nothing is measured of its own accord, so nobody waits for that; ``control.adopt`` is the
        way in.
        """
        self.poller.first_round.set()
        await self.sync.read_now()

    # ---- hand-over and end

    async def hand_over(self) -> int:
        """Start another engine and give it every socket; its pid. Raises MailquotaError where that fails."""
        if self.options.demo:
            raise MailquotaError("a throwaway world ends with its engine; nothing is handed over")
        if os.getpid() == 1:
            raise MailquotaError("this engine is process 1, as in a container: restart that; nothing was handed over")
        async with self._changing:
            if self.listeners.handed_over:
                raise MailquotaError("the sockets were handed over already")
            return await relay.hand_over(self)

    async def stop(self) -> None:
        """Answer what was received, bring changes to an end, close everything, leave nothing behind."""
        ends = (
            self.policy.close(_STOP_SECONDS),
            self.actions.finish(_STOP_SECONDS),
            self.alerts.finish(_STOP_SECONDS),
        )
        await asyncio.gather(*ends)
        self.upkeep.end()
        self.poller.stop()
        self.enforcer.close()
        gone = "the engine was handed over" if self.listeners.handed_over else "the engine was stopped"
        self.control.close(f"the engine ended: {self.failed}" if self.failed else gone)
        self.listeners.close()
        await self.upkeep.stop()
        await self.sync.stop()
        await self.history.stop()
