"""The state database: journal, history and warnings, in SQLite or, for several engines that share one, in MariaDB.

Theory of operation. A ``StateDatabase`` is opened at its first use and kept open. A lock lets one thread at a time use
it, so each piece of work is short; long work is done in parts. Each piece is one transaction: all of it is written, or
nothing, also under ``kill -9``. In MariaDB a transaction that conflicts with that of another engine is rolled back and
done again, so the work must have no effect outside the database. Migrations are numbered files, each applied once, in
order.

While the database can't be used, work raises StateError, ``problem`` says why, and the engine goes on: the state
database is never a reason to refuse mail or a change. A damaged SQLite file is renamed, and a new one is made;
``set_aside`` has the new name. A file that a newer mailquota has migrated is left as it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from ..base.mysql import Target
from .connection import Connection, Sql, StateError, Values

log = logging.getLogger(__name__)

_NO_RIGHT = ("readonly database", "read-only option", "command denied")  # of SQLite, and of MariaDB
_NO_ROOM = ("disk is full",)
# Fails without the right to write; succeeds on a full file system. BEGIN alone would not do, as SQLite begins a
# transaction on a file that it can only read.
_CHANGES_NOTHING = "UPDATE journal SET reason = reason WHERE 1 = 0"

T = TypeVar("T")


def _mentions(problem: str, texts: tuple[str, ...]) -> bool:
    return any(one in problem for one in texts)


class StateDatabase:
    """Used from threads: every method blocks, for some seconds at most."""

    def __init__(self, target: Target) -> None:
        self._read_problem = self._write_problem = ""  # of the last read, and of the last write
        self.set_aside = ""  # path of a damaged file that was renamed
        self._target = target
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @property
    def problem(self) -> str:
        """Why the database can't be used, or not be written; empty while both work."""
        return self._write_problem or self._read_problem

    def write(self, work: Callable[[Sql], T]) -> T:
        """Do the work in a transaction; returns what it returns. A missing SQLite file is made. Raises StateError."""
        with self._lock:
            return self._run(work, writes=True)

    def read(self, work: Callable[[Sql], T], default: T) -> T:
        """Do work that only reads.

        A missing SQLite file is not made: the result is ``default`` then. Raises StateError.
        """
        with self._lock:
            if self._connection is None and self._is_missing():
                return default
            found = self._run(work, writes=False)
            if _mentions(
                self._write_problem, _NO_RIGHT
            ):  # try whether it may write again: the next write may be hours away
                with suppress(StateError):
                    self._run(lambda sql: sql.change(_CHANGES_NOTHING), writes=True)
            return found

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of one SELECT; none where there is no file yet. Raises StateError."""
        nothing: list[tuple[Any, ...]] = []
        return self.read(lambda session: session.rows(sql, values), nothing)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        with self._lock:
            self._close()

    def _is_missing(self) -> bool:
        try:
            path = self._target.path
            return path is not None and not path.exists() and not path.is_symlink()  # a link may be refused
        except OSError as error:  # a folder that may not be read
            self._read_problem = f"state database {self._target.path}: {error}"
            raise StateError(self._read_problem) from error

    def _run(self, work: Callable[[Sql], T], *, writes: bool) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            result = self._connection.transact(work, writes=writes)
        except BaseException as error:
            self._close()
            if isinstance(error, StateError):
                self._note(str(error), writes=writes)
            raise
        self._note("", writes=writes)
        return result

    def _note(self, problem: str, *, writes: bool) -> None:
        """Remember a problem, or that there is none ("").

        A successful read does not end a problem that only writing has: no right to write, a full file system.
        """
        self._read_problem = "" if writes else problem
        if writes or not (problem or _mentions(self._write_problem, _NO_RIGHT + _NO_ROOM)):
            self._write_problem = problem

    def _open(self) -> Connection:
        if self._target.kind == "mysql":
            from .mysql import open_mysql  # late: PyMySQL, which most installations do not need

            return open_mysql(self._target)
        from .sqlite import open_sqlite

        assert self._target.path is not None
        return open_sqlite(self._target.path, self._damaged)

    def _damaged(self, set_aside: str) -> None:
        self.set_aside = set_aside
        log.error("the state database was damaged: it is set aside as %s, and a new one is begun", set_aside)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
