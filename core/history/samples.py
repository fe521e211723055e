"""The history of usage: how much was in each mailbox at which time, thinned out with age, and its trends.

Theory of operation. Time is counted in slots, quarter hours since the epoch. A usage is written only if it differs from
the one before: a series is a list of points, each of which holds until the next, and a mailbox that does not change
costs nothing. Within a slot a later usage replaces an earlier one. The rows are in the order of slots, as they are
written and thinned out in that order. The small table ``slot`` lists the slots, so that a reader finds the row of one
account in each by the primary key (slot, account). The last usage of each account is in the table ``latest``: what is
written is compared with that, so nothing is kept in memory between two writes. So engines that share a database, a new
database, and an account that comes back are no special cases.

Old slots are merged into coarser ones: quarter hours for a day, three hours for eight days, then days. The last usage
within the coarser slot is kept. At the end of the kept time rows are moved into the next slot, so that a series still
has its first point; those of accounts that are gone are deleted. A sample that is later than the last change of its
account comes from a clock that was wrong, and is ignored.

Blocking; called in a thread. Each call is one transaction, made short by giving it few accounts. Raises StateError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..base.growth import DAY, TREND_DAYS, trend, week
from ..base.model import Point, Trend
from .connection import Sql
from .database import StateDatabase
from .stored_accounts import COLUMNS, StoredAccount, find, placeholders, stored_account
from .thinning import DAY_SLOTS, SLOT, Merge, end_of, merges, slot_of

PAGE = 500  # accounts that are read at a time
_MOST_BYTES, _MOST_MESSAGES = 2**63 - 1, 2**31 - 1  # of a column
_REMOVED = 500  # accounts at a time
_MERGED = 5000  # rows at a time
_REMARK_EVERY = DAY  # seconds between two jumps of an account

_PAGE = f"{COLUMNS} WHERE a.id > ? ORDER BY a.id LIMIT {PAGE}"
_SAMPLES = (
    "SELECT s.slot, x.used, x.messages FROM slot s CROSS JOIN sample x ON x.slot = s.slot AND x.account = ?"
    " WHERE s.slot >= ? AND s.slot <= ? ORDER BY s.slot"
)
_SAMPLE_BEFORE = (
    "SELECT s.slot, x.used, x.messages FROM slot s CROSS JOIN sample x ON x.slot = s.slot AND x.account = ?"
    " WHERE s.slot < ? ORDER BY s.slot DESC LIMIT 1"
)
_LIMIT_OF_PART = f"SELECT account FROM sample WHERE slot = ? ORDER BY account LIMIT 1 OFFSET {_MERGED}"
_MOVED = "SELECT ?, account, used, messages FROM sample"
_STILL_THERE = " CROSS JOIN account ON account.id = sample.account AND account.gone_at IS NULL"


class AccountUsage(NamedTuple):
    """The usage of a mailbox, in bytes and messages."""

    address: str
    used: int
    messages: int


class Change(NamedTuple):
    """A usage that was written, in bytes; ``old`` is None for an account that is new to the history."""

    address: str
    old: int | None
    new: int
    usual: int  # growth a day, as far as it is known


class TrendAndWeek(NamedTuple):
    """Growth of an account, and its usage of the last seven days as in AccountRow."""

    trend: Trend | None
    week: str


class Samples:
    """The tables of the history. ``now`` is in seconds since the epoch throughout."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def page(self, after: int) -> list[StoredAccount]:
        """The accounts with an id above ``after``, in the order of ids, at most PAGE."""
        return [stored_account(row) for row in self._database.rows(_PAGE, (after,))]

    def write(self, usages: Sequence[AccountUsage], now: float) -> list[Change]:
        """Write the usages that differ from the last ones; returns those."""
        return self._database.write(lambda sql: _write(sql, usages, now))

    def gone(self, addresses: Iterable[str], now: float) -> None:
        """Note that these accounts no longer exist. The history of one that comes back goes on."""
        values = [(now, address) for address in addresses]
        self._database.write(
            lambda sql: sql.many("UPDATE account SET gone_at = ? WHERE address = ? AND gone_at IS NULL", values)
        )

    def series(self, address: str, since: float, now: float) -> list[Point]:
        """The points from ``since`` on, oldest first; the first one is that which held at ``since``."""

        def read(sql: Sql) -> list[Point]:
            found = find(sql, [address]).get(address)
            return [] if found is None else _points(sql, found, since, now)

        return self._database.read(read, [])

    def compute_trends(self, limits: Mapping[str, int | None], now: float) -> dict[str, TrendAndWeek]:
        """Compute and store the trends of those accounts for which they are due; ``limits`` are in bytes."""

        def work(sql: Sql) -> dict[str, TrendAndWeek]:
            due = [row for row in find(sql, list(limits)).values() if row.is_due(now)]
            return _compute_trends(sql, due, limits, now)

        return self._database.write(work)

    def claim_jump(self, address: str, now: float) -> bool:
        """Whether the caller is to note a jump: True once a day, for one engine of those that share the database."""
        # A last jump that lies days ahead was noted before the clock was set back: it does not count
        values = (now, address, now - _REMARK_EVERY, now + _REMARK_EVERY)
        claim = "UPDATE account SET jumped_at = ? WHERE address = ? AND NOT jumped_at BETWEEN ? AND ?"
        return self._database.write(lambda sql: sql.change(claim, values)) == 1

    def due_merges(self, now: float, keep: float) -> list[Merge]:
        """The merges to be done next, in this order; the history of ``keep`` seconds is kept."""
        slots = self._database.rows("SELECT slot FROM slot WHERE slot >= 0 ORDER BY slot")
        return merges([slot for (slot,) in slots], slot_of(now), int(keep // SLOT))

    def merge(self, step: Merge) -> bool:
        """Do a part of a merge; True when it is done."""
        return self._database.write(lambda sql: _merge(sql, step))

    def remove(self, now: float, keep: float) -> bool:
        """Delete some accounts that have been gone for longer than ``keep`` seconds; True when those were all."""
        return self._database.write(lambda sql: _remove(sql, now, keep))


# ---- writing


def _write(sql: Sql, usages: Sequence[AccountUsage], now: float) -> list[Change]:
    found = find(sql, [usage.address for usage in usages])
    _clear_gone(sql, found.values())
    changed = [usage for usage in usages if not _is_known(found.get(usage.address), usage)]
    numbers = _numbers(sql, [usage.address for usage in changed], found)
    rows = sorted(
        (numbers[address], min(max(used, 0), _MOST_BYTES), min(max(messages, 0), _MOST_MESSAGES))
        for address, used, messages in changed
    )
    if rows:
        slot = slot_of(now)
        sql.change(f"INSERT {sql.ignore} INTO slot VALUES (?)", (slot,))
        sql.many("REPLACE INTO sample VALUES (?, ?, ?, ?)", [(slot, *row) for row in rows])
        sql.many("REPLACE INTO latest VALUES (?, ?, ?, ?)", [(*row, now) for row in rows])
    return [_change(found.get(usage.address), usage) for usage in changed]


def _is_known(row: StoredAccount | None, usage: AccountUsage) -> bool:
    return row is not None and (row.used, row.messages) == (usage.used, usage.messages)


def _change(row: StoredAccount | None, usage: AccountUsage) -> Change:
    usual = 0 if row is None or row.trend is None else row.trend.growth
    return Change(address=usage.address, old=None if row is None else row.used, new=usage.used, usual=usual)


def _numbers(sql: Sql, addresses: Sequence[str], found: Mapping[str, StoredAccount]) -> dict[str, int]:
    """The ids of these accounts; new accounts are added."""
    numbers = {address: row.id for address, row in found.items()}
    new = sorted(address for address in addresses if address not in numbers)
    if new:
        sql.many(f"INSERT {sql.ignore} INTO account (address) VALUES (?)", [(address,) for address in new])
        # Another engine may have added them since: MariaDB shows its rows to this transaction only in a locking read
        latest = " LOCK IN SHARE MODE" if sql.kind == "mysql" else ""
        numbers.update(sql.rows(f"SELECT address, id FROM account WHERE address IN ({placeholders(new)}){latest}", new))
    return numbers


def _clear_gone(sql: Sql, rows: Iterable[StoredAccount]) -> None:
    back = [(row.id,) for row in rows if row.gone_at is not None]
    if back:
        sql.many("UPDATE account SET gone_at = NULL WHERE id = ?", back)


# ---- reading and computing


def _points(sql: Sql, row: StoredAccount, since: float, now: float) -> list[Point]:
    if row.used is None or row.messages is None or row.changed_at is None:
        return []
    if row.changed_at <= since:
        return [Point(row.changed_at, row.used, row.messages)]
    first, last = max(slot_of(since), 0), min(slot_of(now), end_of(slot_of(row.changed_at), DAY_SLOTS))
    rows = sql.rows(_SAMPLES, (row.id, first, last))
    if not rows or rows[0][0] > first:
        rows = sql.rows(_SAMPLE_BEFORE, (row.id, first)) + rows
    return [Point(float(slot * SLOT), used, messages) for slot, used, messages in rows]


def _compute_trends(
    sql: Sql, due: Sequence[StoredAccount], limits: Mapping[str, int | None], now: float
) -> dict[str, TrendAndWeek]:
    since = now - (TREND_DAYS + 1) * DAY
    result = {}
    for row in due:
        points = _points(sql, row, since, now)
        result[row.address] = TrendAndWeek(trend(points, now), week(points, limits[row.address], now))
    _clear_gone(sql, due)
    sql.many("REPLACE INTO trend VALUES (?, ?, ?, ?, ?, ?)", [_trend_row(row, result[row.address], now) for row in due])
    return result


def _trend_row(row: StoredAccount, found: TrendAndWeek, now: float) -> tuple[object, ...]:
    growth = (None, None, None) if found.trend is None else (found.trend.growth, found.trend.low, found.trend.high)
    return (row.id, *growth, found.week, now)


# ---- thinning out


def _merge(sql: Sql, step: Merge) -> bool:
    """Move up to _MERGED rows of the source into the target.

    Rows that the target has already are kept: slots are merged from the last one back, so those are newer.
    """
    rest = sql.rows(_LIMIT_OF_PART, (step.source,))
    part = " AND account < ?" if rest else ""
    values = (step.source, *(rest[0] if rest else ()))
    moved = _MOVED + (_STILL_THERE if step.far else "")
    sql.change(f"INSERT {sql.ignore} INTO slot VALUES (?)", (step.target,))
    sql.change(f"INSERT {sql.ignore} INTO sample {moved} WHERE slot = ?{part}", (step.target, *values))
    sql.change(f"DELETE FROM sample WHERE slot = ?{part}", values)
    if not rest:
        sql.change("DELETE FROM slot WHERE slot = ?", (step.source,))
    return not rest


def _remove(sql: Sql, now: float, keep: float) -> bool:
    sql.change("UPDATE account SET gone_at = ? WHERE gone_at > ?", (now, now))  # noted by a clock that was ahead
    rows = sql.rows(f"SELECT id FROM account WHERE gone_at < ? ORDER BY gone_at LIMIT {_REMOVED}", (now - keep,))
    for table, column in (("latest", "account"), ("trend", "account"), ("account", "id")):
        sql.many(f"DELETE FROM {table} WHERE {column} = ?", rows)
    return len(rows) < _REMOVED
