"""Whose orders are begun when, so that no client of the control socket holds up the loop that answers Postfix.

Of one client a few orders are begun in a turn of the loop, and all clients that have more at hand share some
milliseconds of it. Of a user who may not change anything few orders run at a time, and they are small ones: what such a
user has ordered beyond that waits, and is not even read. Those who may change something may stop the engine anyway.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from .framing import MAX_ORDER

TURN = 4  # orders of one client that are begun at a time
_TURNS_SECONDS = 0.004  # of one turn of the loop, for all clients that have further orders at hand
_MOST_RUNNING = 64  # orders of a user at a time
_MOST_LOOKING = 4  # of a user who may not change anything
_LOOKING_FRAME = 128 * 1024  # bytes of an order: some thousand addresses
_WARNING_FRAME = 4 * 1024  # Dovecot orders one warning at a time


class Asker(Protocol):
    """The user of a client."""

    @property
    def uid(self) -> int: ...
    @property
    def may_change(self) -> bool: ...
    @property
    def only_warns(self) -> bool: ...


def longest_order(asker: Asker) -> int:
    """How many bytes an order of this user may have."""
    if asker.only_warns:
        return _WARNING_FRAME
    return MAX_ORDER if asker.may_change else _LOOKING_FRAME


class Turns:
    """The clients that have orders at hand, and the number of orders that run, by user."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], None]] = deque()
        self._planned = False
        self._running: Counter[int] = Counter()
        self._waiting: dict[int, deque[Callable[[], bool]]] = {}

    def give(self, turn: Callable[[], None]) -> None:
        """Have ``turn`` called in the next turn of the loop, after those that came before."""
        self._due.append(turn)
        self._plan()

    def _plan(self) -> None:
        if self._due and not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._take)

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _TURNS_SECONDS
        self._planned = False
        for _ in range(len(self._due)):  # those that want another one come to the end
            self._due.popleft()()
            if loop.time() > until:
                break
        self._plan()

    def has_room(self, asker: Asker) -> bool:
        """Whether one more order of this user may run."""
        return self._running[asker.uid] < (_MOST_RUNNING if asker.may_change else _MOST_LOOKING)

    def wait(self, asker: Asker, wake: Callable[[], bool]) -> None:
        """Have ``wake`` called when an order of this user has ended; it says whether anybody was there to wake."""
        self._waiting.setdefault(asker.uid, deque()).append(wake)

    def begin(self, asker: Asker) -> None:
        """An order of this user runs from now on."""
        self._running[asker.uid] += 1

    def end(self, asker: Asker) -> None:
        """An order of this user has ended."""
        self._running[asker.uid] -= 1
        if not self._running[asker.uid]:
            del self._running[asker.uid]
        waiting = self._waiting.get(asker.uid)
        while waiting and not waiting.popleft()():
            pass
        if not waiting:
            self._waiting.pop(asker.uid, None)
