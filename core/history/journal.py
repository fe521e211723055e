"""The journal: who changed what, when, from where, old and new value. Blocking; called in a thread."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from core.history.database import StateError, open_state

_COLUMNS = "SELECT id, at, operator, origin, kind, address, old, new, reason, until, undoes FROM journal"
_NEWEST = f"{_COLUMNS} WHERE at >= :since ORDER BY id DESC LIMIT :most"
_NEWEST_OF_ONE = f"{_COLUMNS} WHERE address = :address AND at >= :since ORDER BY id DESC LIMIT :most"


class JournalEntry(msgspec.Struct, frozen=True):
    """One change. ``old`` and ``new`` are bytes as text for a limit ("unlimited" without one), a figure otherwise."""

    operator: str
    origin: str
    kind: str
    address: str
    old: str | None
    new: str | None
    reason: str = ""


class Journal:
    """Opened at the first entry, so that an engine that changes nothing needs no state database.

    ``lost`` counts entries that could not be written: the change itself is never refused for that.
    """

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def add(self, entries: list[JournalEntry]) -> list[int]:
        """Write entries in one transaction; their ids. Raises StateError, counted in ``lost``."""
        with self._lock:
            try:
                return self._add(entries)
            except sqlite3.Error as error:
                self.lost += len(entries)
                self._close()
                raise StateError(f"state database {self._path}: {error}") from error
            except StateError:
                self.lost += len(entries)
                raise

    def read(self, address: str = "", since: float = 0.0, most: int = 1000) -> list[tuple[Any, ...]]:
        """The newest ``most`` rows, newest first, of one address if it is given. Raises StateError.

        id, at, operator, origin, kind, address, old, new, reason, until, undoes. Without a file there are no rows, and
        none is made.
        """
        with self._lock:
            try:
                if self._connection is None:
                    if not self._path.exists():
                        return []
                    self._connection = open_state(self._path)
                values = {"address": address, "since": since, "most": most}
                return self._connection.execute(_NEWEST_OF_ONE if address else _NEWEST, values).fetchall()
            except (OSError, sqlite3.Error) as error:  # OSError: a folder that we may not look into
                self._close()
                raise StateError(f"state database {self._path}: {error}") from error

    def _add(self, entries: list[JournalEntry]) -> list[int]:
        if self._connection is None:
            self._connection = open_state(self._path)
        now = time.time()
        ids = []
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for entry in entries:
                cursor = connection.execute(
                    "INSERT INTO journal (at, operator, origin, kind, address, old, new, reason)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (now, entry.operator, entry.origin, entry.kind, entry.address, entry.old, entry.new, entry.reason),
                )
                ids.append(cursor.lastrowid or 0)
        return ids

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
