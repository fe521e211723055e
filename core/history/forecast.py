"""Growth and what follows from it, from samples of use. Pure; bytes and days."""

from __future__ import annotations

from core.model import Forecast, Trend

FARTHEST = 3650.0  # days; a forecast beyond ten years is no forecast


def forecast(used: int, limit: int, trend: Trend) -> Forecast:
    """When ``limit`` is reached at this growth: 0 days at or above it, None where it is not in sight."""
    free = limit - used
    if free <= 0:
        return Forecast(0.0, 0.0, 0.0)
    return Forecast(_days(free, trend.growth), _days(free, trend.high), _days(free, trend.low))


def _days(free: int, growth: int) -> float | None:
    if growth <= 0:
        return None
    days = free / growth
    return round(days, 1) if days <= FARTHEST else None
