"""Which slots of the history are merged into which. Pure; slots are quarter hours since the epoch.

One call gives at most one coarser slot of each kind, the oldest first: an engine calls it each hour, which is several
times the pace at which time goes by. So where the clock is wrong for some hours, no more is thinned out than would have
been within some days.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

SLOT = 900  # seconds
DAY_SLOTS = 96
_COARSE_SLOTS = 12  # three hours
_FINE_FOR = DAY_SLOTS
_COARSE_FOR = 8 * DAY_SLOTS


class Merge(NamedTuple):
    """All rows of ``source`` go into ``target``; at the ``far`` end only those of accounts that are not gone."""

    source: int
    target: int
    far: bool = False


def slot_of(at: float) -> int:
    """The slot of a time in seconds since the epoch."""
    return int(at // SLOT)


def end_of(slot: int, width: int) -> int:
    """The last slot of the coarser one, ``width`` slots wide, that this one lies in."""
    return slot - slot % width + width - 1


def merges(slots: Sequence[int], now: int, keep: int) -> list[Merge]:
    """What is due; ``slots`` in order, ``keep`` is how many slots back something is kept."""
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
    """Of the oldest coarser slot that is not merged yet; its last slots first, as their figures stay."""
    for end, group in groupby(slots, lambda slot: end_of(slot, width)):
        sources = [slot for slot in group if slot != end]
        if sources:
            yield from (Merge(slot, end) for slot in reversed(sources))
            return


def _far(slots: Sequence[int]) -> Iterator[Merge]:
    """Those of the oldest day, each into the next; the last of ``slots`` is the first that is kept, if there is one."""
    for slot, following in pairwise(slots):
        if end_of(slot, DAY_SLOTS) == end_of(slots[0], DAY_SLOTS):
            yield Merge(slot, following, far=True)
