"""The policy server's connections: requests in, answers out, in order, and never a byte unasked.

Each connection answers one request after the other. ``ask(request, connection)`` gives the answer, or None and later
calls ``connection.complete``. A connection is kept open until its client closes it: Postfix takes a close after an
answer as a fault and waits a second before the next query. A client that does not read its answers is not read either.
To hand over to another process, connections come to rest between two requests and leave as file descriptors.

A look at a mailbox takes a descriptor, too. So connections that would use up the last ones are closed at once: their
clients try again soon, while those that are connected go on getting true answers.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from mailquota.core.base.errors import ProtocolError
from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.protocol import RequestReader

log = logging.getLogger(__name__)

BACKLOG = 1024
_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}  # the owner removes it
_SPARE = 128  # descriptors for all else; of very few, half of them
_REST_LOOK = 0.002  # seconds between two looks at whether all connections are at rest
_QUEUED = 64  # requests that may wait on one connection before it is not read any more

Ask = Callable[[bytes, "Connection"], bytes | None]


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: PolicyServer, received: bytes = b"") -> None:
        self._server = server
        self._received = received  # what another process had read of it: comes before all that is read here
        self._reader = RequestReader()
        self._queue: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._busy = False  # a request is being decided
        self._blocked = False  # the client does not read
        self._ended = False  # the client will send nothing more
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.admit(self):
            self._transport.abort()
            return
        if self._server.resting:  # uvloop begins to read after this call, so a pause in here would be lost
            asyncio.get_running_loop().call_soon(self.flow)
        if self._received:
            self.data_received(self._received)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client went; what was being decided for it is dropped when it is done."""
        self._transport = None
        self._queue.clear()
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            requests = self._reader.feed(data)
        except ProtocolError as error:
            self.refuse(str(error))
            return
        if len(requests) == 1 and not (self._queue or self._busy or self._blocked) and self._transport is not None:
            answer = self._server.ask(requests[0], self)  # the usual case, without the queue
            if answer is not None:
                self._transport.write(answer)
                return
            self._busy = True
            return
        self._queue.extend(requests)
        self._work()

    def eof_received(self) -> bool:
        """The client will send no more, but may wait for answers."""
        self._ended = True
        self._work()
        return True

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._blocked = True
        self.flow()

    def resume_writing(self) -> None:
        """It reads again."""
        self._blocked = False
        self._work()

    def complete(self, answer: bytes) -> None:
        """The answer to the request that ``ask`` said None to."""
        if self._transport is not None:
            self._transport.write(answer)
        self._busy = False
        self._work()

    def refuse(self, reason: str) -> None:
        """End it: what it sends is no policy request."""
        self._server.refuse(self, reason)

    @property
    def owes(self) -> bool:
        """Whether an answer is under way; one that its client does not take is not waited for."""
        return self._busy or (bool(self._queue) and not self._blocked)

    @property
    def idle(self) -> bool:
        """Whether nothing that was received waits for an answer, and nothing answered waits to be read."""
        unread = self._transport is not None and self._transport.get_write_buffer_size() > 0
        return not (self._busy or self._queue or unread)

    def abort(self) -> None:
        """Close without waiting for the client to read."""
        if self._transport is not None:
            self._transport.abort()

    def parcel(self) -> tuple[int, bytes] | None:
        """The connection as its file descriptor and the bytes of a half-read request. It stays open, and at rest.

        One whose client does not take its answers can't leave with them: it is closed, and Postfix asks anew.
        """
        if self._transport is None or self._transport.is_closing() or not self.idle:
            self.abort()
            return None
        return self._transport.get_extra_info("socket").fileno(), self._reader.pending()

    def _work(self) -> None:
        while self._queue and not self._busy and not self._blocked and self._transport is not None:
            answer = self._server.ask(self._queue.popleft(), self)
            if answer is None:
                self._busy = True
            else:
                self._transport.write(answer)
        self.flow()
        if self._ended and not self._busy and not self._queue and self._transport is not None:
            self._transport.close()

    def flow(self) -> None:
        """Read from the client, or not: as it reads, as requests wait, as the server rests."""
        pause = self._blocked or self._server.resting or len(self._queue) > _QUEUED
        if pause == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = pause
        (self._transport.pause_reading if pause else self._transport.resume_reading)()


class PolicyServer:
    """The listeners and their connections."""

    def __init__(self, ask: Ask, metrics: Metrics) -> None:
        self.ask = ask
        self.connections: set[Connection] = set()
        self.resting = False
        self._metrics = metrics
        self.accepted = 0  # connections that the loop took in
        self._listeners: list[asyncio.Server] = []
        self._most = sys.maxsize
        self._crowded = False

    async def listen(self, sock: socket.socket) -> None:
        """Accept on a bound socket. The socket stays its owner's: closing this server does not close it."""
        self._most = most_connections()
        loop = asyncio.get_running_loop()
        copy = sock.dup()
        if sock.family == socket.AF_UNIX:
            make = loop.create_unix_server(self._accepted, sock=copy, backlog=BACKLOG, **_KEEP_FILE)
        else:
            make = loop.create_server(self._accepted, sock=copy, backlog=BACKLOG)
        self._listeners.append(await make)

    def _accepted(self) -> Connection:
        self.accepted += 1
        return Connection(self)

    async def adopt(self, sock: socket.socket, received: bytes) -> None:
        """Go on with a connection that another process had, and with what it had read of it."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(self, received), sock)

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more. The first of many that find none is logged."""
        if len(self.connections) < self._most:
            self.connections.add(connection)
            self._crowded = self._crowded and len(self.connections) > self._most * 9 // 10
            return True
        if not self._crowded:
            self._crowded = True
            log.warning("%d policy connections are open and no more are taken: see LimitNOFILE", self._most)
        return False

    def refuse(self, connection: Connection, reason: str) -> None:
        """End a connection whose bytes are no requests; nobody else is touched."""
        self._metrics.malformed += 1
        log.warning("a policy client was disconnected: %s", reason)
        connection.abort()

    def stop_accepting(self) -> None:
        """Accept nobody any more; connections go on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def come_to_rest(self, seconds: float) -> None:
        """Read nothing more and wait until everything that was received is answered, at most so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self.resting = True
        for connection in list(self.connections):
            connection.flow()
        # Once in any case: a connection that the loop accepted last is in no list before the loop's next turn.
        await asyncio.sleep(_REST_LOOK)
        # an event instead would cost every answer; this costs one hand-over
        while loop.time() < until and any(connection.owes for connection in self.connections):  # noqa: ASYNC110
            await asyncio.sleep(_REST_LOOK)

    def parcels(self) -> list[tuple[int, bytes]]:
        """What another process needs to go on with the connections, once they came to rest."""
        return [parcel for connection in list(self.connections) if (parcel := connection.parcel()) is not None]

    def go_on(self) -> None:
        """Read again after ``come_to_rest``."""
        self.resting = False
        for connection in list(self.connections):
            connection.flow()

    async def close(self, seconds: float = 3.0) -> None:
        """Answer what was received, then end all connections."""
        self.stop_accepting()
        await self.come_to_rest(seconds)
        for connection in list(self.connections):
            connection.abort()


def most_connections() -> int:
    """By the limit of open files (RLIMIT_NOFILE) as it is now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(_SPARE, soft // 2)
