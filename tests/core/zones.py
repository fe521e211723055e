"""Time zones of every kind, and what others say of their days: Python's own reading of the zone files, and date(1)."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NO_MIDNIGHT = ("America/Santiago", "Asia/Beirut")  # on the day on which clocks are put forward
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu",
    "Europe/Dublin", "America/Havana", *NO_MIDNIGHT,
)  # fmt: skip


@contextmanager
def in_zone(name: str) -> Iterator[ZoneInfo]:
    """This process has that time zone until the end of the block; the zone by its file, for comparison."""
    zone, before = ZoneInfo(name), os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield zone
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def in_both_seasons(after: date) -> list[date]:
    """Two days to come; where clocks change they are not of one season."""
    days = [date(after.year + year, month, 15) for year in (0, 1) for month in (1, 7)]
    return [day for day in days if day > after][:2]


def without_midnight(name: str, after: date) -> date | None:
    """The next day that has none in this zone, within a year."""
    days = (after + timedelta(days=number) for number in range(1, 366))
    return next((day for day in days if first_second(day, name).hour), None)


def first_second(day: date, name: str) -> datetime:
    """Of a day in a zone, looked for from noon of the day before on."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=36)
    zone = ZoneInfo(name)
    while moment.astimezone(zone).date() < day:
        moment += timedelta(minutes=15)
    return moment.astimezone(zone)


def date_says(moment: float, form: str, zone: str | None) -> str:
    """What date(1) makes of a moment in a time zone."""
    done = subprocess.run(
        ["date", "-d", f"@{moment:.0f}", f"+{form}"], env={**os.environ, **({"TZ": zone} if zone else {})},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()
