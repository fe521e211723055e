"""What people type and read about time: durations, ages, dates. Pure; "now" is a parameter."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from core.errors import UsageError
from core.text import NOTHING, shown

DURATION_FORMS = "5s, 10min, 1.5h, 30d, 2w, 90 (seconds)"
AGE_FORMS = "30d, 2w, 12h, 90min, 45s"
DATE_FORMS = "2026-12-24, friday, 3d, 2w"

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*([a-z]*)")
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86400, 604800
_SECONDS: dict[str, float] = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), _MINUTE),
    **dict.fromkeys(("h", "hour", "hours"), _HOUR),
    **dict.fromkeys(("d", "day", "days"), _DAY),
    **dict.fromkeys(("w", "week", "weeks"), _WEEK),
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _duration(text: str) -> tuple[float, str] | None:
    """Seconds, and the unit as typed."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or (match[2] and match[2] not in _SECONDS):
        return None
    return float(match[1]) * _SECONDS[match[2] or "s"], match[2]


def parse_duration(text: str) -> float:
    """Seconds, 0 or more; a bare number is seconds."""
    found = _duration(text)
    if found is None:
        raise UsageError(f"{shown(text)} is not a duration; accepted: {DURATION_FORMS}")
    return found[0]


def parse_age(text: str) -> float:
    """Seconds, for ``--older-than``.

    Mail is removed by it, so nothing is guessed: a bare ``30`` may mean days and ``6m`` months; both are refused.
    """
    found = _duration(text)
    if found is None or found[1] in {"", "m"}:
        raise UsageError(f"{shown(text)} is not an age; accepted: {AGE_FORMS}")
    return found[0]


def parse_date(text: str, now: datetime, *, back: bool = False) -> datetime:
    """The start of a day (``2026-12-24``, ``friday``), or a time from now on (``3d``, ``2w``); in now's time zone.

    A weekday is the next one, a week from now if it is today. ``back`` looks the other way, for "since".
    """
    read = text.strip().lower()
    try:
        moment = _calendar_date(read, now) or _weekday(read, now, back=back) or _distance(read, now, back=back)
    except (ValueError, OverflowError):  # the 30th of February, the year 12000
        moment = None
    if moment is None:
        raise UsageError(f"{shown(text)} is not a date; accepted: {DATE_FORMS}")
    return moment


def parse_until(text: str, now: datetime) -> datetime:
    """A date that lies ahead."""
    moment = parse_date(text, now)
    if moment <= now:
        raise UsageError(f"{shown(text)} is not in the future; accepted: {DATE_FORMS}")
    return moment


def parse_since(text: str, now: datetime) -> datetime:
    """A date looking back: ``3d`` is three days ago, ``friday`` the last one, today included."""
    return parse_date(text, now, back=True)


def _calendar_date(read: str, now: datetime) -> datetime | None:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", read) is None:
        return None
    return datetime.strptime(read, "%Y-%m-%d").replace(tzinfo=now.tzinfo)


def _weekday(read: str, now: datetime, *, back: bool) -> datetime | None:
    names = [name for name in _WEEKDAYS if read in {name, name[:3]}]
    if not names:
        return None
    ahead = (_WEEKDAYS.index(names[0]) - now.weekday()) % 7
    days = ahead - 7 if back and ahead else ahead or (0 if back else 7)
    return datetime.combine(now.date() + timedelta(days=days), time(), tzinfo=now.tzinfo)


def _distance(read: str, now: datetime, *, back: bool) -> datetime | None:
    found = _duration(read)
    if found is None or not found[1]:  # a bare number is no date
        return None
    seconds = timedelta(seconds=found[0])
    return now - seconds if back else now + seconds


def parse_time_span(text: str) -> tuple[time, time]:
    """``22:00-07:00`` as begin and end; the end may lie on the next day."""
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", text.strip())
    if match is None or match.group(1, 2) == match.group(3, 4):
        raise UsageError(f"{shown(text)} is not a span of time; accepted: 22:00-07:00 (24 hours, two different times)")
    return time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))


def local_time(at: float) -> str:
    """Seconds since the epoch in the time zone of this machine, to the second."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def format_age(seconds: float | None) -> str:
    """How long ago in one number and a unit: ``12 s``, ``3 min``, ``5 h``, ``4 days``. Clock skew reads as now."""
    if seconds is None:
        return NOTHING
    if seconds < _MINUTE:
        return f"{max(0, int(seconds))} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return f"{int(seconds // _HOUR)} h"
    return f"{int(seconds // _DAY)} days"
