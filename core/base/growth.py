"""Growth per day and the forecast that follows from it, from samples of usage. Pure; bytes, days, seconds since epoch.

Growth is the mean of the daily increments of usage, over at most 30 days. One big delete or import is no growth: the
extreme increments (two on each side of a month, one on each side of a week) are limited to three times the distance
from the median of the next one. A burst that repeats, like a newsletter each Monday, is not cut, as the next one is as
large. The range holds the true growth in nine cases of ten. It is reckoned from the spread of the increments, and from
how much an increment depends on those of the days before: in a mailbox that only fluctuates, ups are followed by downs.
Where 0 is inside the range, growth is 0.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from .model import Forecast, Point, Trend

FARTHEST = 3650.0  # days; a forecast beyond ten years is no forecast
DAY = 86400
STANDING = Trend(growth=0, low=0, high=0)
TREND_DAYS = 30
_LEAST_DAYS = 2
_FEW = 7  # increments; with fewer the median is taken, not the mean
_MONTHLY = 21  # increments; with as many, two on each side are extremes, else one
_FAR = 3  # an extreme counts as at most this many times as far from the median as the next increment
_WEEK = 7
_MIDDLE, _HIGHEST = 3, 7  # digits
_FLAT_SHARE = 10  # the height of a week stands for at least the limit divided by this


def forecast(used: int, limit: int, trend: Trend) -> Forecast:
    """Days until ``limit`` is reached at this growth: 0 at or above it, None for never or after ten years."""
    free = limit - used
    if free <= 0:
        return Forecast(days=0.0, earliest=0.0, latest=0.0)
    return Forecast(days=_days(free, trend.growth), earliest=_days(free, trend.high), latest=_days(free, trend.low))


def _days(free: int, growth: int) -> float | None:
    if growth <= 0:
        return None
    days = free / growth
    return round(days, 1) if days <= FARTHEST else None


def trend(points: Sequence[Point], now: float) -> Trend | None:
    """The growth of the last 30 days; None with less than two full days of history. ``points`` are in order of time."""
    days = min(TREND_DAYS, int((now - points[0].at) // DAY)) if points else 0
    if days < _LEAST_DAYS:
        return None
    usages = _at(points, [now - back * DAY for back in range(days, -1, -1)])
    increments = [after - before for before, after in pairwise(usages)]
    if not any(increments):
        return STANDING
    return _of_few(increments) if days < _FEW else _of_many(increments)


def _at(points: Sequence[Point], times: Sequence[float]) -> list[int]:
    """The usage at these times. A point holds until the next one; before the first, its value counts."""
    starts = [point.at for point in points]
    return [points[max(0, bisect_right(starts, time) - 1)].used_bytes for time in times]


def _of_few(increments: list[int]) -> Trend:
    """With so few days an exception can't be told from a habit: the median, and the full range."""
    return _trend_of(statistics.median(increments), min(increments), max(increments))


def _of_many(increments: list[int]) -> Trend:
    extremes = 2 if len(increments) >= _MONTHLY else 1
    ordered = sorted(increments)
    middle = statistics.median(ordered)
    least = middle - _FAR * (middle - ordered[extremes])
    most = middle + _FAR * (ordered[-1 - extremes] - middle)
    tame = [min(max(increment, least), most) for increment in increments]
    growth, doubt = statistics.fmean(tame), _doubt(tame)
    return _trend_of(growth, max(growth - doubt, min(tame)), min(growth + doubt, max(tame)))


def _doubt(increments: list[float]) -> float:
    """Half of the range that holds the true mean in nine cases of ten, if nothing is skewed.

    By Student's t, from the variance with the covariances of neighbours up to two days apart (Newey and West).
    """
    count, mean = len(increments), statistics.fmean(increments)
    off = [increment - mean for increment in increments]
    variance = sum(d * d for d in off) / (count - 1)
    next_day, second_day = (sum(a * b for a, b in zip(off, off[lag:], strict=False)) / count for lag in (1, 2))
    lasting = max(variance + (4 * next_day + 2 * second_day) / 3, variance / 3)
    freedom = count - 1
    return float((1.645 + 1.53 / freedom + 3.1 / freedom**3) * (lasting / count) ** 0.5)


def _trend_of(growth: float, low: float, high: float) -> Trend:
    if low <= 0 <= high:
        growth = 0
    return Trend(growth=round(growth), low=round(low), high=round(high))


def week(points: Sequence[Point], limit: int | None, now: float) -> str:
    """The usage of each of the last seven days as a digit from 0 to 7, oldest first; "" without history.

    The scale goes from the least to the greatest usage, but spans at least a tenth of the limit (without a limit, of
    the usage), so that a change too small to matter looks flat.
    """
    if not points:
        return ""
    usages = _at(points, [now - back * DAY for back in range(_WEEK - 1, -1, -1)])
    least, most = min(usages), max(usages)
    height = max(most - least, (limit or most) // _FLAT_SHARE, 1)
    bottom = min(least, (least + most) / 2 - height * _MIDDLE / _HIGHEST)
    return "".join(str(int(_HIGHEST * (used - bottom) / height + 0.5)) for used in usages)
