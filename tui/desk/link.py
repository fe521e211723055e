"""The control client inside the console's loop.

Theory of operation. ``run`` is one task for the life of the console: it connects, subscribes, and waits for the end of
the connection; then it connects again, with pauses of 0.25 to 5 seconds. Events go straight into the session. The
screens are told by ``doorbell``, at once after a quiet time and otherwise at most four times a second, so that a storm
of changes makes them draw only a few times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.client import Client, EngineGoneError
from mailquota.core.control.messages import (
    Cancel,
    Event,
    Goodbye,
    HandOver,
    Progress,
    Request,
    Subscribe,
    Watch,
    Welcome,
)

from .session import Session

Connect = Callable[[], Awaitable[tuple[Client, Welcome]]]
T = TypeVar("T")

RING_SECONDS = 0.25
FIRST_RETRY, LAST_RETRY = 0.25, 5.0  # seconds


class Link:
    """The connection to the engine, made again whenever it is lost."""

    def __init__(
        self,
        connect: Connect,
        session: Session,
        doorbell: Callable[[], object],
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._session = session
        self._doorbell = doorbell
        self._clock = clock
        self._steady = steady
        self._heard = steady()
        self._client: Client | None = None
        self._ended = asyncio.Event()
        self._watched: list[str] = []
        self._ringing = False
        self._quiet_from = 0.0

    async def run(self) -> None:
        """Keep a connection to the engine until cancelled."""
        delay = FIRST_RETRY
        while True:
            try:
                client, welcome = await self._connect()
            except (MailquotaError, OSError) as error:
                self._session.lost(str(error))
                self._ring()
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_RETRY)
                continue
            delay = FIRST_RETRY
            await self._stay(client, welcome)

    async def _stay(self, client: Client, welcome: Welcome) -> None:
        self._ended.clear()
        client.on_event = self._take
        self._client = client
        self._heard = self._steady()
        self._session.connected(welcome, self._clock())
        try:
            # The engine knows nothing of this console after a reconnect, also not which accounts it watches.
            client.send(Subscribe())
            if self._watched:
                client.send(Watch(self._watched))
            self._ring()
            await self._ended.wait()
        finally:
            self._client = None
            await client.close()

    def listen(self) -> None:
        """Mark the engine as lost if nothing was heard for too long; called each second."""
        self._session.check_silence(self._steady() - self._heard)

    def _take(self, event: Event) -> None:
        self._heard = self._steady()
        self._session.take(event, self._clock())
        if isinstance(event, Goodbye):
            self._ended.set()
        self._ring()

    def _ring(self) -> None:
        if self._ringing:
            return
        self._ringing = True
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._quiet_from), self._rung)  # later events wait for the same ring

    def _rung(self) -> None:
        self._ringing = False
        self._quiet_from = asyncio.get_running_loop().time() + RING_SECONDS
        self._doorbell()

    # ---- orders

    def watch(self, addresses: list[str]) -> None:
        """Tell the engine which accounts are on the screen, so that it measures them each second; repeated after a
        reconnect."""
        if addresses != self._watched:
            self._watched = addresses
            if self._client is not None:
                self._client.send(Watch(addresses))

    async def ask(
        self,
        make: Callable[[int], Request],
        answer: type[T] | Any,
        progress: Callable[[Progress], None] | None = None,
    ) -> T:
        """Send the request that ``make`` builds around its id, and return the answer. Raises MailquotaError.

        ``answer`` is the type of the answer, ``progress`` is called for each progress message; see ``Client.request``.
        """
        if self._client is None:
            raise EngineGoneError("no engine is connected; trying again: is the service running?")
        result: T = await self._client.request(make(self._client.next_id()), answer, progress)
        return result

    def cancel(self, target: int) -> None:
        """Stop a running request after the account that it works on; its answer then has the results so far."""
        if self._client is not None:
            self._client.send(Cancel(self._client.next_id(), target))

    async def hand_over(self) -> None:
        """Let a detached engine take over the sockets. Raises MailquotaError if the engine can't."""
        await self.ask(HandOver, int)
