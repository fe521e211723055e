"""The policy server's connections: each takes requests and gives one answer for each, in their order.

``ask(request, connection)`` returns the answer, or None and later calls ``connection.complete``. A connection is kept
open until its client closes it: Postfix takes a close after an answer as a fault and waits a second before the next
request. From a client that does not read its answers no more requests are read. For a hand-over to another process,
connections come to rest between two requests, and their file descriptors are passed on.

No client makes others wait. Of one that sends many requests at once a few are answered in a turn of the loop, and all
such clients together have some milliseconds of a turn. What is kept for clients is bounded for each and in all: where
it would be too much, the connection for which most is kept is closed.

Reading a mailbox takes a descriptor, too, so some are kept for that. Where no other is left for a new connection, one
that does not read its answers is closed, as Postfix has one answer at a time. Without such, it is the one that asked
nothing for the longest time, first those that never asked: Postfix opens a new one when it has a request. Last comes
one that has sent many requests at once.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable
from heapq import nsmallest
from typing import Any, cast

from ..base.errors import ProtocolError
from .metrics import Metrics
from .protocol import TURN, RequestReader

log = logging.getLogger(__name__)

BACKLOG = 1024
_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}  # the owner does
_SPARE = 128  # descriptors that are kept for other uses; where there are few, half of them
_REST_LOOK = 0.002  # seconds between two checks whether all connections are at rest
_TURNS_SECONDS = 0.004  # of one turn of the loop, for all clients that have sent many requests at once
_MOST_HELD = 32 * 1024 * 1024  # bytes that are kept for all clients together
_MOST_UNREAD = 16 * 1024  # bytes of answers that wait for one client before its requests wait, too
_MANY = 2000  # connections; where there are more, several make room at a time, as finding them takes a while

Ask = Callable[[bytes, "Connection"], bytes | None]


class Connection(asyncio.Protocol):
    """The connection of one client, which is mostly an smtpd of Postfix."""

    def __init__(self, server: PolicyServer, received: bytes = b"") -> None:
        self._server = server
        self._received = received  # bytes that the process before had read of it; they come first
        self._reader = RequestReader()
        self._queue: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._busy = False  # a request is being decided
        self._blocked = False  # the client does not read
        self._ended = False  # the client will send nothing more
        self._paused = False
        self._due = False  # a turn is to come
        self._held = 0  # bytes that are kept for the client
        self.asked_at = 0  # the number of its last request among those of all clients; 0: it never asked
        self.number = server.accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio: admit the client, or close the connection."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.admit(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=_MOST_UNREAD)
        if self._server.resting:  # uvloop starts reading after this call, and would undo a pause in here
            asyncio.get_running_loop().call_soon(self.flow)
        if self._received:
            self.data_received(self._received)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Called by asyncio: the client is gone, and the answer that is being made for it will be dropped."""
        self._transport = None
        self._queue.clear()
        self._server.connections.discard(self)
        self._server.kept_bytes -= self._held
        self._held = 0

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: answer the requests that are complete with these bytes."""
        try:
            requests = self._reader.feed(data)
        except ProtocolError as error:
            self.refuse(str(error))
            return
        if (
            len(requests) == 1
            and not (self._queue or self._busy or self._blocked or self._held)
            and self._transport is not None
        ):
            self.asked_at = self._server.metrics.requests + 1
            answer = self._server.ask(requests[0], self)  # nearly always: one request, and nothing before it
            if answer is not None:
                self._transport.write(answer)
                return
            self._busy = True
            return
        self._queue.extend(requests)
        self._work()
        self._count_held()

    def turn(self) -> None:
        """Answer a few of the requests that were received at once; called by the server."""
        self._due = False
        if self._transport is None or self._queue:
            return
        try:
            self._queue.extend(self._reader.take())
        except ProtocolError as error:
            self.refuse(str(error))
            return
        self._work()
        self._count_held()

    def eof_received(self) -> bool:
        """Called by asyncio: the client will send no more, but still waits for answers. True keeps it open."""
        self._ended = True
        self._work()
        return True

    def pause_writing(self) -> None:
        """Called by asyncio: the client does not read its answers."""
        self._blocked = True
        self.flow()
        self._count_held()

    def resume_writing(self) -> None:
        """Called by asyncio: the client reads its answers again."""
        self._blocked = False
        self._work()
        self._count_held()

    def complete(self, answer: bytes) -> None:
        """Send the answer to the request for which ``ask`` returned None, and go on with the next."""
        if self._transport is not None:
            self._transport.write(answer)
        self._busy = False
        self._work()

    def refuse(self, reason: str) -> None:
        """Close the connection and log the reason: what it sends is no policy request."""
        self._server.refuse(self, reason)

    @property
    def owes(self) -> bool:
        """Whether an answer is still to be given. Requests of a client that does not read its answers don't count."""
        return self._busy or ((bool(self._queue) or self._reader.more) and not self._blocked)

    @property
    def idle(self) -> bool:
        """Whether nothing that was received waits for an answer, and nothing answered waits to be read."""
        return not (self._busy or self._queue or self._reader.more or self.unread)

    @property
    def unread(self) -> bool:
        """Whether answers wait here, as the client reads none: what the kernel keeps for it is full."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    @property
    def place(self) -> tuple[int, int, int] | None:
        """Its place among those that make room, the lowest first; None while its only request is being answered."""
        if self.unread:
            return 0, self.asked_at, self.number
        if self._queue or self._reader.more:
            return 2, self.asked_at, self.number
        return None if self._busy else (1, self.asked_at, self.number)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept for this client."""
        return self._held

    def abort(self) -> None:
        """Close without waiting for the client to read; what is kept for it goes at once."""
        self._queue.clear()
        self._reader = RequestReader()
        self._server.kept_bytes -= self._held
        self._held = 0
        if self._transport is not None:
            self._transport.abort()

    def parcel(self) -> tuple[int, bytes] | None:
        """The file descriptor, and the bytes of an incomplete request, for another process; the connection stays open.

        Answers that the client has not read can't be passed on: then the connection is closed and None returned, and
        Postfix asks again.
        """
        if self._transport is None or self._transport.is_closing() or not self.idle:
            self.abort()
            return None
        return self._transport.get_extra_info("socket").fileno(), self._reader.pending()

    def _work(self) -> None:
        if self._queue:
            self.asked_at = self._server.metrics.requests + 1
        while self._queue and not self._busy and not self._blocked and self._transport is not None:
            answer = self._server.ask(self._queue.popleft(), self)
            if answer is None:
                self._busy = True
            else:
                self._transport.write(answer)
        self.flow()
        if self._queue or self._busy or self._blocked or self._transport is None:
            return
        if self._reader.more and not self._due:
            self._due = True
            self._server.give_turn(self)
        elif self._ended and not self._reader.more:
            self._transport.close()

    def _count_held(self) -> None:
        """Tell the server how many bytes are kept: received ones, and answers that the client does not read."""
        if self._transport is None or self._transport.is_closing():
            return
        held = self._reader.held + (self._transport.get_write_buffer_size() if self._blocked else 0)
        self._server.kept_bytes += held - self._held
        self._held = held
        if self._server.kept_bytes > _MOST_HELD:
            self._server.keep_less()

    def flow(self) -> None:
        """Pause or resume reading.

        Nothing is read while the client does not read its answers, many requests wait, or the server is at rest.
        """
        pause = self._blocked or self._server.resting or self._reader.more or len(self._queue) >= TURN
        if pause == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = pause
        (self._transport.pause_reading if pause else self._transport.resume_reading)()


