"""Which accounts Dovecot is to be asked about next: urgent ones first, then those that are due. Does no I/O."""

from __future__ import annotations

import heapq
from typing import NamedTuple


class _Turn(NamedTuple):
    due: float
    number: int
    address: str


class WitnessQueue:
    """Each address is in it once, by its last ``put``. Times are by a clock that never goes back."""

    def __init__(self) -> None:
        self._heaps: tuple[list[_Turn], list[_Turn]] = ([], [])  # urgent, routine
        self._waiting: dict[str, _Turn] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, address: str, due: float, *, urgent: bool) -> None:
        """Have this account asked about at ``due``, or later where others come first."""
        self._number += 1
        turn = self._waiting[address] = _Turn(due, self._number, address)
        heapq.heappush(self._heaps[not urgent], turn)

    def take(self, now: float, most: int, *, urgent: bool) -> list[str]:
        """At most so many accounts that are due, the first due first; they are not in the queue any more."""
        heap = self._heaps[not urgent]
        taken: list[str] = []
        while heap and len(taken) < most and heap[0].due <= now:
            turn = heapq.heappop(heap)
            if self._waiting.get(turn.address) is turn:
                del self._waiting[turn.address]
                taken.append(turn.address)
        return taken

    def is_urgent_empty(self) -> bool:
        """Whether no account is urgent, now or later."""
        heap = self._heaps[0]
        while heap and self._waiting.get(heap[0].address) is not heap[0]:
            heapq.heappop(heap)
        return not heap
