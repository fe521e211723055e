"""How often mail for each account was refused within the last day, so that an engine that starts goes on counting.

Blocking; called in a thread. Each call is one transaction, made short by giving it few rows. Raises StateError.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..mailboxes.refusals import RefusalCount
from .connection import Sql
from .database import StateDatabase

_LONGEST = 320  # characters of an address that are kept; a sender may send any
_SAME = "WHERE slice = ? AND host = ? AND address = ?"


class RefusalHistory:
    """The refusals of the engine on this ``host``. Slices are five minutes, numbered since the epoch."""

    def __init__(self, database: StateDatabase, host: str) -> None:
        self._database = database
        self._host = host

    def add(self, refusals: Sequence[RefusalCount]) -> None:
        """Add these to the counts."""

        def work(sql: Sql) -> None:
            for number, address, times, at, sender in refusals:
                key, values = (number, self._host, address), (times, at, sender[:_LONGEST])
                if not sql.change(
                    f"UPDATE refusal SET refused = refused + ?, at = ?, sender = ? {_SAME}", values + key
                ):
                    sql.change("INSERT INTO refusal VALUES (?, ?, ?, ?, ?, ?)", key + values)

        self._database.write(work)

    def read(self, oldest: int) -> list[RefusalCount]:
        """The refusals from slice ``oldest`` on, oldest first."""
        rows = self._database.rows(
            "SELECT slice, address, refused, at, sender FROM refusal WHERE host = ? AND slice >= ? ORDER BY slice",
            (self._host, oldest),
        )
        return [RefusalCount(*row) for row in rows]

    def forget(self, oldest: int) -> None:
        """Delete those of all hosts before slice ``oldest``."""
        self._database.write(lambda sql: sql.change("DELETE FROM refusal WHERE slice < ?", (oldest,)))
