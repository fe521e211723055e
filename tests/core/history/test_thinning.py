"""Thinning: the last usage of each coarser slot stays, for any slots and however often it is called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.history.thinning import DAY_SLOTS, Merge, end_of, merges, slot_of

NOW = 2_000_032  # one third of a day is over
KEEP = 400 * DAY_SLOTS


def thinned(slots: list[int], now: int, keep: int) -> list[int]:
    """What is left after all of it."""
    left = set(slots)
    while steps := merges(sorted(left), now, keep):
        for step in steps:
            assert step.source in left
            assert step.target > step.source
            left.remove(step.source)
            left.add(step.target)
    return sorted(left)


def width(slot: int, now: int) -> int:
    """How wide slots of this age are, by the rule."""
    if end_of(slot, DAY_SLOTS) < end_of(now - 8 * DAY_SLOTS, DAY_SLOTS):
        return DAY_SLOTS
    return 12 if end_of(slot, 12) < end_of(now - DAY_SLOTS, 12) else 1


def test_a_year_of_quarter_hours() -> None:
    """A day of them, seven of three hours, and the days before, to the end of what is kept."""
    slots = list(range(NOW - 500 * DAY_SLOTS, NOW + 1))
    left = thinned(slots, NOW, KEEP)
    assert all(width(slot, NOW) == 1 or slot == end_of(slot, width(slot, NOW)) for slot in left)
    assert 96 <= sum(width(slot, NOW) == 1 for slot in left) <= 96 + 12
    assert 56 <= sum(width(slot, NOW) == 12 for slot in left) <= 56 + 8
    assert 391 <= sum(width(slot, NOW) == DAY_SLOTS for slot in left) <= 393
    assert NOW - KEEP <= left[0] <= NOW - KEEP + DAY_SLOTS


def test_of_a_coarser_slot_the_last_goes_first() -> None:
    """Its rows stay, as rows that the target has already are newer."""
    begin = NOW - 2 * DAY_SLOTS
    begin -= begin % 12
    assert merges([begin, begin + 3, begin + 11, begin + 12], NOW, KEEP) == [
        Merge(begin + 3, begin + 11), Merge(begin, begin + 11)
    ]  # fmt: skip


def test_at_the_far_end_each_goes_into_the_next() -> None:
    """And the last one stays, however old it is."""
    far = [NOW - KEEP - 300, NOW - KEEP - 100]
    assert merges([*far, NOW], NOW, KEEP) == [Merge(far[0], far[1], far=True)]
    assert merges([far[1], NOW], NOW, KEEP) == [Merge(far[1], NOW, far=True)]
    assert merges([far[1]], NOW, KEEP) == []


def test_a_clock_that_is_years_ahead_for_an_hour_takes_a_day_or_two() -> None:
    """One call gives one coarser slot of each kind, however much seems to be due."""
    slots = thinned(list(range(NOW - 390 * DAY_SLOTS, NOW + 1)), NOW, KEEP)
    steps = merges(slots, NOW + 70 * 365 * DAY_SLOTS, KEEP)
    assert len({end_of(step.source, DAY_SLOTS) for step in steps}) <= 2
    gone = {step.source for step in steps}
    assert len(set(slots) - gone) >= len(slots) - DAY_SLOTS


def test_slots_ahead_of_the_clock_are_left_alone() -> None:
    assert merges([NOW + 1, NOW + 500, NOW + 100_000], NOW, KEEP) == []


@given(st.sets(st.integers(0, 3000)), st.integers(0, 3500), st.integers(1, 4000))
def test_it_ends_and_keeps_what_is_young(slots: set[int], now: int, keep: int) -> None:
    left = thinned(sorted(slots), now, keep)
    young = {slot for slot in slots if slot >= now - min(DAY_SLOTS, keep)}
    assert young <= set(left)
    assert bool(left) == bool(slots)
    assert all(slot >= now - keep for slot in left) or len(left) == 1


def test_slots_are_quarter_hours() -> None:
    assert [slot_of(at) for at in (0.0, 899.9, 900.0, 1_800_000_000.0)] == [0, 0, 1, 2_000_000]
    assert end_of(0, 12) == end_of(11, 12) == 11
