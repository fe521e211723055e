"""The columns of ``list``, and its sort orders. Pure; the time is a parameter (``now``, seconds since the epoch)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..base.errors import UsageError
from ..base.model import AccountRow, Level
from ..base.text import shown
from ..base.units import NOTHING, format_age, format_count, format_limit, format_size
from .growth import days_text, growth_text
from .output import Cell, percent_text

Value = float | str | None

LEVEL_COLOURS = {Level.OVER: "red", Level.CRITICAL: "red", Level.NEAR: "yellow", Level.OK: "green"}
_SEVERITY = [Level.OVER, Level.CRITICAL, Level.NEAR, Level.UNKNOWN, Level.OK, Level.UNLIMITED]
_ENDLESS = float("inf")


@dataclass(frozen=True)
class Column:
    """``title`` is also the key of ``--sort``. ``order`` gives the value to sort by; None, if not known, comes last.

    Numbers sort largest first, texts from A to Z, days to full soonest first. The highest ``priority`` is left out
    first where there is no room.
    """

    title: str
    cell: Callable[[AccountRow, float], Cell | str]
    order: Callable[[AccountRow], Value]
    priority: int
    right: bool = True


def level_cell(row: AccountRow) -> Cell:
    """The level of an account in its colour."""
    if not row.enabled:
        return Cell("disabled")
    return Cell(row.level.value, LEVEL_COLOURS.get(row.level, ""))


def _age(row: AccountRow, now: float) -> str:
    return NOTHING if row.measured_at is None else format_age(now - row.measured_at)


def _unlimited_is_most(row: AccountRow) -> float:
    return _ENDLESS if row.limit_bytes is None else row.limit_bytes


def _limit(row: AccountRow, _now: float) -> str:
    return format_limit(row.limit_bytes)


def _days(row: AccountRow, _now: float) -> str:
    return days_text(row.days_to_full)


def _soonest(row: AccountRow) -> Value:
    return None if row.days_to_full is None else -row.days_to_full


COLUMNS = (
    Column("address", lambda row, _: row.address, lambda row: row.address, 0, right=False),
    Column("level", lambda row, _: level_cell(row), lambda row: -float(_SEVERITY.index(row.level)), 4, right=False),
    Column("percent", lambda row, _: percent_text(row.percent), lambda row: row.percent, 1),
    Column("used", lambda row, _: format_size(row.used_bytes), lambda row: row.used_bytes, 2),
    Column("limit", _limit, _unlimited_is_most, 3),
    Column("messages", lambda row, _: format_count(row.messages), lambda row: row.messages, 8),
    Column("trash", lambda row, _: format_size(row.trash_bytes), lambda row: row.trash_bytes, 7),
    Column("growth", lambda row, _: growth_text(row.growth_bytes_per_day), lambda row: row.growth_bytes_per_day, 5),
    Column("days", _days, _soonest, 6),
    Column("source", lambda row, _: row.source or NOTHING, lambda row: row.source, 10, right=False),
    Column("age", _age, lambda row: None if row.measured_at is None else -row.measured_at, 9),
)
_ORDERS: dict[str, Callable[[AccountRow], Value]] = {column.title: column.order for column in COLUMNS} | {
    "domain": lambda row: row.domain,
    # the keys of the JSON output
    "used_bytes": lambda row: row.used_bytes,
    "limit_bytes": _unlimited_is_most,
    "limit_messages": lambda row: _ENDLESS if row.limit_messages is None else row.limit_messages,
    "trash_bytes": lambda row: row.trash_bytes,
    "trash_messages": lambda row: row.trash_messages,
    "measured_at": lambda row: row.measured_at,
    "growth_bytes_per_day": lambda row: row.growth_bytes_per_day,
    "days_to_full": _soonest,
    "drift_bytes": lambda row: row.drift_bytes,
    "witness_bytes": lambda row: row.witness_bytes,
    "verified_at": lambda row: None if row.verified_at is None else -row.verified_at,
    "enabled": lambda row: float(row.enabled),
}
SORT_KEYS = tuple(_ORDERS)


def titles() -> list[str]:
    """The titles for ``write_table``."""
    return [f">{column.title}" if column.right else column.title for column in COLUMNS]


def priorities(sorted_by: str | None) -> list[int]:
    """The priorities for ``write_table``: the column that is sorted by stays where the address has room beside it."""
    key = (sorted_by or "").removeprefix("-")
    return [min(column.priority, 1) if column.title == key else column.priority for column in COLUMNS]


def cells(row: AccountRow, now: float) -> list[Cell | str]:
    """The row of one account for ``write_table``."""
    return [column.cell(row, now) for column in COLUMNS]


def worst_first(rows: Iterable[AccountRow]) -> list[AccountRow]:
    """The accounts, fullest first; then those of unknown usage, then unlimited ones by usage.

    At its limit of messages a mailbox counts as full.
    """
    return sorted(rows, key=_badness)


def _badness(row: AccountRow) -> tuple[int, float, str]:
    percent = max(row.percent or 0.0, 100.0) if row.has_most_messages else row.percent
    if percent is not None:
        return 0, -percent, row.address
    return 1 if row.limit_bytes is not None else 2, -float(row.used_bytes or 0), row.address


def check_sort_key(key: str) -> None:
    """Raises UsageError where ``key`` is no sort order."""
    if key.removeprefix("-") not in _ORDERS:
        raise UsageError(f"{shown(key)} is no column to sort by; accepted: {', '.join(SORT_KEYS)}; -KEY reverses")


def sort_by(rows: Iterable[AccountRow], key: str) -> list[AccountRow]:
    """Sorted by a key of SORT_KEYS, reversed for ``-KEY``. Equal ones by address, unknown ones last."""
    order = _ORDERS[key.removeprefix("-")]
    by_address = sorted(rows, key=lambda row: row.address)
    known = [row for row in by_address if order(row) is not None]
    unknown = [row for row in by_address if order(row) is None]
    falling = any(not isinstance(order(row), str) for row in known[:1])
    known.sort(key=lambda row: order(row) or 0, reverse=falling != key.startswith("-"))
    return known + unknown
