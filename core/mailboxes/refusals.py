"""Counts how often mail for each account was refused, over the last hour and the last day. Pure.

Counts are kept by slices of five minutes: a refusal costs an addition, and only accounts that were refused take memory.
The empty address has the count of all refusals. Slices are told by a clock that never goes back; the time of day is
kept only to be shown. Both are parameters.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..control.results import Refusals, RefusedAccount

_SLICE = 300  # seconds
_HOUR, _DAY = 12, 288  # slices, besides the one that is going on
_ALL = ""


class RefusalCount(NamedTuple):
    """How often mail for a mailbox was refused within slice ``number``; an empty address stands for all refusals.

    ``at`` is when that was last, in seconds since the epoch, and ``sender`` the sender of that mail.
    """

    number: int
    address: str
    times: int
    at: float
    sender: str


class _Window:
    """Counts by address over the newest slices."""

    def __init__(self, slices: int) -> None:
        self.counts: Counter[str] = Counter()
        self._slices = slices
        self.parts: deque[tuple[int, Counter[str]]] = deque()

    def add(self, number: int, address: str) -> None:
        """Count one refusal in slice ``number``."""
        if not self.parts or self.parts[-1][0] < number:
            self.parts.append((number, Counter()))
        self.parts[-1][1][address] += 1
        self.counts[address] += 1

    def merge(self, refusals: Iterable[RefusalCount]) -> None:
        """Add counts that are not from this window: of an earlier time, or of another engine."""
        parts = dict(self.parts)
        for one in refusals:
            parts.setdefault(one.number, Counter())[one.address] += one.times
            self.counts[one.address] += one.times
        self.parts = deque(sorted(parts.items()))

    def forget(self, number: int) -> set[str]:
        """Drop slices that are too old when ``number`` is the current one; the addresses that count less now."""
        less = set[str]()
        while self.parts and self.parts[0][0] < number - self._slices:
            for address, count in self.parts.popleft()[1].items():
                self.counts[address] -= count
                less.add(address)
                if not self.counts[address]:
                    del self.counts[address]
        return less


class RefusalTally:
    """The counts of all accounts. Written and read on the engine's loop.

    ``at`` and ``now`` are seconds since the epoch, ``steady`` those of ``steady_time`` in core/base/times.py.
    ``sender_of`` reads the sender of a request; it is called only for requests that are shown or written down.
    """

    def __init__(self, steady: float, sender_of: Callable[[bytes], str]) -> None:
        self._begun = steady
        self._sender_of = sender_of
        self._hour, self._day = _Window(_HOUR), _Window(_DAY)
        self._unsaved = _Window(_DAY)  # refusals that the history does not have yet
        self._changed = set[str]()  # addresses with another count of the day than ``take_changes`` told
        self._forgotten = -1  # the slice for which old ones were dropped already; -1: they have to be looked at
        self._last: dict[str, tuple[float, bytes | str]] = {}  # when, and the request or its sender

    def add(self, address: str, request: bytes, at: float, steady: float) -> None:
        """Count a refusal of mail for this mailbox."""
        number = int(steady // _SLICE)
        for window in (self._hour, self._day, self._unsaved):
            window.add(number, address)
        self._last[address] = at, request
        self._changed.add(address)
        self._forget(number)

    def count(self, request: bytes, at: float, steady: float) -> None:
        """Count a refusal in the sum of all."""
        self.add(_ALL, request, at, steady)

    def last_hour(self, steady: float) -> int:
        """How often mail was refused within the last hour, give or take a slice."""
        self._forget(int(steady // _SLICE))
        return self._hour.counts[_ALL]

    def _forget(self, number: int) -> None:
        if number == self._forgotten:  # nearly always: this is called with each refusal
            return
        self._forgotten = number
        self._hour.forget(number)
        self._unsaved.forget(number)
        less = self._day.forget(number)
        self._changed |= less
        for address in less:
            if address not in self._day.counts:
                del self._last[address]

    def take_changes(self, steady: float) -> dict[str, int]:
        """How often mail for each account was refused within the last day, where that is new since the last call."""
        self._forget(int(steady // _SLICE))
        changed, self._changed = self._changed - {_ALL}, set()
        return {address: self._day.counts.get(address, 0) for address in changed}

    def report(self, now: float, steady: float, most: int) -> Refusals:
        """The ``most`` accounts with most refusals within the hour, then within the day."""
        self._forget(int(steady // _SLICE))
        hour, day = self._hour.counts, self._day.counts
        accounts = [address for address in day if address != _ALL]
        worst = heapq.nlargest(most, accounts, key=lambda name: (hour[name], day[name], self._last[name][0]))
        since = now - min(steady - self._begun, _DAY * _SLICE)
        return Refusals(since, accounts=[self._row(name) for name in worst], total=len(accounts))

    def _row(self, address: str) -> RefusedAccount:
        at, sender = self._last_of(address)
        hour, day = self._hour.counts[address], self._day.counts[address]
        return RefusedAccount(address, last_hour=hour, last_day=day, at=at, sender=sender)

    def _last_of(self, address: str) -> tuple[float, str]:
        at, mail = self._last[address]
        return at, mail if isinstance(mail, str) else self._sender_of(mail)

    # ---- what outlives the engine

    def known(self) -> list[RefusalCount]:
        """The counts of the last day, for another engine."""
        return self._refused(self._day)

    def unsaved(self) -> list[RefusalCount]:
        """The counts since the last call, to be written down; where that fails, ``give_back`` returns them."""
        found, self._unsaved = self._refused(self._unsaved), _Window(_DAY)
        return found

    def give_back(self, refusals: Iterable[RefusalCount]) -> None:
        """Return counts of ``unsaved`` that could not be written."""
        self._unsaved.merge(refusals)
        self._forgotten = -1

    def recall(self, refusals: list[RefusalCount], steady: float) -> dict[str, float]:
        """Add counts from before this engine, which are written down already.

        Returns when mail for each account was last refused, in seconds since the epoch.
        """
        number = int(steady // _SLICE)
        for window, slices in ((self._hour, _HOUR), (self._day, _DAY)):
            window.merge(one for one in refusals if number - slices <= one.number <= number)
        last: dict[str, float] = {}
        for one in refusals:
            if number - _DAY <= one.number <= number:
                self._begun = min(self._begun, one.number * _SLICE)
                last[one.address] = max(one.at, last.get(one.address, 0.0))
                self._changed.add(one.address)
                if self._last.get(one.address, (0.0, b""))[0] < one.at:
                    self._last[one.address] = one.at, one.sender
        last.pop(_ALL, None)
        return last

    def oldest(self, steady: float) -> int:
        """The number of the oldest slice that is counted."""
        return int(steady // _SLICE) - _DAY

    def _refused(self, window: _Window) -> list[RefusalCount]:
        return [
            RefusalCount(number, address, count, *self._last_of(address))
            for number, counts in window.parts
            for address, count in counts.items()
            if address in self._last
        ]
