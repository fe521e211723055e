"""The journal: which operator changed what, when, from where, old and new value. Blocking; called in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from ..control.results import MESSAGES, JournalRow
from .connection import Sql, StateError
from .database import StateDatabase

UNCLEAR = "unclear"  # kind of an entry about a change of a limit of which it is not known whether it was made

NOT_MADE = "not-made"  # kind of such an entry after it was looked up: the limit is still the one of before
MESSAGE_UNIT = " messages"  # behind limits of messages in entries of these kinds


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is to be written: a JournalRow without ``id`` and ``at``, which it gets when it is written."""

    operator: str
    origin: str = ""
    kind: str
    address: str = ""
    old: str | None = None
    new: str | None = None
    reason: str = ""
    until: float | None = None
    undoes: int | None = None


_COLUMNS = f"SELECT {', '.join(JournalRow.__struct_fields__)} FROM journal"  # they have the names of the fields
_NEWEST = f"{_COLUMNS} WHERE at >= ? ORDER BY id DESC LIMIT ?"
_NEWEST_OF_ONE = f"{_COLUMNS} WHERE address = ? AND at >= ? ORDER BY id DESC LIMIT ?"
_ENTRY = f"{_COLUMNS} WHERE id = ?"
_LATER = f"{_COLUMNS} WHERE address = ? AND id > ? AND kind = ? ORDER BY id"
_EDITS = (
    f"{_COLUMNS} AS edit WHERE id <= ? AND kind IN ('limit', '{MESSAGES}') AND undoes IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM journal AS later"
    " WHERE later.address = edit.address AND later.id > edit.id AND later.undoes = edit.id)"
    " ORDER BY id DESC LIMIT ?"
)
_TAKEN_BACK_WITH = (
    f"{_COLUMNS} WHERE at = ? AND operator = ? AND origin = ? AND kind = ? AND undoes IS NOT NULL ORDER BY id"
)
_UNCLEAR = f"{_COLUMNS} WHERE kind = '{UNCLEAR}' AND at < ? AND reason NOT LIKE ? ORDER BY id LIMIT ?"
_COMPLETE = (
    f"UPDATE journal SET kind = ?, old = ?, new = ?, reason = ? WHERE id = ? AND kind = '{UNCLEAR}' AND reason = ?"
)
_LOOKED_UP = "looked up afterwards: "
_RUNS = f"{_COLUMNS} WHERE address = '' AND kind IN ('start', 'stop') ORDER BY id DESC LIMIT ?"
_ADD = (
    "INSERT INTO journal (at, operator, origin, kind, address, old, new, reason, until, undoes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SETTLE = "UPDATE journal SET kind = ?, old = ?, new = ?, reason = ?, until = ?, undoes = ? WHERE id = ?"
_REMOVE = "DELETE FROM journal WHERE id = ?"
_BEGUN = "begun; whether it was made is not known"
_NAME, _ADDRESS, _REASON = 255, 320, 2000  # characters that are kept, so that a long name never makes an entry fail
_PAGE = 1000
_HIGHEST_ID = 2**63 - 1


class Journal:
    """``lost`` counts entries that could not be written since the start. The changes that they are about were made."""

    def __init__(self, database: StateDatabase) -> None:
        self.lost = 0
        self.database = database

    def add(
        self,
        entries: list[JournalEntry],
        also: Callable[[Sql, list[int]], None] | None = None,
        *,
        at: float | None = None,
    ) -> list[int]:
        """Write entries in one transaction; their ids. ``at`` is their time, by default that of now.

        ``also`` is called with the ids within the transaction. Raises StateError; the entries are counted in ``lost``.
        """
        when = time.time() if at is None else at

        def work(sql: Sql) -> list[int]:
            numbers = [add_entry(sql, when, entry) for entry in entries]
            if also is not None:
                also(sql, numbers)
            return numbers

        try:
            return self.database.write(work)
        except StateError:
            self.lost += len(entries)
            raise

    def intend(self, entries: list[JournalEntry]) -> list[int]:
        """Write down changes that are about to be made, as unclear; their ids, for ``settle``. Raises StateError."""
        when = time.time()
        begun = [_unclear(one, _BEGUN) for one in entries]
        return self.database.write(lambda sql: [add_entry(sql, when, one) for one in begun])

    def settle(
        self,
        numbers: list[int],
        entries: list[JournalEntry | None],
        also: Callable[[Sql, list[int]], None] | None = None,
    ) -> list[int]:
        """Write what came of intended changes, in one transaction; the ids of those that were made.

        None is a change that was not made: its entry is removed. ``also`` as in ``add``. Raises StateError.
        """

        def work(sql: Sql) -> list[int]:
            made = []
            for number, entry in zip(numbers, entries, strict=True):
                if entry is None:
                    sql.change(_REMOVE, (number,))
                    continue
                made.append(number)
                sql.change(
                    _SETTLE,
                    (entry.kind, entry.old, entry.new, entry.reason[:_REASON], entry.until, entry.undoes, number),
                )
            if also is not None:
                also(sql, made)
            return made

        return self.database.write(work)

    def leave_unclear(self, numbers: list[int], entries: list[JournalEntry], why: str) -> None:
        """Say why it is not known whether changes were made. Raises StateError."""
        self.settle(numbers, [_unclear(one, why) for one in entries])

    def unclear(self, until: float, most: int) -> list[JournalRow]:
        """The oldest ``most`` unclear entries from before ``until`` that were not looked up. Raises StateError."""
        return self._rows(_UNCLEAR, until, f"%{_LOOKED_UP}%", most)

    def complete(self, found: list[tuple[JournalRow, JournalRow]]) -> list[JournalRow]:
        """Write what came of unclear entries, in one transaction; those that nobody else completed meanwhile.

        Each is a pair: as it was read, and as it shall be, with what was found as its reason. Raises StateError.
        """

        def work(sql: Sql) -> list[JournalRow]:
            done = []
            for row, outcome in found:
                tail = f"; {_LOOKED_UP}{outcome.reason}"
                whole = msgspec.structs.replace(outcome, reason=row.reason[: _REASON - len(tail)] + tail)
                values = (whole.kind, whole.old, whole.new, whole.reason, row.id, row.reason)
                if sql.change(_COMPLETE, values) == 1:
                    done.append(whole)
            return done

        return self.database.write(work)

    def read(self, address: str = "", since: float = 0.0, most: int = 1000) -> list[JournalRow]:
        """The newest ``most`` entries since a time, newest first, of one address if it is given. Raises StateError.

        Without an SQLite file there are none, and no file is made.
        """
        if address:
            return self._rows(_NEWEST_OF_ONE, address, since, most)
        return self._rows(_NEWEST, since, most)

    def entry(self, number: int) -> JournalRow | None:
        """One entry; None where there is no such number. Raises StateError."""
        return next(iter(self._rows(_ENTRY, number)), None)

    def later(self, address: str, number: int, kind: str = "limit") -> list[JournalRow]:
        """The entries on the limit of an account after entry ``number``, oldest first. Raises StateError."""
        return self._rows(_LATER, address, number, kind)

    def newest_edit(self) -> list[JournalRow]:
        """The entries of the newest edit of limits that were not taken back, newest first; none without such an edit.

        An edit is all that one operator set at one time. Entries that take back others are no edits. Raises StateError.
        """
        found: list[JournalRow] = []
        highest = _HIGHEST_ID
        while page := self._rows(_EDITS, highest, _PAGE):
            mine = [row for row in page if _are_of_one_edit(row, found[0] if found else page[0])]
            if not mine:
                break
            found += mine  # entries of another engine or command may be between them
            highest = page[-1].id - 1
        return found

    def taken_back_with(self, row: JournalRow) -> list[JournalRow]:
        """All entries of the undo that ``row`` is one of, oldest first. Raises StateError."""
        return self._rows(_TAKEN_BACK_WITH, row.at, row.operator, row.origin, row.kind)

    def runs(self, most: int) -> list[JournalRow]:
        """The newest ``most`` entries on engines that started or stopped, newest first. Raises StateError."""
        return self._rows(_RUNS, most)

    def _rows(self, sql: str, *values: object) -> list[JournalRow]:
        return [JournalRow(*row) for row in self.database.rows(sql, values)]


def _unclear(entry: JournalEntry, why: str) -> JournalEntry:
    """An entry about a change of which it is not known whether it was made; a limit of messages is told as such."""
    unit = MESSAGE_UNIT if entry.kind == MESSAGES else ""
    old, new = (None if limit is None else f"{limit}{unit}" for limit in (entry.old, entry.new))
    reason = "; ".join(filter(None, (entry.reason, why)))
    return msgspec.structs.replace(entry, kind=UNCLEAR, old=old, new=new, reason=reason)


def _are_of_one_edit(row: JournalRow, other: JournalRow) -> bool:
    return (row.at, row.operator, row.origin) == (other.at, other.operator, other.origin)


def add_entry(sql: Sql, now: float, entry: JournalEntry) -> int:
    """Write one entry within a transaction, with the time ``now``; its id."""
    e = entry
    values = (
        now, e.operator[:_NAME], e.origin[:_NAME], e.kind, e.address[:_ADDRESS], e.old, e.new, e.reason[:_REASON],
        e.until, e.undoes,
    )  # fmt: skip
    return sql.insert(_ADD, values)


def limit_text(limit: int | None) -> str:
    """A limit (bytes or messages; None is unlimited) as journal entries have it."""
    return "unlimited" if limit is None else str(limit)


def limit_of(text: str | None) -> int | None:
    """The limit of a text in an entry; None is unlimited. Raises ValueError for any other text."""
    return None if text == "unlimited" else int(text or "")
