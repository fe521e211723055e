"""Whether the sockets that an engine listens on still take connections: looked at each second, from outside the loop.

Theory of operation. A listener of the loop may die without a word, as where the kernel had no memory for a connection,
and a socket may be shut down; clients then wait in the kernel's queue, or are turned away, while everything else looks
well. So each second the kernel is asked, beside the loop. Nearly always nobody waits. Who does is taken in like others;
if that happens twice while the loop itself took nobody, its listener is dead, and is made anew on the same socket. A
socket that was shut down is dead itself: where listening anew does not help the engine ends, as who starts it anew
makes new ones.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import socket

from core import restarts
from core.control.server import ControlServer
from core.engine_parts import EngineParts
from core.policy.server import PolicyServer

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_DEAD = select.POLLHUP | select.POLLERR | select.POLLNVAL

Server = PolicyServer | ControlServer


class Doorkeeper:
    """Runs on the engine's loop."""

    def __init__(self, engine: EngineParts) -> None:
        self._engine = engine
        self._missed: dict[str, int] = {}  # how many the loop had taken when somebody was left waiting
        self._broken: set[str] = set()  # sockets that could not accept at the last look

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Once; not while sockets are opened, closed or handed over."""
        engine = self._engine
        if engine.changing or engine.listeners.handed_over or engine.finished.is_set():
            return
        dead: dict[str, OSError | None] = {}
        for server, sockets in ((engine.policy, engine.listeners.policy), (engine.control, engine.listeners.control)):
            for name, sock in sockets.items():
                taken = _accept(sock)
                if isinstance(taken, OSError):
                    dead[name] = taken
                elif taken is not None:
                    await _take_in(server, taken)
                    if self._missed.get(name) == server.accepted:
                        dead[name] = None
                    self._missed[name] = server.accepted
                else:
                    self._missed.pop(name, None)
        await self._mend(dead)

    async def _mend(self, dead: dict[str, OSError | None]) -> None:
        broken = {name for name, error in dead.items() if error is not None}
        again, self._broken = broken & self._broken, broken
        if again:
            name = again.pop()
            self._engine.fail(f"{name} takes no connections any more: {dead[name]}")
        elif dead:
            for name, error in dead.items():
                restarts.count(f"listening on {name}", error)
            self._missed.clear()
            await self._engine.listen_again()


def _accept(sock: socket.socket) -> socket.socket | OSError | None:
    """Who waits, if somebody does; an error where nobody ever will."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    for _, found in poll.poll(0):
        if found & _DEAD:
            return OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
        try:
            return sock.accept()[0]
        except OSError as error:
            log.debug("who waited could not be taken in: %s", error)  # the loop will, or says so itself
    return None


async def _take_in(server: Server, sock: socket.socket) -> None:
    if isinstance(server, PolicyServer):
        await server.adopt(sock, b"")
    else:
        await server.adopt(sock)
