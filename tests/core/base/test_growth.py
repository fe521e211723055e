"""Growth: right for what grows, robust against what happens once, honest about the rest."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.growth import DAY, FARTHEST, forecast, trend, week
from mailquota.core.base.model import Forecast, Point, Trend

NOW = 1_800_000_000.0
MIB = 1024 * 1024
USES = st.integers(0, 2**63 - 1)


def levels(uses: Sequence[float], every: float = DAY) -> list[Point]:
    """A point each day, the last one now."""
    return [Point(NOW - (len(uses) - 1 - number) * every, int(use)) for number, use in enumerate(uses)]


def steps(increments: Sequence[float], start: int = 500 * MIB) -> list[Point]:
    return levels(list(accumulate(increments, initial=start)))


def grown(increments: Sequence[float]) -> Trend:
    found = trend(steps(increments), NOW)
    assert found is not None
    return found


# ---- plain cases


@pytest.mark.parametrize("days", [2, 3, 7, 29, 30, 300])
def test_constant_and_linear_histories_are_told_exactly(days: int) -> None:
    assert grown([0] * days) == Trend(0, 0, 0)
    assert grown([10 * MIB] * days) == Trend(10 * MIB, 10 * MIB, 10 * MIB)
    assert grown([-MIB] * days) == Trend(-MIB, -MIB, -MIB)


@pytest.mark.parametrize("points", [[], [Point(NOW, 1)], [Point(NOW - 2 * DAY + 1, 1), Point(NOW, 9)]])
def test_under_two_days_nobody_knows(points: list[Point]) -> None:
    assert trend(points, NOW) is None


def test_only_the_last_thirty_days_count() -> None:
    assert grown([100 * MIB] * 300 + [MIB] * 30) == Trend(MIB, MIB, MIB)


def test_a_use_holds_until_the_next_point() -> None:
    """Rare points, far apart, and one from before the month."""
    found = trend([Point(NOW - 200 * DAY, 1000), Point(NOW - 10 * DAY + 1, 4000)], NOW)
    assert found is not None
    assert found.low <= 0 < found.high or found == Trend(0, 0, 0)
    assert trend([Point(NOW - 200 * DAY, 1000)], NOW) == Trend(0, 0, 0)


def test_points_of_a_clock_that_was_ahead_are_not_looked_at() -> None:
    assert trend([*steps([MIB] * 10), Point(NOW + 5 * DAY, 10**12)], NOW) == Trend(MIB, MIB, MIB)


# ---- what happens once


ONCE = [1, 5, 14, 15, 28]


@pytest.mark.parametrize("day", ONCE)
@pytest.mark.parametrize("size", [-400 * MIB, 5000 * MIB])
def test_one_big_delete_or_import_changes_nothing(day: int, size: int) -> None:
    increments = [10 * MIB] * 30
    increments[day] = size
    assert grown(increments) == Trend(10 * MIB, 10 * MIB, 10 * MIB)


@pytest.mark.parametrize("day", ONCE)
def test_both_and_an_import_that_takes_two_days(day: int) -> None:
    rng = random.Random(day)
    increments: list[float] = [rng.gauss(10, 4) * MIB for _ in range(30)]
    increments[day] = increments[day + 1] = 5000 * MIB
    increments[(day + 9) % 30] = -900 * MIB
    found = grown(increments)
    assert 5 * MIB < found.growth < 20 * MIB
    assert found.low <= 10 * MIB <= found.high < 60 * MIB


def test_the_first_days_after_an_import_are_no_habit() -> None:
    """The middle of a few days, and all that was seen as the range."""
    assert grown([5000 * MIB, MIB, MIB]) == Trend(MIB, MIB, 5000 * MIB)


# ---- what comes again and again


@pytest.mark.parametrize("weekday", range(7))
def test_bursts_each_week_are_growth(weekday: int) -> None:
    """700 MiB each Monday are 100 a day."""
    increments = [700 * MIB if day % 7 == weekday else 0 for day in range(30)]
    found = grown(increments)
    assert 0 < found.low < 100 * MIB < found.high < 250 * MIB
    assert 85 * MIB < found.growth < 120 * MIB


def test_who_empties_what_came_does_not_grow() -> None:
    """A saw: 100 a day, and each Sunday it all goes."""
    assert grown([-600 * MIB if day % 7 == 6 else 100 * MIB for day in range(30)]).growth == 0


Increments = Callable[[random.Random, int], list[float]]
MANY: dict[str, tuple[float, float, Increments]] = {
    "steady": (10, 0.8, lambda rng, days: [rng.gauss(10, 5) for _ in range(days)]),
    "heavy tails": (16.49, 0.65, lambda rng, days: [rng.lognormvariate(0, 1) * 10 for _ in range(days)]),
    "shrinking": (-10, 0.8, lambda rng, days: [rng.gauss(-10, 5) for _ in range(days)]),
    "comes and goes": (0, 0.8, lambda rng, days: [rng.gauss(0, 20) for _ in range(days)]),
    "fluctuates": (0, 0.95, lambda rng, days: differences([rng.gauss(0, 50) for _ in range(days + 1)])),
    "grows and fluctuates": (
        10, 0.95, lambda rng, days: differences([10 * day + rng.gauss(0, 15) for day in range(days + 1)])
    ),
}  # fmt: skip


def differences(uses: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(uses)]


@pytest.mark.parametrize("days", [14, 30])
@pytest.mark.parametrize("kind", MANY)
def test_the_range_is_honest(kind: str, days: int) -> None:
    """Of many histories with a known growth the range holds it in as many cases as it promises."""
    truth, share, make = MANY[kind]
    found = [grown([step * MIB for step in make(random.Random(seed), days)]) for seed in range(300)]
    held = [trend.low <= truth * MIB <= trend.high for trend in found]
    assert sum(held) / len(held) >= share
    if truth:
        assert 0.85 < statistics.fmean(trend.growth for trend in found) / (truth * MIB) < 1.1
        assert sum(trend.growth * truth > 0 for trend in found) > 0.85 * len(found)
    else:
        assert sum(trend.growth == 0 for trend in found) > 0.85 * len(found)


@given(st.lists(USES, min_size=3, max_size=40), st.floats(0.01, 3))
def test_any_history_has_a_sound_trend(uses: list[int], every: float) -> None:
    """The growth lies in the range, or is 0; nothing is said beyond what a day ever brought."""
    found = trend(levels(uses, every * DAY), NOW)
    if found is None:
        assert (len(uses) - 1) * every < 2.001
        return
    assert found.low <= found.high
    assert found.low <= found.growth <= found.high or found.growth == 0
    assert (found.growth == 0) >= (found.low <= 0 <= found.high)
    assert abs(found.growth) <= max(uses) - min(uses)
    if every == 1:
        moves = differences([float(use) for use in uses])[-30:]
        assert min(moves) - 1024 <= found.low
        assert found.high <= max(moves) + 1024


# ---- days to full


def test_the_days_are_those_of_growth_and_range() -> None:
    assert forecast(500, 1000, Trend(50, 25, 100)) == Forecast(10.0, 5.0, 20.0)
    assert forecast(500, 1000, Trend(0, -5, 100)) == Forecast(None, 5.0, None)
    assert forecast(500, 1000, Trend(-5, -9, -1)) == Forecast(None, None, None)


@pytest.mark.parametrize("used", [1000, 1001, 10**15])
def test_at_the_limit_it_is_full_now(used: int) -> None:
    assert forecast(used, 1000, Trend(-5, -9, -1)) == Forecast(0.0, 0.0, 0.0)


@given(USES, USES, st.integers(-(2**63), 2**63))
def test_days_are_never_negative_nor_endless(used: int, limit: int, growth: int) -> None:
    days = forecast(used, limit, Trend(growth, growth, growth)).days
    assert days is None or 0 <= days <= FARTHEST


# ---- the week


@pytest.mark.parametrize(
    ("uses", "limit", "digits"),
    [
        ([], 1000, ""),
        ([500], 1000, "3333333"),
        ([0], None, "3333333"),
        ([0], 1000, "3333333"),
        ([0, 100, 200, 300, 400, 500, 600], 1000, "0124567"),
        ([600, 600, 600, 0, 0, 0, 0], 1000, "7770000"),
        ([0, 0, 600, 600, 600, 600, 600], None, "0077777"),
        ([100, 110, 120, 130, 140, 150, 160], 1000, "1223445"),
        ([500, 503, 498, 501, 499, 502, 500], 1000, "3333333"),
        ([10**12, 10**12 + 10**9], None, "3333333"),
    ],
)
def test_a_week_is_seven_digits(uses: list[int], limit: int | None, digits: str) -> None:
    """What matters is seen, what does not looks flat; days before the first point look like it."""
    assert week(levels(uses), limit, NOW) == digits


@given(st.lists(USES, min_size=1, max_size=40), st.none() | USES)
def test_any_week_is_seven_digits_up_to_seven(uses: list[int], limit: int | None) -> None:
    found = week(levels(uses, DAY / 3), limit, NOW)
    assert len(found) == 7
    assert set(found) <= set("01234567")
