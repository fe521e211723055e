"""Temporary limits in the state database: which ones end, when, and the limits after them. Blocking; in a thread.

Theory of operation. A row is written before its limit is set, without the id of a journal entry, and gets that id
afterwards. So a temporary limit always has its row, also if the engine is killed between the two; but a row may have no
limit. A row counts only if the account's limit is the one of the row; if several running rows of an account have that
limit, the newest counts. A later edit of the account ends its rows and stores the id of its entry in ``ended_by``, so
that taking back the edit can let one of them run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ..history.connection import Sql
from ..history.database import StateDatabase
from ..history.journal import JournalEntry, add_entry, limit_text

_COLUMNS = "SELECT id, entry, address, before_bytes, limit_bytes, until FROM temporary_limits AS one"
_RUNNING = f"{_COLUMNS} WHERE ended_at IS NULL ORDER BY id"
_DUE = (
    f"{_COLUMNS} WHERE ended_at IS NULL AND until <= ? AND NOT EXISTS (SELECT 1 FROM temporary_limits AS newer"
    " WHERE newer.address = one.address AND newer.ended_at IS NULL AND newer.id > one.id"
    " AND newer.limit_bytes = one.limit_bytes) ORDER BY until LIMIT ?"
)
_NEXT = "SELECT MIN(until) FROM temporary_limits WHERE ended_at IS NULL AND until > ?"
_ENDED_BY = (
    "SELECT id, entry, address, before_bytes, limit_bytes, until, ended_by FROM temporary_limits"
    " WHERE ended_by BETWEEN ? AND ? ORDER BY id"
)
_ADD = "INSERT INTO temporary_limits (address, before_bytes, limit_bytes, until) VALUES (?, ?, ?, ?)"
_FORGET = "DELETE FROM temporary_limits WHERE id = ?"
_CONFIRM = "UPDATE temporary_limits SET entry = ? WHERE id = ?"
_REPLACE = "UPDATE temporary_limits SET ended_at = ?, ended_by = ? WHERE address = ? AND ended_at IS NULL AND id <> ?"
_END = "UPDATE temporary_limits SET ended_at = ? WHERE id = ? AND ended_at IS NULL"
_END_OLDER = (
    "UPDATE temporary_limits SET ended_at = ? WHERE address = ? AND ended_at IS NULL AND id < ? AND limit_bytes = ?"
)


class Temporary(NamedTuple):
    """One row. Limits are in bytes, None is unlimited; ``until`` is in seconds since the epoch.

    ``before`` is the limit to go back to. ``entry`` is the id of its journal entry; None where the engine was killed
    before it was written.
    """

    id: int
    entry: int | None
    address: str
    before: int | None
    limit: int | None
    until: float


class TemporaryLimits:
    """The table ``temporary_limits``. Every method raises StateError."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def running(self) -> dict[str, list[Temporary]]:
        """All rows that have not ended, by address, oldest first."""
        found: dict[str, list[Temporary]] = {}
        for one in map(_temporary, self._database.rows(_RUNNING)):
            found.setdefault(one.address, []).append(one)
        return found

    def due(self, now: float, most: int) -> list[Temporary]:
        """Up to ``most`` rows whose time has come and that no newer running row with the same limit continues."""
        return [_temporary(row) for row in self._database.rows(_DUE, (now, most))]

    def next_end(self, now: float) -> float | None:
        """The earliest end after ``now``, in seconds since the epoch; None where nothing is running."""
        rows = self._database.rows(_NEXT, (now,))
        return rows[0][0] if rows else None

    def ended_by(self, first: int, last: int) -> dict[int, list[Temporary]]:
        """The rows that journal entries ``first`` to ``last`` ended, by entry, oldest first."""
        found: dict[int, list[Temporary]] = {}
        for *values, edit in self._database.rows(_ENDED_BY, (first, last)):
            found.setdefault(edit, []).append(_temporary(values))
        return found

    def begin(self, wanted: Iterable[tuple[str, int | None, int | None, float]]) -> list[int]:
        """Note address, limit before, limit and end of limits that are about to be set; the ids of the rows."""
        values = [(address, before or 0, limit or 0, until) for address, before, limit, until in wanted]
        return self._database.write(lambda sql: [sql.insert(_ADD, one) for one in values])

    def forget(self, numbers: Sequence[int]) -> None:
        """Delete the rows of limits that were not set."""
        self._database.write(lambda sql: [sql.change(_FORGET, (number,)) for number in numbers])

    def end(self, ended: Sequence[tuple[Temporary, JournalEntry | None]], now: float) -> list[bool]:
        """Note that these have ended, and write their journal entries (None: none is written).

        False for each one that another engine or an edit has ended before; that gets no entry here.
        """
        return self._database.write(lambda sql: [_end(sql, now, one, entry) for one, entry in ended])


def holding(running: Iterable[Temporary], limit: int | None) -> Temporary | None:
    """The newest running row of an account that has this limit; None where its limit is a lasting one."""
    return next((one for one in reversed(list(running)) if one.limit == limit), None)


def replace(sql: Sql, now: float, address: str, edit: int, new: tuple[int, int | None] | None) -> None:
    """End all running rows of an account by journal entry ``edit``, within the transaction that writes the entry.

    ``new``: the id of a row that goes on running, and the id of the journal entry that it gets.
    """
    number, entry = new or (0, None)
    sql.change(_REPLACE, (now, edit, address, number))
    if new is not None:
        sql.change(_CONFIRM, (entry, number))


def _temporary(row: Sequence[Any]) -> Temporary:
    number, entry, address, before, limit, until = row
    return Temporary(id=number, entry=entry, address=address, before=before or None, limit=limit or None, until=until)


def _end(sql: Sql, now: float, one: Temporary, entry: JournalEntry | None) -> bool:
    if not sql.change(_END, (now, one.id)):
        return False
    sql.change(_END_OLDER, (now, one.address, one.id, one.limit or 0))
    if entry is not None:
        begun = one.entry if one.entry is not None else add_entry(sql, now, _unwritten(one, entry.operator))
        add_entry(sql, now, msgspec.structs.replace(entry, undoes=begun))
    return True


def _unwritten(one: Temporary, operator: str) -> JournalEntry:
    """The missing entry of a limit that was set by an engine or command which was killed before it wrote the entry."""
    return JournalEntry(
        operator=operator,
        kind="limit",
        address=one.address,
        old=limit_text(one.before),
        new=limit_text(one.limit),
        reason="operator not known: stopped before this entry was written",
        until=one.until,
    )