class PolicyServer:
    """The listening sockets and their connections."""

    def __init__(self, ask: Ask, metrics: Metrics) -> None:
        self.ask = ask
        self.connections: set[Connection] = set()
        self.resting = False
        self.metrics = metrics
        self.kept_bytes = 0  # bytes that are kept for all connections
        self._turns: deque[Connection] = deque()  # connections that have further requests at hand
        self._turning = False
        self.accepted = 0  # connections so far, admitted or not
        self._listeners: list[asyncio.Server] = []
        self._most = sys.maxsize
        self._crowded = False

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket, which the caller has to close: this server uses a copy."""
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
        """Take over a connection of another process; ``received`` are bytes of a request that it had read already."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: Connection(self, received), sock)

    def admit(self, connection: Connection) -> bool:
        """Add a connection, if a descriptor is left for it, or another one makes room.

        False where none can. Of many for which there is no room in a row the first is logged.
        """
        if len(self.connections) >= self._most:
            if not self._crowded:
                self._crowded = True
                told = "%d policy connections are open; for others the longest idle ones are closed: see LimitNOFILE"
                log.warning(told, self._most)
            if not self._make_room():
                return False
        self.connections.add(connection)
        self._crowded = self._crowded and len(self.connections) > self._most * 9 // 10
        return True

    def _make_room(self) -> bool:
        """Close the connection that is first in ``place``; False where each waits for the answer to one request."""
        places = ((place, connection) for connection in self.connections if (place := connection.place) is not None)
        count = 1 if self._most < _MANY else self._most // 256
        first = nsmallest(count, places, key=lambda found: found[0])
        for _, connection in first:
            self.connections.discard(connection)
            connection.abort()
        return bool(first)

    def keep_less(self) -> None:
        """Close the connection for which most is kept: too much is kept for all together."""
        worst = max(self.connections, key=lambda connection: connection.kept_bytes, default=None)
        if worst is not None and worst.kept_bytes:
            self.refuse(worst, f"{worst.kept_bytes} bytes wait for it, and {self.kept_bytes} for all clients")

    def give_turn(self, connection: Connection) -> None:
        """Have a connection go on with its requests in the next turn of the loop, after others had theirs."""
        self._turns.append(connection)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._take_turns)

    def _take_turns(self) -> None:
        """A turn for each connection that has requests at hand, or for as many as the time allows."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _TURNS_SECONDS
        for _ in range(len(self._turns)):  # those that want another one come to the end
            self._turns.popleft().turn()
            if loop.time() > until:
                break
        self._turning = bool(self._turns)
        if self._turning:
            loop.call_soon(self._take_turns)

    def refuse(self, connection: Connection, reason: str) -> None:
        """Count, log and close a connection whose bytes are no policy requests."""
        self.metrics.malformed += 1
        log.warning("a policy client was disconnected: %s", reason)
        connection.abort()

    def stop_accepting(self) -> None:
        """Accept no more connections; those at hand go on."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def come_to_rest(self, seconds: float) -> None:
        """Stop reading, and wait until all requests that were received are answered, or for ``seconds``."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self.resting = True
        for connection in list(self.connections):
            connection.flow()
        # At least once: a connection that was accepted last is in ``connections`` only after the loop's next turn.
        await asyncio.sleep(_REST_LOOK)
        # An event would have to be set by every answer; this loop costs nothing but at a hand-over.
        while loop.time() < until and any(connection.owes for connection in self.connections):  # noqa: ASYNC110
            await asyncio.sleep(_REST_LOOK)

    def parcels(self) -> list[tuple[int, bytes]]:
        """For each connection what another process needs to take it over; to be called after ``come_to_rest``."""
        return [parcel for connection in list(self.connections) if (parcel := connection.parcel()) is not None]

    def go_on(self) -> None:
        """Resume reading after ``come_to_rest``."""
        self.resting = False
        for connection in list(self.connections):
            connection.flow()

    async def close(self, seconds: float = 3.0) -> None:
        """Answer the requests that were received, for ``seconds`` at most, then close all connections."""
        self.stop_accepting()
        await self.come_to_rest(seconds)
        for connection in list(self.connections):
            connection.abort()


def most_connections() -> int:
    """How many connections the limit of open files (RLIMIT_NOFILE) leaves room for now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - min(_SPARE, soft // 2)
