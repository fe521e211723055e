"""The engine's side of the control protocol: which users may connect, their orders, and the events sent to them.

The kernel tells the user of a peer (SO_PEERCRED, unix(7)). Root may do everything, as may members of
``control.group``; members of ``control.read_only_group`` may look. The owner of the mailboxes, as which Dovecot runs
its quota-warning service, may have warnings sent and nothing else: whatever groups they are in, and also where the
engine runs as them, as a mail program that was broken into runs as that user, too. All others get a Goodbye. The
console in the process of the engine may do everything, and in a throwaway world so may the user who made it.

A client that does not read is disconnected when 64 MiB wait for it, or 128 MiB for all and most for it, so that one
console can't take the memory of all. One that has not said Hello after some seconds is disconnected, too; until then
it may send a few KiB only. Each user may have a number of connections, and some are kept for root: where they are used
up, the user's longest idle one ends. Of users who may not connect few connections are kept, as each takes a descriptor.
How orders of one client leave time for others: see turns.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from ..base.errors import ProtocolError
from ..base.threads import in_thread
from .framing import OrderReader, Refused, encode
from .messages import VERSION, Event, Failed, Goodbye, Hello, Order, Welcome
from .peers import Peer, Rights, credentials, peer_of
from .turns import TURN, Turns, longest_order

log = logging.getLogger(__name__)

_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}  # the owner removes it
HELLO_SECONDS = 5.0
_MOST_EARLY = 64 * 1024  # bytes before the Hello
_MOST_CLIENTS = 512
_WRONG_USAGE = 2  # exit code of a command
_MOST_STRANGERS = 64  # connections of users who may not connect, or are being looked up
_MOST_OF_A_STRANGER = 16
_BEHIND = 64 * 1024 * 1024
_ALL_BEHIND = 128 * 1024 * 1024
_MUCH_UNREAD = 1024 * 1024  # bytes that a client has not read: its next orders wait


class Cancellable(Protocol):
    """Work on accounts that ends before the next one when ``cancelled`` is set."""

    cancelled: bool


class ControlConnection(asyncio.Protocol):
    """One client. Every order after its Hello goes to ``ControlServer.handle``."""

    def __init__(self, server: ControlServer, *, inside: bool = False) -> None:
        self._server = server
        self._inside = inside
        self.number = server.next_number()
        self._reader = OrderReader()
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.peer: Peer | None = None
        self._early: bytes | None = b""  # received while the user is looked up; None afterwards
        self.hello: Hello | None = None
        self.subscribed = False
        self.operators: dict[int, Cancellable] = {}  # requests that are being carried out, by id
        self.decisions_seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._due = False  # a turn is to come, or the end of another order is waited for
        self._blocked = False  # the client does not read
        self.uid = 0  # of the peer
        self._unknown = 0  # bytes that came before the Hello

    @property
    def idle(self) -> bool:
        """Whether it waits for nothing."""
        return not (self._tasks or self.subscribed or self._reader.frames.more)

    @property
    def lives(self) -> bool:
        """Whether its user is known, and it was not ended."""
        return self.peer is not None and self._transport is not None and not self._transport.is_closing()

    @property
    def is_strangers(self) -> bool:
        """Whether it belongs to a user who may not connect, or who is not looked up yet."""
        return self.peer is None and not self._inside and self._transport is not None

    @property
    def refused(self) -> bool:
        """Whether its user may not connect; false while that is not known."""
        return self.peer is None and self._early is None

    @property
    def may_change(self) -> bool:
        """Whether orders that change something are taken from this client."""
        return self.peer is not None and self.peer.may_change and not (self.hello is not None and self.hello.read_only)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look up the user of a new client. Its orders are kept until the user is known."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_MUCH_UNREAD)
        handle = transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(handle)) as sock:
            self.uid = credentials(sock)[1]
        if not self._server.admits(self):
            self._transport.abort()
            return
        self._server.connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(HELLO_SECONDS, self._be_greeted)
        self._start(self._admit(self._transport, os.dup(handle)))

    async def _admit(self, transport: asyncio.Transport, handle: int) -> None:
        """Look the user up in a thread, as names may come from a directory server that is slow or gone."""
        transport.pause_reading()
        self._paused = True
        with socket.socket(fileno=handle) as sock:
            try:
                self.peer = await in_thread(lambda: peer_of(sock, self._server.rights, inside=self._inside))
            except OSError as error:
                log.warning("the user of a control client is not known: %s", error)
        early, self._early = self._early, None
        if self.peer is not None:
            self._reader.frames.limit = longest_order(self.peer)
            if not self._server.make_room(self):
                self.end("there are too many connections to this engine, and none is idle")
                return
        if early:
            self.data_received(early)
        else:
            self._flow()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the client. Changes that it ordered are finished; their results are dropped."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._server.connections.discard(self)
        self._server.gone(self)

    def data_received(self, data: bytes) -> None:
        """Take orders. A client that may not connect is refused only here: earlier, its first write would fail."""
        if self._early is not None:
            self._early += data
            return
        if self.peer is None:
            self.end("you may not use this socket: see control.group in the settings")
            return
        self._unknown += len(data)
        self._reader.frames.add(data)
        self._work(self.peer)
        if self.hello is None and self._unknown > _MOST_EARLY:
            self.end(f"no Hello within {_MOST_EARLY} bytes")

    def _work(self, peer: Peer) -> None:
        """Begin a few of the orders at hand."""
        try:
            orders = self._reader.feed(b"")
            for _ in range(TURN):
                if not self._server.turns.has_room(peer) or (order := next(orders, None)) is None:
                    break
                self._take(order)
        except ProtocolError as error:
            log.warning("a control client was disconnected: %s", error)
            self.end(str(error))
        self._flow()

    def _flow(self) -> None:
        """Read no further while orders are at hand; see to it that they get their turn."""
        transport, peer, more = self._transport, self.peer, self._reader.frames.more
        if transport is None or transport.is_closing():
            return
        if more != self._paused:
            self._paused = more
            (transport.pause_reading if more else transport.resume_reading)()
        if more and peer is not None and not self._due and not self._blocked:
            self._due = True
            if self._server.turns.has_room(peer):
                self._server.turns.give(self._turn)
            else:
                self._server.turns.wait(peer, self._wake)

    def _turn(self) -> None:
        self._due = False
        if self.peer is not None and self._transport is not None and not self._blocked:
            self._work(self.peer)

    def _wake(self) -> bool:
        if self._transport is not None:
            self._server.turns.give(self._turn)
        return self._transport is not None

    def pause_writing(self) -> None:
        """The client does not read: its next orders wait."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._blocked = False
        self._flow()

    def _be_greeted(self) -> None:
        """Called some seconds after the start: end the connection of a client that has not said Hello."""
        if self.hello is None:
            self.end(f"no Hello within {HELLO_SECONDS:g} s")

    def cancel(self, number: int) -> None:
        """Stop the request of this id after the account that it is at."""
        if number in self.operators:
            self.operators[number].cancelled = True

    @property
    def unread(self) -> int:
        """Bytes that were sent and that the client has not read yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, event: Event) -> None:
        """Send an event, unless the client is gone."""
        self.send_frame(encode(event))

    def send_frame(self, frame: bytes) -> None:
        """Send an encoded event, which several clients get. A client that is 64 MiB behind is disconnected."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.unread > _BEHIND:
            self.drop()
            return
        self._transport.write(frame)
        if self.unread > _MUCH_UNREAD:
            self._server.keep_less()

    def drop(self) -> None:
        """Disconnect a client that does not read."""
        log.warning("a control client does not read and was dropped")
        if self._transport is not None:
            self._transport.abort()

    def end(self, reason: str) -> None:
        """Send a Goodbye with this reason, and close."""
        if self._transport is not None:
            self.send(Goodbye(reason))
            self._transport.close()

    def abort(self) -> None:
        """Close at once, without a word."""
        if self._transport is not None:
            self._transport.abort()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out an order of this client. Where it fails, the error is logged and the connection ends."""
        peer = self.peer
        assert peer is not None
        self._server.turns.begin(peer)
        self._start(work).add_done_callback(lambda _: self._server.turns.end(peer))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work for a control client failed", exc_info=error)
            self.end("internal error; the log of the engine has it")

    def _take(self, order: Order | Refused) -> None:
        if self.peer is None or self._transport is None or self._transport.is_closing():
            return
        if self.hello is not None and isinstance(order, Refused):
            self.send(Failed(order.id, _WRONG_USAGE, order.reason))
            return
        if self.hello is not None and not isinstance(order, Refused):
            self._server.handle(self, order)
            return
        if not isinstance(order, Hello):
            raise ProtocolError("the first message is not Hello")
        if order.version != VERSION:
            self.end(f"this engine speaks version {VERSION} of the control protocol, you speak {order.version}")
            return
        self.hello = order
        self.send(self._server.welcome(self))


class ControlServer:
    """Accepts clients on a bound socket, and clients of the same process through ``adopt``.

    ``welcome`` makes the first message to a client, ``gone`` is called when its connection has ended. ``handle`` is to
    be set before a client connects: it gets each order.
    """

    def __init__(
        self,
        rights: Rights,
        *,
        welcome: Callable[[ControlConnection], Welcome],
        gone: Callable[[ControlConnection], None],
    ) -> None:
        self.rights = rights
        self.welcome = welcome
        self.handle: Callable[[ControlConnection, Order], None] = _refuse
        self.gone = gone
        self.connections: set[ControlConnection] = set()
        self.accepted = 0  # connections that were accepted; see ListenCheck in core/engine/accepting.py
        self.turns = Turns()
        self._listener: asyncio.Server | None = None
        self._made = 0

    async def listen(self, sock: socket.socket) -> None:
        """Accept on a copy of a bound socket; closing the socket itself is left to the caller."""
        loop = asyncio.get_running_loop()
        copy = sock.dup()
        self._listener = await loop.create_unix_server(self._accepted, sock=copy, **_KEEP_FILE)

    def _accepted(self) -> ControlConnection:
        self.accepted += 1
        return ControlConnection(self)

    def next_number(self) -> int:
        """A number for a connection; later ones have higher ones."""
        self._made += 1
        return self._made

    async def adopt(self, sock: socket.socket) -> None:
        """Serve a connected socket, such as that of the console in this process."""
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: ControlConnection(self, inside=True), sock)

    def admits(self, newest: ControlConnection) -> bool:
        """Whether the user of a new connection may be looked up. Root always may.

        Of one user few wait for that, or for being told that they may not connect; of all those the oldest makes room.
        """
        if not newest.uid or not newest.is_strangers:
            return True
        others = [one for one in self.connections if one.uid and one.is_strangers]
        if sum(one.uid == newest.uid for one in others) >= _MOST_OF_A_STRANGER:
            return False
        if len(others) >= _MOST_STRANGERS:
            min(others, key=lambda one: (not one.refused, one.number)).abort()
        return True

    def keep_less(self) -> None:
        """Drop the client that is most behind, where too much waits for all together."""
        if sum(one.unread for one in self.connections) > _ALL_BEHIND:
            max(self.connections, key=lambda one: one.unread).drop()

    def make_room(self, newest: ControlConnection) -> bool:
        """Whether a user may have one more connection; else that user's longest idle one is closed, if there is one."""
        assert newest.peer is not None
        most = _most_clients()
        known = [one for one in self.connections if one.lives and one is not newest]
        others = [one for one in known if one.peer is not None and one.peer.uid]
        mine = [one for one in known if one.peer is not None and one.peer.uid == newest.peer.uid]
        crowded = len(known) >= most
        if newest.peer.uid:  # half of all for one user, three quarters for all but root
            crowded = len(mine) >= most // 2 or len(others) >= most * 3 // 4
        if not crowded:
            return True
        idle = [one for one in mine if one.idle]
        if idle:
            min(idle, key=lambda one: one.number).end("a newer connection of the same user took its place")
        return bool(idle)

    @property
    def subscribers(self) -> list[ControlConnection]:
        """The clients that sent Subscribe."""
        return [connection for connection in self.connections if connection.subscribed]

    def stop_accepting(self) -> None:
        """Accept no more clients; those that are connected stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self, reason: str) -> None:
        """Accept no more clients, and end all connections with this reason."""
        self.stop_accepting()
        for connection in list(self.connections):
            connection.end(reason)


def _most_clients() -> int:
    """Connections in all: of the limit of open files most are for policy clients and for reading mailboxes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_CLIENTS if soft == resource.RLIM_INFINITY else min(_MOST_CLIENTS, max(16, soft // 16))


def _refuse(connection: ControlConnection, order: Order) -> None:
    connection.end(f"this engine takes no orders ({type(order).__name__})")
