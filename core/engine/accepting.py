"""Whether the sockets that an engine listens on still take connections: looked at each second, from outside the loop.

Theory of operation. A listener of the loop may die without a word, as where the kernel had no memory for a connection,
and a socket may be shut down; clients then wait in the kernel's queue, or are turned away, while everything else looks
well. So each second the kernel is asked whether somebody waits. Nearly always nobody does. Where somebody still does
after the loop had its turn, and the loop took nobody meanwhile, its listener is dead: it is made anew on the same
socket, and takes who waits. A socket that was shut down is dead itself: where listening anew does not help the engine
ends, as who starts it anew makes new ones.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import NamedTuple

from mailquota.core.base import restarts
from mailquota.core.control.server import ControlServer
from mailquota.core.engine.parts import EngineParts
from mailquota.core.policy.server import PolicyServer

_LOOK_SECONDS = 1.0
_TURN_SECONDS = 0.05  # the loop accepts once in each turn
_DEAD = select.POLLHUP | select.POLLERR | select.POLLNVAL


class _Door(NamedTuple):
    name: str
    sock: socket.socket
    server: PolicyServer | ControlServer


class AcceptWatch:
    """Runs on the engine's loop."""

    def __init__(self, engine: EngineParts) -> None:
        self._engine = engine
        self._shut: set[str] = set()  # sockets that were shut down at the last look

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Once; while sockets are opened, closed or handed over nothing can be told."""
        engine = self._engine
        waiting = {door: door.server.accepted for door in self._doors() if _state(door.sock)}
        if waiting:
            await asyncio.sleep(_TURN_SECONDS)
        if engine.changing or engine.listeners.handed_over or engine.finished.is_set():
            return
        dead = {
            door.name: state
            for door, accepted in waiting.items()
            if (state := _state(door.sock)) and door.server.accepted == accepted
        }
        shut = {name for name, state in dead.items() if state & _DEAD}
        again, self._shut = shut & self._shut, shut
        if again:
            engine.fail(f"{', '.join(sorted(again))} takes no connections any more")
        elif dead:
            for name in dead:
                restarts.count(f"listening on {name}", None)
            await engine.listen_again()

    def _doors(self) -> list[_Door]:
        engine = self._engine
        doors = [_Door(name, sock, engine.policy) for name, sock in engine.listeners.policy.items()]
        return doors + [_Door(name, sock, engine.control) for name, sock in engine.listeners.control.items()]


def _state(sock: socket.socket) -> int:
    """0 where nobody waits and all is well; closed meanwhile is well, too."""
    if sock.fileno() < 0:
        return 0
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return next((state for _, state in poll.poll(0)), 0)
