"""Growth and days to full in words."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import Forecast, Trend
from mailquota.core.commands.growth import days_text, forecast_text, growth_text, sparkline, trend_text

MIB = 1024 * 1024


def test_growth() -> None:
    assert [growth_text(growth) for growth in (None, 0, 12 * MIB, -MIB)] == ["–", "0 B/d", "12 MiB/d", "-1 MiB/d"]  # noqa: RUF001
    assert trend_text(Trend(12 * MIB, 9 * MIB, 15 * MIB)) == "12 MiB a day (9 MiB to 15 MiB)"
    assert trend_text(Trend(MIB, MIB, MIB)) == "1 MiB a day"
    assert trend_text(None) == "not known before two days of history"


@pytest.mark.parametrize(
    ("days", "text"),
    [(None, "–"), (0.0, "now"), (0.1, "<1"), (1.0, "1"), (12.4, "12"), (1234.0, "1,234")],  # noqa: RUF001
)
def test_days(days: float | None, text: str) -> None:
    assert days_text(days) == text


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        (Forecast(0.0, 0.0, 0.0), "now"),
        (Forecast(12.0, 9.0, 20.0), "in about 12 days (9 to 20)"),
        (Forecast(1.2, 1.2, 1.2), "in about 1 day"),
        (Forecast(0.4, 0.2, 1.0), "in about <1 day (<1 to 1)"),
        (Forecast(12.0, 9.0, None), "in about 12 days (9 to never)"),
        (Forecast(None, 36.0, None), "not in sight; in 36 days at worst"),
        (Forecast(None, None, None), "not in sight"),
    ],
)
def test_forecasts(forecast: Forecast, text: str) -> None:
    assert forecast_text(forecast) == text


def test_a_week() -> None:
    assert sparkline("0124567") == "▁▂▃▅▆▇█"
    assert sparkline("") == ""
