"""How often each account was refused mail, over the last hour and the last day. Pure: the time is a parameter.

Counted in slices of five minutes: an addition for each refusal, whatever rate they come at, and memory only for
accounts that were refused. All refusals are counted under the empty address. Which slice it is a clock says that is
never set back; ``at`` is the time of day, for people.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from mailquota.core.control.results import Refusals, RefusedAccount

_SLICE = 300  # seconds
_HOUR, _DAY = 12, 288  # slices, besides the one that is going on
_ALL = ""


class Refused(NamedTuple):
    """How often a mailbox was refused mail within a slice of five minutes; an empty address stands for all refusals.

    ``at`` is when it was last, in seconds since the epoch, and ``sender`` whose mail that was.
    """

    number: int
    address: str
    times: int
    at: float
    sender: str


class _Window:
    """Counts of the newest slices."""

    def __init__(self, slices: int) -> None:
        self.counts: Counter[str] = Counter()
        self._slices = slices
        self.parts: deque[tuple[int, Counter[str]]] = deque()

    def add(self, number: int, address: str) -> None:
        """One more in slice ``number``."""
        if not self.parts or self.parts[-1][0] < number:
            self.parts.append((number, Counter()))
        self.parts[-1][1][address] += 1
        self.counts[address] += 1

    def merge(self, refusals: Iterable[Refused]) -> None:
        """Those of before, or of another engine, too."""
        parts = dict(self.parts)
        for one in refusals:
            parts.setdefault(one.number, Counter())[one.address] += one.times
            self.counts[one.address] += one.times
        self.parts = deque(sorted(parts.items()))

    def forget(self, number: int) -> list[str]:
        """Leave out what is too old in slice ``number``; the addresses of which nothing is left."""
        gone = []
        while self.parts and self.parts[0][0] < number - self._slices:
            for address, count in self.parts.popleft()[1].items():
                self.counts[address] -= count
                if not self.counts[address]:
                    del self.counts[address]
                    gone.append(address)
        return gone


class RefusalTally:
    """Written and read on the engine's loop.

    ``at`` and ``now`` are seconds since the epoch, ``steady`` those of ``steady_time`` in core/base/times.py.
    ``sender_of`` gives the sender in a request, for those that are shown or written.
    """

    def __init__(self, steady: float, sender_of: Callable[[bytes], str]) -> None:
        self._begun = steady
        self._sender_of = sender_of
        self._hour, self._day = _Window(_HOUR), _Window(_DAY)
        self._unsaved = _Window(_DAY)  # what the history does not have yet
        self._last: dict[str, tuple[float, bytes | str]] = {}  # when, and the request or its sender

    def add(self, address: str, request: bytes, at: float, steady: float) -> None:
        """A refusal on account of this mailbox."""
        number = int(steady // _SLICE)
        for window in (self._hour, self._day, self._unsaved):
            window.add(number, address)
        self._last[address] = at, request
        self._forget(number)

    def count(self, request: bytes, at: float, steady: float) -> None:
        """A refusal, of whichever mailbox."""
        self.add(_ALL, request, at, steady)

    def last_hour(self, steady: float) -> int:
        """How often mail was refused within the last hour, to the slice."""
        self._forget(int(steady // _SLICE))
        return self._hour.counts[_ALL]

    def _forget(self, number: int) -> None:
        self._hour.forget(number)
        self._unsaved.forget(number)
        for address in self._day.forget(number):
            del self._last[address]

    def report(self, now: float, steady: float, most: int) -> Refusals:
        """The accounts that were refused most within the hour, then within the day."""
        self._forget(int(steady // _SLICE))
        hour, day = self._hour.counts, self._day.counts
        accounts = [address for address in day if address != _ALL]
        worst = heapq.nlargest(most, accounts, key=lambda name: (hour[name], day[name], self._last[name][0]))
        since = now - min(steady - self._begun, _DAY * _SLICE)
        return Refusals(since, [self._row(name) for name in worst], len(accounts))

    def _row(self, address: str) -> RefusedAccount:
        at, sender = self._last_of(address)
        return RefusedAccount(address, self._hour.counts[address], self._day.counts[address], at, sender)

    def _last_of(self, address: str) -> tuple[float, str]:
        at, mail = self._last[address]
        return at, mail if isinstance(mail, str) else self._sender_of(mail)

    # ---- what outlives the engine

    def known(self) -> list[Refused]:
        """All of the last day."""
        return self._refused(self._day)

    def unsaved(self) -> list[Refused]:
        """Those that this was not asked for yet; who can't write them gives them back."""
        found, self._unsaved = self._refused(self._unsaved), _Window(_DAY)
        return found

    def give_back(self, refusals: Iterable[Refused]) -> None:
        """They could not be written."""
        self._unsaved.merge(refusals)

    def recall(self, refusals: list[Refused], steady: float) -> dict[str, float]:
        """Those of before this engine, which are written already; when each account was refused last."""
        number = int(steady // _SLICE)
        for window, slices in ((self._hour, _HOUR), (self._day, _DAY)):
            window.merge(one for one in refusals if number - slices <= one.number <= number)
        last: dict[str, float] = {}
        for one in refusals:
            if number - _DAY <= one.number <= number:
                self._begun = min(self._begun, one.number * _SLICE)
                last[one.address] = max(one.at, last.get(one.address, 0.0))
                if self._last.get(one.address, (0.0, b""))[0] < one.at:
                    self._last[one.address] = one.at, one.sender
        last.pop(_ALL, None)
        return last

    def oldest(self, steady: float) -> int:
        """The first slice that counts."""
        return int(steady // _SLICE) - _DAY

    def _refused(self, window: _Window) -> list[Refused]:
        return [
            Refused(number, address, count, *self._last_of(address))
            for number, counts in window.parts
            for address, count in counts.items()
            if address in self._last
        ]
