"""Growth, and when a mailbox will be full, as text. Pure; sizes in bytes, times in days."""

from __future__ import annotations

from math import ceil, floor

from mailquota.core.base.model import AccountRow, Forecast, Level, Trend
from mailquota.core.base.units import format_size

from . import format as fmt
from .format import Run
from .glyphs import Glyphs

SOON = 7.0  # days; a mailbox that will be full by then is amber
NEXT = 30.0  # days; one that will be full by then is not quiet any more
_MOST = 100  # of a unit; from here on the next larger one is used
_UNITS = ((1.0, "day"), (7.0, "week"), (365.0, "year"))


def spark(week: str, glyphs: Glyphs) -> str:
    """The usage of the last seven days as signs; empty without history. A character that is no digit is drawn as a
    gap."""
    return "".join(glyphs.steps[int(digit)] if digit in "01234567" else " " for digit in week)


def _unit(days: float) -> tuple[float, str]:
    """The smallest unit in which the number has at most two digits."""
    return next(((size, name) for size, name in _UNITS if days < _MOST * size), _UNITS[-1])


def days_text(days: float | None, glyphs: Glyphs) -> str:
    """``< 1 day``, ``12 days``, ``14 weeks``, ``3 years``: eight cells."""
    if days is None:
        return glyphs.nothing
    if days < 1:
        return "< 1 day"
    size, name = _unit(days)
    return fmt.plural(round(days / size), name)


def full_in(row: AccountRow, glyphs: Glyphs) -> Run:
    """When the account will be full: ``now``, ``4 days``, or a dash if that is not to be expected."""
    if row.level is Level.OVER:
        return "now", "over"
    return days_text(row.days_to_full, glyphs), urgency(row.days_to_full)


def urgency(days: float | None) -> str:
    """The style for an event in so many days: amber if it is soon, quiet if it is far off or not known."""
    if days is None or days >= NEXT:
        return "quiet"
    return "near" if days < SOON else "plain"


def growth_text(growth: int | None, glyphs: Glyphs) -> str:
    """``+48 MiB``, ``-3 MiB``, ``0 B``; a dash if the growth is not known."""
    if growth is None:
        return glyphs.nothing
    return f"{'+' * (growth > 0)}{format_size(growth)}"


def growth_words(trend: Trend) -> str:
    """How fast the usage changes, with the range of that rate where it is known."""
    if not trend.growth:
        return "neither grows nor shrinks"
    verb, sign = ("grows", 1) if trend.growth > 0 else ("shrinks", -1)
    low, high = sorted((sign * trend.low, sign * trend.high))
    near, far = format_size(low), format_size(high)
    between = f" (between {near} and {far})" if near != far else ""
    return f"{verb} {format_size(abs(trend.growth))} a day{between}"


def full_words(row: AccountRow, forecast: Forecast | None, glyphs: Glyphs) -> Run | None:
    """When the account will be full, with the range of the forecast; None if there is no forecast."""
    if row.level is Level.OVER:
        return "full now", "over"
    if forecast is None or row.limit_bytes is None:
        return None
    if forecast.days is None:
        earliest = days_text(forecast.earliest, glyphs)
        more = "" if forecast.earliest is None else f", in {earliest} at the earliest"
        return f"full: not in sight{more}", "quiet"
    if forecast.days < 1:
        return "full within a day", "near"
    return f"full in about {days_text(forecast.days, glyphs)}{_range(forecast, glyphs)}", urgency(forecast.days)


def _range(forecast: Forecast, glyphs: Glyphs) -> str:
    """The earliest and the latest day of the forecast, in the unit of the likeliest one."""
    days = forecast.days or 0.0
    size, _name = _unit(days)
    early = floor((days if forecast.earliest is None else forecast.earliest) / size)
    if forecast.latest is None:
        return f" (not before {early}, perhaps never)"
    late = ceil(forecast.latest / size)
    return "" if early == late else f" ({early}{glyphs.span}{late})"
