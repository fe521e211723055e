"""Growth and what follows from it, from samples of use. Pure; bytes, days, and seconds since the epoch.

Growth is the mean of what the use grew by from day to day, over 30 days at most. One big delete or import must not
count as growth, so the extreme increments (two on each side of a month, one of a week) are pulled in to three times
the distance that the next one has from the middle. Bursts that come back, like a newsletter each Monday, are no
extremes: they have equals. The range is that of nine in ten: it comes from the spread of the increments, and takes
into account that ups are followed by downs where a mailbox only fluctuates. Growth that the range can't tell from
standing still is 0.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from mailquota.core.base.model import Forecast, Point, Trend

FARTHEST = 3650.0  # days; a forecast beyond ten years is no forecast
DAY = 86400
STANDING = Trend(growth=0, low=0, high=0)
TREND_DAYS = 30
_LEAST_DAYS = 2
_FEW = 7  # increments, under which no mean is made
_MONTHLY = 21  # increments, of which two on each side may be extremes
_FAR = 3  # times as far from the middle as the next one is far enough for an extreme
_WEEK = 7
_MIDDLE, _HIGHEST = 3, 7  # digits
_FLAT_SHARE = 10  # a tenth of the limit is the least that fills the height of a week


def forecast(used: int, limit: int, trend: Trend) -> Forecast:
    """When ``limit`` is reached at this growth: 0 days at or above it, None where it is not in sight."""
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
    """The growth of the last 30 days; None under two full days of history. ``points`` are in order of time."""
    days = min(TREND_DAYS, int((now - points[0].at) // DAY)) if points else 0
    if days < _LEAST_DAYS:
        return None
    uses = _at(points, [now - back * DAY for back in range(days, -1, -1)])
    increments = [after - before for before, after in pairwise(uses)]
    if not any(increments):
        return STANDING
    return _of_few(increments) if days < _FEW else _of_many(increments)


def _at(points: Sequence[Point], times: Sequence[float]) -> list[int]:
    """The use at these times, each point holding until the next; before the first one, as at the first."""
    starts = [point.at for point in points]
    return [points[max(0, bisect_right(starts, time) - 1)].used_bytes for time in times]


def _of_few(increments: list[int]) -> Trend:
    """Nobody can tell a habit from an exception yet: the middle, and all that was seen."""
    return _told(statistics.median(increments), min(increments), max(increments))


def _of_many(increments: list[int]) -> Trend:
    extremes = 2 if len(increments) >= _MONTHLY else 1
    ordered = sorted(increments)
    middle = statistics.median(ordered)
    least = middle - _FAR * (middle - ordered[extremes])
    most = middle + _FAR * (ordered[-1 - extremes] - middle)
    tame = [min(max(increment, least), most) for increment in increments]
    growth, doubt = statistics.fmean(tame), _doubt(tame)
    return _told(growth, max(growth - doubt, min(tame)), min(growth + doubt, max(tame)))


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


def _told(growth: float, low: float, high: float) -> Trend:
    if low <= 0 <= high:
        growth = 0
    return Trend(growth=round(growth), low=round(low), high=round(high))


def week(points: Sequence[Point], limit: int | None, now: float) -> str:
    """The use of the last seven days as a digit from 0 to 7 each, oldest first; "" without history.

    The height is what lies between the least and the most, and at least a tenth of the limit (without one, of the
    use), so that what does not matter looks flat.
    """
    if not points:
        return ""
    uses = _at(points, [now - back * DAY for back in range(_WEEK - 1, -1, -1)])
    least, most = min(uses), max(uses)
    height = max(most - least, (limit or most) // _FLAT_SHARE, 1)
    bottom = min(least, (least + most) / 2 - height * _MIDDLE / _HIGHEST)
    return "".join(str(int(_HIGHEST * (use - bottom) / height + 0.5)) for use in uses)
