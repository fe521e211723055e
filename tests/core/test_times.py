"""Durations, ages and dates as people type and read them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from core.units import (
    NOTHING,
    format_age,
    parse_age,
    parse_date,
    parse_duration,
    parse_since,
    parse_time_span,
    parse_until,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 14, 2, 11, tzinfo=BERLIN)  # a Sunday
DAY = 86400

DURATIONS = {
    "5s": 5,
    "0s": 0,
    "90": 90,
    "1.5h": 5400,
    "10 min": 600,
    "5m": 300,
    "30d": 30 * DAY,
    "2 Weeks": 14 * DAY,
    "250ms": 0.25,
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=repr)
def test_durations(text: str, seconds: float) -> None:
    """A number and a unit; a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "-5s", "5s3s", "1,5h", "never", "1e9", "9" * 40])
def test_no_duration(text: str) -> None:
    """Anything else is refused, with the forms that are accepted."""
    with pytest.raises(UsageError, match="is not a duration; accepted: 5s"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("2w", 14), ("12h", 0.5), ("0d", 0)])
def test_ages(text: str, days: float) -> None:
    """For what is older than that."""
    assert parse_age(text) == days * DAY


@pytest.mark.parametrize("text", ["30", "6m", "", "old"])
def test_ages_are_not_guessed(text: str) -> None:
    """Mail is removed by an age: a bare number may mean days, and m months."""
    with pytest.raises(UsageError, match="is not an age; accepted: 30d"):
        parse_age(text)


DATES = {
    "2026-12-24": datetime(2026, 12, 24, tzinfo=BERLIN),
    "2020-02-29": datetime(2020, 2, 29, tzinfo=BERLIN),
    "friday": datetime(2026, 11, 27, tzinfo=BERLIN),
    "Mon": datetime(2026, 11, 23, tzinfo=BERLIN),
    "sunday": datetime(2026, 11, 29, tzinfo=BERLIN),  # today is one: the next
    "3d": datetime(2026, 11, 25, 14, 2, 11, tzinfo=BERLIN),
    "2w": datetime(2026, 12, 6, 14, 2, 11, tzinfo=BERLIN),
}


@pytest.mark.parametrize(("text", "moment"), DATES.items(), ids=repr)
def test_dates(text: str, moment: datetime) -> None:
    """A day begins at midnight where now is; a distance counts from now."""
    assert parse_date(text, NOW) == moment
    assert parse_date(text, NOW).tzinfo is BERLIN


def test_dates_are_wall_clock_times() -> None:
    """Midnight stays midnight across the end of summer time."""
    october = datetime(2026, 10, 23, 12, tzinfo=BERLIN)
    assert parse_date("monday", october).isoformat() == "2026-10-26T00:00:00+01:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("3d", datetime(2026, 11, 19, 14, 2, 11, tzinfo=BERLIN)),
        ("friday", datetime(2026, 11, 20, tzinfo=BERLIN)),
        ("sunday", datetime(2026, 11, 22, tzinfo=BERLIN)),
    ],
)
def test_since_looks_back(text: str, moment: datetime) -> None:
    """The same words, the other way; today's weekday is today."""
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["2026-11-22", "2020-01-01", "0d"])
def test_until_lies_ahead(text: str) -> None:
    """What should end in the past never begins."""
    with pytest.raises(UsageError, match="not in the future"):
        parse_until(text, NOW)
    assert parse_until("3d", NOW) == DATES["3d"]


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "24.12.2026", "2026-1-1", "frid", "3", "soon", "999999999w", "12000-01-01"]
)
def test_no_date(text: str) -> None:
    """Anything else is refused, with the forms that are accepted."""
    with pytest.raises(UsageError, match=r"is not a date; accepted: 2026-12-24, friday, 3d, 2w"):
        parse_date(text, NOW)


@given(st.text(), st.booleans())
def test_dates_raise_nothing_else(text: str, back: bool) -> None:
    """Whatever is typed is a moment or a UsageError."""
    with contextlib.suppress(UsageError):
        assert parse_date(text, datetime(2026, 11, 22, tzinfo=UTC), back=back).tzinfo is UTC


def test_time_spans() -> None:
    """The end may lie on the next day; a span of nothing or of everything is neither."""
    assert parse_time_span("22:00-07:00") == (time(22), time(7))
    for text in ("22:00", "22:00-22:00", "24:00-07:00", "22-07", ""):
        with pytest.raises(UsageError, match="22:00-07:00"):
            parse_time_span(text)


AGES = {
    None: NOTHING,
    -3.0: "0 s",
    12.9: "12 s",
    60.0: "1 min",
    185.0: "3 min",
    7200.0: "2 h",
    47.5 * 3600: "47 h",
    4.2 * DAY: "4 days",
    400.0 * DAY: "400 days",
}


@pytest.mark.parametrize(("seconds", "text"), AGES.items(), ids=repr)
def test_ages_as_people_read_them(seconds: float | None, text: str) -> None:
    """One number and a unit; a clock that went back reads as now."""
    assert format_age(seconds) == text
