"""Durations, ages and dates as people type and read them, and a clock that is never set back.

All but the clock is pure except for the time zone, and takes "now" as a parameter. The zone is that of this process:
``TZ``, or /etc/localtime. A moment is kept as seconds since the epoch, never as a local time with today's offset from
UTC: where daylight saving begins or ends in between, that offset is wrong by an hour.
"""

from __future__ import annotations

import re
import time as system_time
from datetime import UTC, date, datetime, time, timedelta

from .errors import UsageError
from .text import NOTHING, shown

DURATION_FORMS = "5s, 10min, 1.5h, 30d, 2w, 90 (seconds)"
AGE_FORMS = "30d, 2w, 12h, 90min, 45s"
DATE_FORMS = "2026-12-24, 2026-12-24 18:00, tomorrow, friday, 3d, 2w"
SINCE_FORMS = "2026-12-24, 2026-12-24 18:00, yesterday, friday, 22:00, 3d, 2w"

_BEGAN = system_time.time() - system_time.monotonic()
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*([a-z]*)")
_MOST_DAYS = 400
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86400, 604800
_SECONDS: dict[str, float] = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "week", "weeks"), _WEEK),
}
_DATED = re.compile(r"([a-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[t\s]\s*((?:[01][0-9]|2[0-3]):[0-5][0-9]\S*))?")
_CLOCK = re.compile(r"(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")
_NEAR = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def steady_time() -> float:
    """Seconds since the epoch by the clock as it was when this process began, plus the time that passed since.

    Setting the machine's clock does not change it, so that ages can be counted by it.
    """
    return _BEGAN + system_time.monotonic()


def _duration(text: str) -> tuple[float, str] | None:
    """Seconds, and the unit as typed ("" for none); None for a text that is no duration."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or (match[2] and match[2] not in _SECONDS):
        return None
    return float(match[1]) * _SECONDS[match[2] or "s"], match[2]


def parse_duration(text: str) -> float:
    """Seconds, 0 or more; a number without a unit is seconds. Raises UsageError."""
    found = _duration(text)
    if found is None:
        raise UsageError(f"{shown(text)} is not a duration; accepted: {DURATION_FORMS}")
    return found[0]


def parse_age(text: str) -> float:
    """Seconds, for ``--older-than``. Raises UsageError.

    It decides which mail is removed, so nothing is guessed: ``30`` could mean days and ``6m`` months; both are refused.
    """
    found = _duration(text)
    if found is None or found[1] in {"", "m"}:
        raise UsageError(f"{shown(text)} is not an age; accepted: {AGE_FORMS}")
    return found[0]


def parse_until(text: str, now: float) -> float:
    """The moment at which something ends, in seconds since the epoch. Raises UsageError where it is not in the future.

    Accepted: the start of a day (``2026-12-24``, ``tomorrow``, ``friday``: the next one), a time of that day
    (``friday 18:00``), a time from now (``3d``), and RFC 3339 with an offset, as ``until_text`` writes it.
    """
    moment = _moment(text, now, 1)
    if moment <= now:
        raise UsageError(f"{shown(text)} is not in the future; accepted: {DATE_FORMS}")
    return moment


def until_text(moment: float) -> str:
    """A moment as RFC 3339 in UTC, which a process with another time zone reads as the same moment."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def parse_since(text: str, now: float) -> float:
    """A moment in the past: like ``parse_until``, but ``3d`` is three days ago, ``friday`` the last one or today.

    A time alone is today's, or yesterday's where that is still to come.
    """
    clock = _clock(text)
    if clock is None:
        return _moment(text, now, -1)
    today = datetime.fromtimestamp(now).astimezone().date()
    moments = [datetime.combine(day, clock).timestamp() for day in (today, today - timedelta(days=1))]
    return next((moment for moment in moments if moment <= now), moments[-1])


def parse_moment_between(text: str, first: float, last: float, now: float) -> float:
    """A moment from ``first`` to ``last``, as ``parse_since`` reads it with ``last`` as now. Raises UsageError.

    A time alone is that of the day on which it comes closest to ``now``.
    """
    clock = _clock(text)
    if clock is None:
        moment = parse_since(text, last)
    else:
        begin, end = (datetime.fromtimestamp(at).astimezone().date() for at in (first, last))
        days = [begin + timedelta(days=number) for number in range(min((end - begin).days, _MOST_DAYS) + 1)]
        moments = [datetime.combine(day, clock).timestamp() for day in days]
        inside = [moment for moment in moments if first <= moment <= last]
        moment = min(inside or moments, key=lambda moment: abs(moment - now))
    if not first - _MINUTE <= moment <= last + _MINUTE:
        raise UsageError(f"{shown(text)} is not recorded; recorded is {local_time(first)} to {local_time(last)}")
    return moment


def _clock(text: str) -> time | None:
    """A time alone."""
    read = text.strip()
    return time.fromisoformat(read.zfill(8 if read.count(":") == 2 else 5)) if _CLOCK.fullmatch(read) else None


def _moment(text: str, now: float, way: int) -> float:
    """``way`` is 1 for the future, -1 for the past."""
    read = text.strip().lower()
    try:
        moment = _distance(read, now, way)
        if moment is None:
            moment = _of_calendar(read, datetime.fromtimestamp(now).astimezone().date(), way)
        if moment is not None:
            datetime.fromtimestamp(moment, UTC).astimezone()  # a year after 9999 could not be shown
    except (ValueError, OverflowError, OSError):  # the 30th of February, the year 12000
        moment = None
    if moment is None:
        raise UsageError(f"{shown(text)} is not a date; accepted: {DATE_FORMS if way > 0 else SINCE_FORMS}")
    return moment


def _distance(read: str, now: float, way: int) -> float | None:
    found = _duration(read)
    return now + way * found[0] if found is not None and found[1] else None  # a bare number is no date


def _of_calendar(read: str, today: date, way: int) -> float | None:
    match = _DATED.fullmatch(read)
    day = _day(match[1], today, way) if match else None
    if match is None or day is None:
        return None
    clock = time.fromisoformat(match[2].upper()) if match[2] else time()
    # Without an offset it is local time. Some zones skip midnight when daylight saving begins: timestamp() gives the
    # first second after the gap, while astimezone() would give a time of the day before.
    return datetime.combine(day, clock).timestamp()


def _day(word: str, today: date, way: int) -> date | None:
    if word in _NEAR:
        return today + timedelta(days=_NEAR[word])
    names = [number for number, name in enumerate(_WEEKDAYS) if word in {name, name[:3]}]
    if names:
        ahead = (names[0] - today.weekday()) % 7
        return today + timedelta(days=(ahead or 7) if way > 0 else ahead - 7 if ahead else 0)
    return date.fromisoformat(word) if word[0].isdigit() else None


def parse_time_span(text: str) -> tuple[time, time]:
    """``22:00-07:00`` as start and end; the end may be on the next day. Raises UsageError."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", text.strip())
    if match is None or match.group(1, 2) == match.group(3, 4):
        raise UsageError(f"{shown(text)} is not a span of time; accepted: 22:00-07:00 (24 hours, two different times)")
    return time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))


def local_time(at: float) -> str:
    """Seconds since the epoch as local date and time, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def format_age(seconds: float | None) -> str:
    """An age as one number and a unit: ``12 s``, ``3 min``, ``5 h``, ``4 days``; below 0 (clock skew) it is ``0 s``."""
    if seconds is None:
        return NOTHING
    if seconds < _MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY)} days"
