"""Texts for growth, forecast and the usage of a week. Pure."""

from __future__ import annotations

from ..base.model import Forecast, Trend
from ..base.text import NOTHING
from ..base.units import format_size

_BARS = "▁▂▃▄▅▆▇█"


def growth_text(growth: int | None) -> str:
    """Growth in bytes a day, like ``12 MiB/d``."""
    return NOTHING if growth is None else f"{format_size(growth)}/d"


def days_text(days: float | None) -> str:
    """Days until a mailbox is full: ``now``, ``<1``, ``12``."""
    if days is None:
        return NOTHING
    if days == 0:
        return "now"
    return "<1" if days < 1 else f"{days:,.0f}"


def trend_text(trend: Trend | None) -> str:
    """Growth with its range, like ``12 MiB a day (9.5 MiB to 15 MiB)``."""
    if trend is None:
        return "not known before two days of history"
    span = "" if trend.low == trend.high else f" ({format_size(trend.low)} to {format_size(trend.high)})"
    return f"{format_size(trend.growth)} a day{span}"


def forecast_text(forecast: Forecast) -> str:
    """When a mailbox is full: ``in about 12 days (9 to 20)``, ``now``, ``not in sight``."""
    if forecast.days == 0:
        return "now"
    if forecast.days is None:
        return "not in sight" if forecast.earliest is None else f"not in sight; in {_days(forecast.earliest)} at worst"
    if forecast.earliest == forecast.latest:
        return f"in about {_days(forecast.days)}"
    latest = "never" if forecast.latest is None else days_text(forecast.latest)
    return f"in about {_days(forecast.days)} ({days_text(forecast.earliest)} to {latest})"


def _days(days: float) -> str:
    return f"{days_text(days)} day{'' if days < 1.5 else 's'}"


def sparkline(week: str) -> str:
    """The usage of seven days as bars; ``week`` has a digit from 0 to 7 for each."""
    return "".join(_BARS[int(digit)] for digit in week)
