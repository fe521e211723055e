"""The sockets of an engine, the two servers that accept on them, and a check each second that they do.

Theory of operation of the check. A listener of the loop may die without an error, as where the kernel had no memory for
a connection, and a socket may be shut down; clients then wait in the kernel's queue or are refused, while all else goes
on. So each second the kernel is asked whether a connection waits on a socket. Nearly always none does. Where one still
waits after the loop had its turn, and the server accepted none meanwhile, the listener is dead: a new one is made on
the same socket, and accepts what waits. A socket that was shut down is dead itself: where a new listener does not help,
the engine ends, and the service manager starts one that makes new sockets.
"""

from __future__ import annotations

import asyncio
import select
import socket
from dataclasses import replace
from typing import NamedTuple

from ..base import restarts
from ..base.threads import in_thread
from ..control.server import ControlServer
from ..policy.server import PolicyServer
from .ending import Ending
from .listeners import Listeners

_CHECK_SECONDS = 1.0
_TURN_SECONDS = 0.05  # the loop accepts once in each turn
_DEAD = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Servers:
    """The policy server and the control server on the sockets of ``listeners``. Used on the engine's loop.

    ``changing`` is held while sockets are opened, closed or handed over: start, reload and hand-over go one by one.
    """

    def __init__(self, policy: PolicyServer, control: ControlServer) -> None:
        self.policy = policy
        self.control = control
        self.listeners = Listeners()
        self.changing = asyncio.Lock()

    async def listen_for_policy(self) -> None:
        """Accept on the sockets of policy.listen."""
        for sock in self.listeners.policy.values():
            await self.policy.listen(sock)

    async def listen(self) -> None:
        """Accept on all sockets."""
        await self.listen_for_policy()
        for sock in self.listeners.control.values():
            await self.control.listen(sock)

    async def listen_again(self) -> None:
        """Replace the loop's listeners by new ones on the same sockets; connections go on."""
        async with self.changing:
            if not self.listeners.handed_over:
                self.stop_accepting()
                await self.listen()

    def stop_accepting(self) -> None:
        """Accept no connections; those that come wait in the kernel's queue."""
        self.policy.stop_accepting()
        self.control.stop_accepting()

    async def let_in_owner(self, mailstore: str) -> None:
        """Let the owner of the folder ``mailstore`` order warnings, as Dovecot's quota-warning service does."""
        owner = await in_thread(lambda: self.listeners.let_in_owner(mailstore))
        self.control.rights = replace(self.control.rights, mailbox_owner=owner)


class _Listening(NamedTuple):
    name: str
    sock: socket.socket
    server: PolicyServer | ControlServer


class ListenCheck:
    """Makes listeners that died anew, and ends the engine where that does not help. Runs on the engine's loop."""

    def __init__(self, servers: Servers, ending: Ending) -> None:
        self._servers = servers
        self._ending = ending
        self._shut: set[str] = set()  # sockets that were shut down at the last check

    async def run(self) -> None:
        """Check each second, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Check once. While sockets are opened, closed or handed over nothing is concluded."""
        servers = self._servers
        waiting = {one: one.server.accepted for one in self._listening() if _state(one.sock)}
        if waiting:
            await asyncio.sleep(_TURN_SECONDS)
        if servers.changing.locked() or servers.listeners.handed_over or self._ending.due.is_set():
            return
        dead = {
            one.name: state
            for one, accepted in waiting.items()
            if (state := _state(one.sock)) and one.server.accepted == accepted
        }
        shut = {name for name, state in dead.items() if state & _DEAD}
        again, self._shut = shut & self._shut, shut
        if again:
            self._ending.fail(f"{', '.join(sorted(again))} takes no connections any more")
        elif dead:
            for name in dead:
                restarts.count(f"listening on {name}", None)
            await servers.listen_again()

    def _listening(self) -> list[_Listening]:
        servers = self._servers
        found = [_Listening(name, sock, servers.policy) for name, sock in servers.listeners.policy.items()]
        return found + [_Listening(name, sock, servers.control) for name, sock in servers.listeners.control.items()]


def _state(sock: socket.socket) -> int:
    """What poll(2) says of a listening socket: 0 where no connection waits and nothing is wrong, or it was closed."""
    if sock.fileno() < 0:
        return 0
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return next((state for _, state in poll.poll(0)), 0)
