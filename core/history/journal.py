"""The journal: who changed what, when, from where, old and new value. Blocking; called in a thread."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from core.history.database import Sql, StateDatabase, StateError

_COLUMNS = "SELECT id, at, operator, origin, kind, address, old, new, reason, until, undoes FROM journal"
_NEWEST = f"{_COLUMNS} WHERE at >= ? ORDER BY id DESC LIMIT ?"
_NEWEST_OF_ONE = f"{_COLUMNS} WHERE address = ? AND at >= ? ORDER BY id DESC LIMIT ?"
_ADD = (
    "INSERT INTO journal (at, operator, origin, kind, address, old, new, reason, until, undoes)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class JournalEntry(msgspec.Struct, frozen=True):
    """One change. ``old`` and ``new`` are bytes as text for a limit ("unlimited" without one), a figure otherwise.

    ``until``: when a temporary limit ends, in seconds since the epoch. ``undoes``: the entry that it takes back.
    """

    operator: str
    origin: str
    kind: str
    address: str
    old: str | None
    new: str | None
    reason: str = ""
    until: float | None = None
    undoes: int | None = None


class Journal:
    """``lost`` counts entries that could not be written: the change itself is never refused for that."""

    def __init__(self, database: StateDatabase) -> None:
        self.lost = 0
        self._database = database

    def add(self, entries: list[JournalEntry], at: float | None = None) -> list[int]:
        """Write entries in one transaction, as of now if not as of ``at``; their ids.

        Raises StateError, counted in ``lost``.
        """
        when = time.time() if at is None else at
        try:
            return self._database.write(lambda sql: [_add(sql, when, entry) for entry in entries])
        except StateError:
            self.lost += len(entries)
            raise

    def read(self, address: str = "", since: float = 0.0, most: int = 1000) -> list[tuple[Any, ...]]:
        """The newest ``most`` rows, newest first, of one address if it is given. Raises StateError.

        id, at, operator, origin, kind, address, old, new, reason, until, undoes. Without a file there are no rows, and
        none is made.
        """
        if address:
            return self._database.rows(_NEWEST_OF_ONE, (address, since, most))
        return self._database.rows(_NEWEST, (since, most))


def _add(sql: Sql, at: float, entry: JournalEntry) -> int:
    e = entry
    values = (at, e.operator, e.origin, e.kind, e.address, e.old, e.new, e.reason, e.until, e.undoes)
    return sql.insert(_ADD, values)
