"""What people type and read about time: durations, ages, dates. Pure but for the time zone; "now" is a parameter.

The zone is that of this process: ``TZ``, or what /etc/localtime says. A moment is seconds since the epoch, never a date
with the offset of another day: where clocks change, today's offset is not that of Christmas.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from mailquota.core.base.errors import UsageError
from mailquota.core.base.text import NOTHING, shown

DURATION_FORMS = "5s, 10min, 1.5h, 30d, 2w, 90 (seconds)"
AGE_FORMS = "30d, 2w, 12h, 90min, 45s"
DATE_FORMS = "2026-12-24, 2026-12-24 18:00, tomorrow, friday, 3d, 2w"
SINCE_FORMS = "2026-12-24, 2026-12-24 18:00, yesterday, friday, 3d, 2w"

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
_DATED = re.compile(r"([a-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[t\s]\s*((?:[01][0-9]|2[0-3]):[0-5][0-9]\S*))?")
_NEAR = {"yesterday": -1, "today": 0, "tomorrow": 1}
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


def parse_until(text: str, now: float) -> float:
    """When it is over: the start of a day (``2026-12-24``, ``tomorrow``, ``friday``: the next one), a time of that day
    (``friday 18:00``), or so long from now (``3d``). Raises UsageError where that does not lie ahead.

    Also with an offset, as RFC 3339 has it: what one process has read is for another one that may have another zone.
    """
    moment = _moment(text, now, 1)
    if moment <= now:
        raise UsageError(f"{shown(text)} is not in the future; accepted: {DATE_FORMS}")
    return moment


def until_text(moment: float) -> str:
    """A moment that was read here, to be read elsewhere as the same one, whatever the time zone is there."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def parse_since(text: str, now: float) -> float:
    """The same looking back: ``3d`` is three days ago, ``friday`` the last one, today included."""
    return _moment(text, now, -1)


def _moment(text: str, now: float, way: int) -> float:
    """``way`` is 1 ahead, -1 back."""
    read = text.strip().lower()
    try:
        moment = _distance(read, now, way)
        if moment is None:
            moment = _of_calendar(read, datetime.fromtimestamp(now).astimezone().date(), way)
        if moment is not None:
            datetime.fromtimestamp(moment, UTC).astimezone()  # what lies beyond the year 9999 could not be shown
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
    # Without an offset it is local. A midnight that clocks leave out counts as the first second after it; astimezone()
    # would make it a time of the day before.
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
