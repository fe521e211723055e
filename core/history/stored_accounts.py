"""What the history has of an account in one row: its last usage, since when, and how it grows."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Any, NamedTuple

from ..base.growth import DAY, STANDING
from ..base.model import Trend
from .connection import Sql

_TREND_EVERY = 20 * 3600.0  # seconds: less than a day, so that each account has its turn once a day
_UNSEEN = 3 * DAY  # seconds after which an account that no engine writes any more is gone

COLUMNS = (
    "SELECT a.address, a.id, a.gone_at, l.used, l.messages, l.changed_at,"
    " t.growth, t.low, t.high, t.week, t.reckoned_at"
    " FROM account a LEFT JOIN latest l ON l.account = a.id LEFT JOIN trend t ON t.account = a.id"
)


class StoredAccount(NamedTuple):
    """Sizes in bytes, times in seconds since the epoch; None where nothing was written yet."""

    address: str
    id: int
    gone_at: float | None
    used: int | None
    messages: int | None
    changed_at: float | None
    trend: Trend | None
    week: str
    reckoned_at: float | None

    def is_unseen(self, now: float) -> bool:
        """Whether an engine without this account may note it as gone, as no other engine has written it for days.

        A time that is days ahead comes from a clock that was wrong, and does not count.
        """
        times = (self.changed_at or 0.0, self.reckoned_at or 0.0)
        return self.gone_at is None and all(abs(now - at) > _UNSEEN for at in times)

    def is_due(self, now: float) -> bool:
        """Whether its trend is to be computed; also if it was computed at a time ahead, by a clock that was wrong."""
        return self.reckoned_at is None or not 0 <= now - self.reckoned_at < _TREND_EVERY


def stored_account(row: Sequence[Any]) -> StoredAccount:
    """A row of COLUMNS as a record. Texts and trends that many accounts have in common are shared, to save memory."""
    address, number, gone_at, used, messages, changed_at, growth, low, high, week, reckoned_at = row
    trend = None if growth is None else Trend(growth, low, high) if low or high else STANDING
    return StoredAccount(
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


def find(sql: Sql, addresses: Sequence[str]) -> dict[str, StoredAccount]:
    """The rows of these accounts, by address; without accounts that the history does not have."""
    if not addresses:
        return {}
    rows = sql.rows(f"{COLUMNS} WHERE a.address IN ({placeholders(addresses)})", addresses)
    return {row[0]: stored_account(row) for row in rows}


def placeholders(values: Sequence[object]) -> str:
    """As many ``?`` as there are values, with commas between them."""
    return ", ".join("?" * len(values))
