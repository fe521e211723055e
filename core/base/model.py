"""What the engine knows of a mailbox, in small frozen records. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from math import floor
from typing import Any, Literal

import msgspec

Source = Literal["maildirsize", "scan", "doveadm", "sql"]

NEAR_PERCENT = 80
CRITICAL_PERCENT = 95
OVER_PERCENT = 100


class Level(StrEnum):
    """How full a mailbox is, as people say it; worst first in this order: over, critical, near, ok."""

    OK = "ok"
    NEAR = "near"
    CRITICAL = "critical"
    OVER = "over"
    UNLIMITED = "unlimited"
    UNKNOWN = "unknown"


def percent_of(used: int | None, limit: int | None) -> float | None:
    """Use as a share of the limit in percent; None where either is unknown or there is no limit."""
    if used is None or not limit or limit < 0:
        return None
    return used * 100 / limit


def level_of(used: int | None, limit: int | None) -> Level:
    """The level by contract: near from 80 %, critical from 95 %, over from 100 % of the limit.

    Below 0 is no limit at all, not even "none"; see Account.
    """
    if limit is None:
        return Level.UNLIMITED
    if used is None or limit < 0:
        return Level.UNKNOWN
    if used >= limit:
        return Level.OVER
    if used * 100 >= limit * CRITICAL_PERCENT:
        return Level.CRITICAL
    return Level.NEAR if used * 100 >= limit * NEAR_PERCENT else Level.OK


class Account(msgspec.Struct, frozen=True, gc=False):
    """A mailbox as the accounts database has it. ``limit`` is in bytes; None is unlimited (0 in the database).

    Where the database has something else, ``limit`` is below 0 and ``fault`` says what it has.
    """

    address: str
    limit: int | None
    enabled: bool = True
    fault: str = ""


class Alias(msgspec.Struct, frozen=True, gc=False):
    """One row of the alias table: mail for ``source`` also goes to ``destination``."""

    source: str
    destination: str


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one measuring found. Bytes and messages; Trash is included in both totals, as Dovecot counts."""

    used: int
    messages: int
    source: Source
    measured_at: float  # seconds since the epoch


class LastWarning(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the owner of a mailbox was told last, as far as it still holds; forgotten when there is room again.

    ``percent`` is the mark's, in percent of the limit. ``over``: the mailbox has been full since. ``room``: they have
    not been told yet that there is room again.
    """

    percent: float
    at: float  # seconds since the epoch
    over: bool = False
    room: bool = True


class Point(msgspec.Struct, frozen=True, array_like=True):
    """Use at a time, from the history; it holds until the next point."""

    at: float
    used_bytes: int
    messages: int = 0


class Trend(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Growth in bytes per day, robust against single jumps, and the range that it honestly lies in."""

    growth: int
    low: int
    high: int


class Forecast(msgspec.Struct, frozen=True):
    """Days until full at today's use and limit. ``earliest`` to ``latest`` is the honest range; None: not in sight."""

    days: float | None
    earliest: float | None
    latest: float | None


class AccountRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One account as readers see it: the ledger's record on the wire, in the table and in ``list``."""

    address: str
    limit_bytes: int | None
    used_bytes: int | None = None
    messages: int | None = None
    trash_bytes: int | None = None
    trash_messages: int | None = None
    source: str | None = None
    measured_at: float | None = None
    enabled: bool = True
    refused_at: float | None = None
    drift_bytes: int | None = None
    growth_bytes_per_day: int | None = None
    days_to_full: float | None = None  # at that growth
    week: str = ""  # use over the last seven days, a digit from 0 to 7 each, oldest first; "" without history
    changed_at: float | None = None  # when the use was last seen to differ
    why: str = ""  # its use is not known, or its limit is none

    @property
    def domain(self) -> str:
        """The part after the last @."""
        return self.address.rpartition("@")[2]

    @property
    def percent(self) -> float | None:
        """Use in percent of the limit."""
        return percent_of(self.used_bytes, self.limit_bytes)

    @property
    def level(self) -> Level:
        """How full, as a word."""
        return level_of(self.used_bytes, self.limit_bytes)


def rfc3339(moment: float | None) -> str | None:
    """A time as JSON carries it: RFC 3339, UTC, whole seconds; None stays None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def account_json(row: AccountRow) -> dict[str, Any]:
    """The account object of the JSON output (contract, section 3)."""
    percent = row.percent
    return {
        "address": row.address,
        "domain": row.domain,
        "limit_bytes": row.limit_bytes,
        "used_bytes": row.used_bytes,
        "messages": row.messages,
        "percent": None if percent is None else floor(percent * 100) / 100,  # 99.999 is not 100, where levels begin
        "trash_bytes": row.trash_bytes,
        "trash_messages": row.trash_messages,
        "level": row.level.value,
        "source": row.source,
        "measured_at": rfc3339(row.measured_at),
        "growth_bytes_per_day": row.growth_bytes_per_day,
        "days_to_full": row.days_to_full,
        "drift_bytes": row.drift_bytes,
        "enabled": row.enabled,
        "why": row.why or None,
    }
