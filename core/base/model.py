"""Records of accounts and mailboxes: limits, usage, levels, growth. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from math import floor
from typing import Any, Literal

import msgspec

from .inbox_rule import InboxRule

Source = Literal["maildirsize", "scan", "doveadm", "sql"]

NEAR_PERCENT = 80
CRITICAL_PERCENT = 95
OVER_PERCENT = 100


class Level(StrEnum):
    """How full a mailbox is, in one word. From the worst: over, critical, near, ok."""

    OK = "ok"
    NEAR = "near"
    CRITICAL = "critical"
    OVER = "over"
    UNLIMITED = "unlimited"
    UNKNOWN = "unknown"

    __hash__ = str.__hash__  # an enumeration's own is a function of Python, and levels are counted very often


def percent_of(used: int | None, limit: int | None) -> float | None:
    """Usage in percent of the limit; None where either is unknown or there is no limit. Both are in bytes."""
    if used is None or not limit or limit < 0:
        return None
    return used * 100 / limit


def level_of(
    used: int | None, limit: int | None, messages: int | None = None, limit_messages: int | None = None
) -> Level:
    """The level of a mailbox: near from 80 %, critical from 95 %, over from 100 % of the limit; both in bytes.

    At its limit of messages a mailbox is over, however large they are. A limit below 0 stands for an invalid one in the
    database (see Account): the level is then unknown.
    """
    if limit is None and limit_messages is None:
        return Level.UNLIMITED
    if used is None or (limit or 0) < 0 or (limit_messages or 0) < 0:
        return Level.UNKNOWN
    if (limit is not None and used >= limit) or (limit_messages is not None and (messages or 0) >= limit_messages):
        return Level.OVER
    if limit is None:
        return Level.UNLIMITED
    if used * 100 >= limit * CRITICAL_PERCENT:
        return Level.CRITICAL
    return Level.NEAR if used * 100 >= limit * NEAR_PERCENT else Level.OK


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account as the accounts database has it. ``limit`` is in bytes; None is unlimited (0 in the database).

    ``limit_messages`` is the number of messages from which on no more are accepted; None: there is no such limit. Where
    the database has no valid limit, the limit is below 0 and ``fault`` says what is there instead. ``spelled`` is the
    address as the row has it, with capitals; "" where it is the same. ``inbox`` is what Dovecot makes of the limits for
    incoming mail; None: they stay the same.
    """

    address: str
    limit: int | None
    enabled: bool = True
    fault: str = ""
    limit_messages: int | None = None
    spelled: str = ""
    inbox: InboxRule | None = None


class Alias(msgspec.Struct, frozen=True, gc=False):
    """One row of the alias table: mail for ``source`` also goes to ``destination``."""

    source: str
    destination: str


class LastWarning(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last warning of a mailbox owner, as long as it holds; forgotten when there is room again.

    ``percent`` is the threshold in percent of the limit. ``was_full``: the mailbox has been at its limit since.
    ``room_again_due``: the owner gets a mail when there is room again; False once it was sent.
    """

    percent: float
    at: float  # seconds since the epoch
    was_full: bool = False
    room_again_due: bool = True


class Point(msgspec.Struct, frozen=True, array_like=True):
    """The usage at a time (seconds since the epoch), from the history; it holds until the next point."""

    at: float
    used_bytes: int
    messages: int = 0


class Trend(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Growth in bytes per day, robust against single jumps, and the range that it lies in."""

    growth: int
    low: int
    high: int


class Forecast(msgspec.Struct, frozen=True):
    """Days until full, at today's usage and limit, and the range that the growth allows; None: never."""

    days: float | None
    earliest: float | None
    latest: float | None


class AccountRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One account as clients get it: on the wire, in the console's table and in ``list``."""

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
    week: str = ""  # usage on each of the last seven days as a digit from 0 to 7, oldest first; "" without history
    changed_at: float | None = None  # when a measurement last found other usage than the one before
    why: str = ""  # the reason why its usage is not known, or its limit is invalid
    verified_at: float | None = None  # when Dovecot's own usage and limit were last compared; None: never
    witness_bytes: int | None = None  # the usage by Dovecot where that differed
    differs: str = ""  # how Dovecot differs, in usage or limit, and the likely cause
    limit_messages: int | None = None  # None: there is no such limit
    refused_day: int | None = None  # how often mail for it was refused in 24 hours; None: an engine that does not tell

    @property
    def domain(self) -> str:
        """The part after the last @."""
        return self.address.rpartition("@")[2]

    @property
    def percent(self) -> float | None:
        """Usage in percent of the limit."""
        return percent_of(self.used_bytes, self.limit_bytes)

    @property
    def has_most_messages(self) -> bool:
        """Whether it is at its limit of messages."""
        most = self.limit_messages
        return most is not None and self.messages is not None and 0 < most <= self.messages

    @property
    def level(self) -> Level:
        """How full the mailbox is, in one word."""
        return level_of(self.used_bytes, self.limit_bytes, self.messages, self.limit_messages)


def rfc3339(moment: float | None) -> str | None:
    """A time as JSON carries it: RFC 3339, UTC, whole seconds; None stays None."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def account_json(row: AccountRow) -> dict[str, Any]:
    """An account as ``--json`` prints it. Sizes are in bytes, times are RFC 3339 in UTC; None is null: not known."""
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
        "limit_messages": row.limit_messages,
        "verified_at": rfc3339(row.verified_at),
        "witness_bytes": row.witness_bytes,
        "why": row.why or row.differs or None,
    }
