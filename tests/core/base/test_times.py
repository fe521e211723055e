"""Durations, ages and dates as people type and read them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import UsageError
from mailquota.core.base.times import parse_moment_between, until_text
from mailquota.core.base.units import (
    NOTHING,
    format_age,
    parse_age,
    parse_duration,
    parse_since,
    parse_time_span,
    parse_until,
)
from tests.core.zones import NO_MIDNIGHT, ZONES, first_second, in_zone, without_midnight

NOW = datetime(2026, 11, 22, 13, 2, 11, tzinfo=UTC).timestamp()  # a Sunday, 14:02:11 in Berlin
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


@pytest.fixture
def berlin() -> Iterator[None]:
    """This process has the time of Berlin: +01:00 in winter, +02:00 from 29 March to 25 October 2026."""
    with in_zone("Europe/Berlin"):
        yield


def moment(text: str) -> float:
    """Of a time with its offset."""
    return datetime.fromisoformat(text).timestamp()


UNTIL = {
    "2026-12-24": "2026-12-24 00:00+01:00",
    "2027-07-01": "2027-07-01 00:00+02:00",
    "2028-02-29": "2028-02-29 00:00+01:00",
    "2026-12-24 18:00": "2026-12-24 18:00+01:00",
    "2027-07-01T18:00:05": "2027-07-01 18:00:05+02:00",
    "2027-07-01T18:00Z": "2027-07-01 18:00+00:00",
    "2027-07-01 18:00:00.5-05:00": "2027-07-01 18:00:00.500000-05:00",
    "Tomorrow": "2026-11-23 00:00+01:00",
    "tomorrow  08:30": "2026-11-23 08:30+01:00",
    "today 18:00": "2026-11-22 18:00+01:00",
    "friday": "2026-11-27 00:00+01:00",
    "Mon": "2026-11-23 00:00+01:00",
    "sunday": "2026-11-29 00:00+01:00",  # today is one: the next
    "fri 17:15": "2026-11-27 17:15+01:00",
    "3d": "2026-11-25 14:02:11+01:00",
    "2w": "2026-12-06 14:02:11+01:00",
    "90min": "2026-11-22 15:32:11+01:00",
}


@pytest.mark.parametrize(("text", "until"), UNTIL.items(), ids=repr)
def test_until(text: str, until: str, berlin: None) -> None:
    """A day begins at midnight by the clock of that day, whatever today's is; a distance counts from now."""
    assert parse_until(text, NOW) == moment(until)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("22:00", "2026-11-21 22:00+01:00"),  # today's is still to come
        ("9:15", "2026-11-22 09:15+01:00"),
        (" 14:02:11", "2026-11-22 14:02:11+01:00"),
        ("3d", "2026-11-19 14:02:11+01:00"),
        ("friday", "2026-11-20 00:00+01:00"),
        ("sunday", "2026-11-22 00:00+01:00"),
        ("yesterday", "2026-11-21 00:00+01:00"),
        ("today", "2026-11-22 00:00+01:00"),
        ("thu 12:00", "2026-11-19 12:00+01:00"),
        ("2026-07-01", "2026-07-01 00:00+02:00"),
        ("2026-07-01 12:30", "2026-07-01 12:30+02:00"),
    ],
)
def test_since_looks_back(text: str, since: str, berlin: None) -> None:
    """The same words, the other way; today's weekday is today."""
    assert parse_since(text, NOW) == moment(since)


@pytest.mark.parametrize("zone", ZONES)
@given(st.floats(1.64e9, 2.02e9), st.dates(date(2022, 1, 1), date(2034, 1, 1)))
def test_a_date_is_the_first_second_of_that_day(zone: str, now: float, day: date) -> None:
    """Whatever the season is now, in zones with and without changes of clock."""
    with in_zone(zone):
        assert parse_since(str(day), now) == first_second(day, zone).timestamp()


@pytest.mark.parametrize("zone", NO_MIDNIGHT)
def test_a_day_without_midnight_begins_later(zone: str) -> None:
    """As clocks are put forward at midnight there."""
    day = without_midnight(zone, date(2026, 1, 1))
    assert day is not None
    with in_zone(zone):
        since = parse_since(str(day), NOW)
        assert datetime.fromtimestamp(since).astimezone().time() == time(1)
        assert datetime.fromtimestamp(since - 1).astimezone().date() == day - timedelta(days=1)


@given(st.floats(0, 4e9))
def test_a_moment_is_the_same_elsewhere(at: float) -> None:
    """Who reads the text has another time zone."""
    with in_zone("Asia/Kathmandu"):
        assert parse_until(until_text(at), -1.0) == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("text", ["2026-11-22", "today", "yesterday", "2020-01-01", "2026-11-22 14:02:11", "0d"])
def test_until_lies_ahead(text: str, berlin: None) -> None:
    """What should end in the past never begins."""
    with pytest.raises(UsageError, match="not in the future"):
        parse_until(text, NOW)


@pytest.mark.parametrize(("text", "found"), [
    ("02:30", "2026-11-22 02:30+01:00"), ("23:30", "2026-11-21 23:30+01:00"), ("13:59", "2026-11-21 13:59+01:00"),
    ("2026-11-22 01:00", "2026-11-22 01:00+01:00"), ("30min", "2026-11-22 08:30+01:00"),
])  # fmt: skip
def test_a_moment_between(text: str, found: str, berlin: None) -> None:
    """Of a recording that began yesterday at noon and ended this morning; a time is that of the right day."""
    first, last = moment("2026-11-21 12:00+01:00"), moment("2026-11-22 09:00+01:00")
    assert parse_moment_between(text, first, last, last) == moment(found)


@pytest.mark.parametrize("text", ["10:00", "2026-11-20", "yesterday", "tomorrow", "", "soon"])
def test_a_moment_outside(text: str, berlin: None) -> None:
    """Is refused, with what there is."""
    first, last = moment("2026-11-21 12:00+01:00"), moment("2026-11-22 09:00+01:00")
    with pytest.raises(UsageError, match=r"is not recorded; recorded is 2026-11-21 12:00:00 to|is not a date"):
        parse_moment_between(text, first, last, last)


NO_DATES = (
    "", " ", "2026-02-30", "24.12.2026", "2026-1-1", "frid", "3", "soon", "999999999w", "12000-01-01", "24:00", "18:60",
    "2026-12-24 24:00", "2026-12-24 18", "2026-12-24 6:00", "2026-12-24 18:60", "2026-12-24 18:00 CET", "friday18:00",
    "tomorrow 18:00 5s", "3d 18:00", "0001-01-01", "9999-12-31 23:59-12:00",
)  # fmt: skip


@pytest.mark.parametrize("text", NO_DATES)
def test_no_date(text: str) -> None:
    """Anything else is refused, with the forms that are accepted."""
    with pytest.raises(UsageError, match="is not a date; accepted: 2026-12-24, 2026-12-24 18:00, tomorrow, friday, 3d"):
        parse_until(text, NOW)
    with pytest.raises(UsageError, match="is not a date; accepted: 2026-12-24, 2026-12-24 18:00, yesterday, friday"):
        parse_since(text, NOW)


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ Tt].*)?", fullmatch=True))
def test_dates_raise_nothing_else(text: str) -> None:
    """Whatever is typed is a moment that can be shown, or a UsageError."""
    for parse in (parse_until, parse_since):
        with contextlib.suppress(UsageError):
            datetime.fromtimestamp(parse(text, NOW), UTC)


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
