"""What a recording holds: what happened in the engine within some ten seconds, as bytes and back. Pure.

Rows are written by columns: values of one kind stand side by side and compress to half. An account whose usage alone
has changed since its row was written in the same file is written as a short row. Times of answers and measurements are
rounded to 1/1024 s, which as a float has few bits.

A recording may come from elsewhere. So each value is checked when it is read: what the console could not show is no
period.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ..base.errors import MailquotaError
from ..base.model import AccountRow
from ..control.results import DecisionRow, JournalRow, Status, WarningRow

_EARLIEST, _LATEST = -1e9, 1e11  # of all floats, so that each can be shown as a time
_MOST_BYTES = 2**63 - 1  # of all integers
_DEEPEST = 8
_MOST_COLUMNS = 64
_WEEK = set("01234567")
_FRACTION = 1024


class DamagedError(MailquotaError):
    """A part of a recording that can't be read, or holds what no engine writes."""


class ShortRow(NamedTuple):
    """The usage of an account whose row came before, in bytes; ``at`` is when it was measured."""

    address: str
    used_bytes: int | None
    messages: int | None
    at: float | None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What happened from ``start`` to ``end``, in seconds since the epoch.

    ``whole``: ``accounts`` are all there are, in one or several periods; with the first of them everything known
    before is forgotten. ``skipped`` counts answers that are left out. ``journal`` and ``warnings`` have new entries,
    and those that changed.
    """

    start: float
    end: float
    whole: bool = False
    first: bool = False
    status: Status | None = None
    decisions: list[DecisionRow] = []
    skipped: int = 0
    accounts: list[AccountRow] = []
    usages: list[ShortRow] = []
    removed: list[str] = []
    journal: list[JournalRow] = []
    warnings: list[WarningRow] = []


class _Written(msgspec.Struct, omit_defaults=True):
    """A Period as it is written: structs of rows by columns."""

    start: float
    end: float
    whole: bool = False
    first: bool = False
    status: dict[str, Any] | None = None
    decisions: list[list[Any]] = []
    skipped: int = 0
    accounts: list[list[Any]] = []
    usages: list[list[Any]] = []
    removed: list[str] = []
    journal: list[dict[str, Any]] = []
    warnings: list[list[Any]] = []


def round_time(at: float | None) -> float | None:
    """A time with few bits; it differs by less than a millisecond."""
    return None if at is None else math.floor(at * _FRACTION) / _FRACTION


class Shortener:
    """Tells which rows can be written as short ones, within one file."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}  # a number made of the rest of the row that was written last

    def split(self, rows: Iterable[AccountRow]) -> tuple[list[AccountRow], list[ShortRow]]:
        """Rows to be written as they are, and short ones."""
        whole, short = [], []
        for row in rows:
            rest = hash((row.limit_bytes, row.trash_bytes, row.trash_messages, row.source, row.enabled, row.refused_at,
                         row.drift_bytes, row.growth_bytes_per_day, row.week, row.why, row.witness_bytes, row.differs,
                         row.limit_messages, row.refused_day))  # fmt: skip
            if self._known.get(row.address) == rest:
                short.append(ShortRow(row.address, row.used_bytes, row.messages, round_time(row.measured_at)))
            else:
                self._known[row.address] = rest
                times = {name: round_time(getattr(row, name)) for name in ("measured_at", "refused_at", "changed_at")}
                whole.append(msgspec.structs.replace(row, **times))
        return whole, short


def encode(period: Period) -> bytes:
    """The bytes of a period."""
    return msgspec.msgpack.encode(
        _Written(
            start=period.start,
            end=period.end,
            whole=period.whole,
            first=period.first,
            status=None if period.status is None else msgspec.to_builtins(period.status),
            decisions=_columns(map(_unrepeated, period.decisions)),
            skipped=period.skipped,
            accounts=_columns(map(msgspec.structs.astuple, period.accounts)),
            usages=_columns(period.usages),
            removed=period.removed,
            journal=[msgspec.to_builtins(row) for row in period.journal],
            warnings=_columns(map(msgspec.structs.astuple, period.warnings)),
        )
    )


def decode(data: bytes) -> Period:
    """The period of these bytes. Raises DamagedError for all that ``encode`` does not make."""
    try:
        written = msgspec.msgpack.decode(data, type=_Written)
        for part in (written.status, written.decisions, written.accounts, written.usages, written.warnings,
                     written.journal, [written.start, written.end]):  # fmt: skip
            _check(part, 0)
        return Period(
            start=written.start,
            end=written.end,
            whole=written.whole,
            first=written.first,
            status=msgspec.convert(written.status, Status | None),
            decisions=msgspec.convert(list(map(_repeated, _rows(written.decisions))), list[DecisionRow]),
            skipped=written.skipped,
            accounts=_checked_rows(msgspec.convert(_rows(written.accounts), list[AccountRow])),
            usages=msgspec.convert(_rows(written.usages), list[ShortRow]),
            removed=written.removed,
            journal=msgspec.convert(written.journal, list[JournalRow]),
            warnings=msgspec.convert(_rows(written.warnings), list[WarningRow]),
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, IndexError) as error:
        raise DamagedError(f"a part of the recording can't be read: {error}") from error


def _unrepeated(row: DecisionRow) -> list[Any]:
    """Its values, without the mailbox where that is the recipient itself."""
    values = list(msgspec.structs.astuple(row))
    values[0] = round_time(row.at)
    if row.mailbox == row.recipient and row.mailbox:
        values[3] = None
    return values


def _repeated(values: list[Any]) -> list[Any]:
    if values[3] is None:
        values[3] = values[2]
    return values


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _rows(columns: list[list[Any]]) -> list[list[Any]]:
    if len(columns) > _MOST_COLUMNS:
        raise ValueError(f"{len(columns)} columns")
    return [list(values) for values in zip(*columns, strict=True)]


def _check(value: Any, depth: int) -> None:
    """Raise ValueError for a number that can't be shown, or deep nesting."""
    if isinstance(value, float):
        if not _EARLIEST <= value <= _LATEST:  # nor NaN
            raise ValueError(f"the number {value}")
    elif isinstance(value, int):
        if abs(value) > _MOST_BYTES:
            raise ValueError(f"the number {value}")
    elif isinstance(value, list | dict):
        if depth > _DEEPEST:
            raise ValueError("deep nesting")
        for each in value if isinstance(value, list) else value.values():
            _check(each, depth + 1)


def _checked_rows(rows: list[AccountRow]) -> list[AccountRow]:
    for row in rows:
        if len(row.week) > 7 or not set(row.week) <= _WEEK:
            raise ValueError(f"the week {row.week[:20]!r}")
    return rows
