"""Which slots of the history are merged into which. Pure; a slot is a quarter hour, counted since the epoch.

Old quarter hours are merged into three hours, later into days. Each call (one an hour) merges one slot of each kind at
most, the oldest first. If the clock is wrong by a year, only a few days' worth is lost before it is corrected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

SLOT = 900  # seconds
DAY_SLOTS = 96
_COARSE_SLOTS = 12  # three hours
_FINE_FOR = DAY_SLOTS  # slots for which quarter hours are kept
_COARSE_FOR = 8 * DAY_SLOTS  # slots for which three hours are kept


class Merge(NamedTuple):
    """Rows of slot ``source`` move to slot ``target``.

    ``far``: at the end of the kept time, where the rows of accounts that are gone are deleted instead.
    """

    source: int
    target: int
    far: bool = False


def slot_of(at: float) -> int:
    """The slot of a time in seconds since the epoch."""
    return int(at // SLOT)


def end_of(slot: int, width: int) -> int:
    """The last slot of the coarser one, ``width`` slots wide, that contains this one."""
    return slot - slot % width + width - 1


def merges(slots: Sequence[int], now: int, keep: int) -> list[Merge]:
    """The merges that are due. ``slots`` are those that have rows, in order; ``keep`` is how many slots are kept."""
    far = bisect_left(slots, now - keep)
    days = bisect_left(slots, _begin_of(now - _COARSE_FOR, DAY_SLOTS))
    hours = bisect_left(slots, _begin_of(now - _FINE_FOR, _COARSE_SLOTS))
    return [
        *_first(slots[max(far, days) : hours], _COARSE_SLOTS),
        *_first(slots[far:days], DAY_SLOTS),
        *_far(slots[: far + 1]),
    ]


def _begin_of(slot: int, width: int) -> int:
    return slot - slot % width


def _first(slots: Sequence[int], width: int) -> Iterator[Merge]:
    """The merges of the oldest coarser slot that is not merged yet.

    Its last slots come first: rows in the target are kept, so the last usage of each account remains.
    """
    for end, group in groupby(slots, lambda slot: end_of(slot, width)):
        sources = [slot for slot in group if slot != end]
        if sources:
            yield from (Merge(slot, end) for slot in reversed(sources))
            return


def _far(slots: Sequence[int]) -> Iterator[Merge]:
    """The merges of the oldest day, each slot into the next one.

    The last of ``slots`` is the first slot that is kept, if there is one. So the last usage before the kept time ends
    up in it, and tells what held at its beginning.
    """
    for slot, following in pairwise(slots):
        if end_of(slot, DAY_SLOTS) == end_of(slots[0], DAY_SLOTS):
            yield Merge(slot, following, far=True)
