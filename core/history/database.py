"""The state database: journal, history and warnings, in SQLite or, for several engines that share one, in MariaDB.

Theory of operation. A ``StateDatabase`` is opened when it is first needed and kept open; a lock lets one thread at a
time use it, so work on it is kept short (long work is done in parts). Every piece of work is one transaction: all of it
happens, or nothing, also under ``kill -9``. In MariaDB it may be done several times, where it meets that of another
engine, and so must change nothing but the database. Migrations are numbered files, each applied once, in order.

When it can't be used, the work raises StateError, ``problem`` says why until it works again, and the engine goes on: a
state database is never a reason to refuse mail or a change. A damaged SQLite file is set aside under another name, and
a new one is begun; ``set_aside`` is its name. One of a newer version is left alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from mailquota.core.base.mysql import Target
from mailquota.core.history.connection import Connection, Sql, StateError, Values

log = logging.getLogger(__name__)

_NO_RIGHT = ("readonly database", "read-only option", "command denied")  # of SQLite, and of MariaDB
_NO_ROOM = ("disk is full",)
# Shows whether there is a right to write, and no more: on a full disk it would succeed. A transaction alone would not
# do, as SQLite begins one on a file that it can only read.
_CHANGES_NOTHING = "UPDATE journal SET reason = reason WHERE 1 = 0"

T = TypeVar("T")


def _tells(problem: str, words: tuple[str, ...]) -> bool:
    return any(one in problem for one in words)


class StateDatabase:
    """See the theory of operation above. Every method blocks, for some seconds at most; called in a thread."""

    def __init__(self, target: Target) -> None:
        self._read_problem = self._write_problem = ""  # of the last time each
        self.set_aside = ""  # where a damaged one lies
        self._target = target
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    @property
    def problem(self) -> str:
        """Why it can't be used; one that can be read is not all right while nothing can be written."""
        return self._write_problem or self._read_problem

    def write(self, work: Callable[[Sql], T]) -> T:
        """Do the work in a transaction; a missing SQLite file is made. Raises StateError."""
        with self._lock:
            return self._run(work, writes=True)

    def read(self, work: Callable[[Sql], T], default: T) -> T:
        """Look something up. A missing SQLite file is not made, and holds ``default``. Raises StateError."""
        with self._lock:
            if self._connection is None and self._is_missing():
                return default
            found = self._run(work, writes=False)
            if _tells(self._write_problem, _NO_RIGHT):  # is it over? who reads often may not write for long
                with suppress(StateError):
                    self._run(lambda sql: sql.change(_CHANGES_NOTHING), writes=True)
            return found

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """What one SELECT finds; nothing where there is no file yet. Raises StateError."""
        nothing: list[tuple[Any, ...]] = []
        return self.read(lambda session: session.rows(sql, values), nothing)

    def close(self) -> None:
        """Give it back; the next use opens it again."""
        with self._lock:
            self._close()

    def _is_missing(self) -> bool:
        try:
            return self._target.path is not None and not self._target.path.exists()
        except OSError as error:  # a folder that we may not look into
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
        """What keeps one from writing alone is not over because something could be read."""
        self._read_problem = "" if writes else problem
        if writes or not (problem or _tells(self._write_problem, _NO_RIGHT + _NO_ROOM)):
            self._write_problem = problem

    def _open(self) -> Connection:
        if self._target.kind == "mysql":
            from mailquota.core.history.mysql import open_mysql  # late: most have a file

            return open_mysql(self._target)
        from mailquota.core.history.sqlite import open_sqlite

        assert self._target.path is not None
        return open_sqlite(self._target.path, self._damaged)

    def _damaged(self, set_aside: str) -> None:
        self.set_aside = set_aside
        log.error("the state database was damaged: it is set aside as %s, and a new one is begun", set_aside)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
