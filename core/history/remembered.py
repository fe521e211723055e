"""What the history says of an account at one glance: what it held last, since when, and how it grows."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Any, NamedTuple

from mailquota.core.base.growth import DAY, STANDING
from mailquota.core.base.model import Trend
from mailquota.core.history.connection import Sql

_RECKON_EVERY = 20 * 3600.0  # seconds
_UNSEEN = 3 * DAY  # seconds after which an account that no engine looks after is gone

COLUMNS = (
    "SELECT a.address, a.id, a.gone_at, l.used, l.messages, l.changed_at,"
    " t.growth, t.low, t.high, t.week, t.reckoned_at"
    " FROM account a LEFT JOIN latest l ON l.account = a.id LEFT JOIN trend t ON t.account = a.id"
)


class Remembered(NamedTuple):
    """Bytes, and times in seconds since the epoch; None where nothing was written yet."""

    address: str
    id: int
    gone_at: float | None
    used: int | None
    messages: int | None
    changed_at: float | None
    trend: Trend | None
    week: str
    reckoned_at: float | None

    def is_forgotten(self, now: float) -> bool:
        """Whether an engine that does not have it may take it for gone: none has looked after it for days.

        A time that lies days ahead is from a clock that was wrong, and says nothing.
        """
        times = (self.changed_at or 0.0, self.reckoned_at or 0.0)
        return self.gone_at is None and all(abs(now - at) > _UNSEEN for at in times)

    def is_due(self, now: float) -> bool:
        """Whether its trend is to be reckoned; also where that was done in the future."""
        return self.reckoned_at is None or not 0 <= now - self.reckoned_at < _RECKON_EVERY


def remembered(row: Sequence[Any]) -> Remembered:
    """A row of COLUMNS. Of 100,000 accounts most stand still: they share what they have."""
    address, number, gone_at, used, messages, changed_at, growth, low, high, week, reckoned_at = row
    trend = None if growth is None else Trend(growth, low, high) if low or high else STANDING
    return Remembered(
        address=address,
        id=number,
        gone_at=gone_at,
        used=used,
        messages=messages,
        changed_at=changed_at,
        trend=trend,
        week=intern(week or ""),
        reckoned_at=reckoned_at,
    )


def find(sql: Sql, addresses: Sequence[str]) -> dict[str, Remembered]:
    """Those of these accounts that the history has."""
    if not addresses:
        return {}
    rows = sql.rows(f"{COLUMNS} WHERE a.address IN ({signs(addresses)})", addresses)
    return {row[0]: remembered(row) for row in rows}


def signs(values: Sequence[object]) -> str:
    """A sign for each value."""
    return ", ".join("?" * len(values))
