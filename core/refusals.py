"""How often each account was refused mail, over the last hour and the last day. Pure: the time is a parameter.

Counted in slices of five minutes: an addition for each refusal, whatever rate they come at, and memory only for
accounts that were refused. Which slice it is a clock says that never goes back; the time of day is for people.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque

from core.control.results import Refusals, RefusedAccount
from core.policy.protocol import text_attribute

_SLICE = 300  # seconds
_HOUR, _DAY = 12, 288  # slices, besides the one that is going on


class _Window:
    """Counts of the newest slices."""

    def __init__(self, slices: int) -> None:
        self.counts: Counter[str] = Counter()
        self._slices = slices
        self._parts: deque[tuple[int, Counter[str]]] = deque()

    def add(self, number: int, address: str) -> None:
        """One more in slice ``number``."""
        if not self._parts or self._parts[-1][0] < number:
            self._parts.append((number, Counter()))
        self._parts[-1][1][address] += 1
        self.counts[address] += 1

    def forget(self, number: int) -> list[str]:
        """Leave out what is too old in slice ``number``; the addresses of which nothing is left."""
        gone = []
        while self._parts and self._parts[0][0] < number - self._slices:
            for address, count in self._parts.popleft()[1].items():
                self.counts[address] -= count
                if not self.counts[address]:
                    del self.counts[address]
                    gone.append(address)
        return gone


class RefusalTally:
    """Written and read on the engine's loop.

    ``at`` and ``now`` are seconds since the epoch, ``steady`` those of a clock that never goes back.
    """

    def __init__(self, steady: float) -> None:
        self._begun = steady
        self._hour, self._day = _Window(_HOUR), _Window(_DAY)
        self._last: dict[str, tuple[float, bytes]] = {}

    def add(self, address: str, request: bytes, at: float, steady: float) -> None:
        """A refusal on account of this mailbox."""
        number = int(steady // _SLICE)
        self._hour.add(number, address)
        self._day.add(number, address)
        self._last[address] = at, request
        self._forget(number)

    def _forget(self, number: int) -> None:
        self._hour.forget(number)
        for address in self._day.forget(number):
            del self._last[address]

    def report(self, now: float, steady: float, most: int) -> Refusals:
        """The accounts that were refused most within the hour, then within the day."""
        self._forget(int(steady // _SLICE))
        hour, day = self._hour.counts, self._day.counts
        worst = heapq.nlargest(most, day, key=lambda address: (hour[address], day[address], self._last[address][0]))
        since = now - min(steady - self._begun, _DAY * _SLICE)
        return Refusals(since, [self._row(address) for address in worst], len(day))

    def _row(self, address: str) -> RefusedAccount:
        at, request = self._last[address]
        sender = text_attribute(request, "sender")
        return RefusedAccount(address, self._hour.counts[address], self._day.counts[address], at, sender)
