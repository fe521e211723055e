"""The state database as a file, with WAL and a busy timeout, so that engines and commands can use it together."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from ..base.mysql import Kind
from .connection import Connection, Sql, StateError, Values, migrations, newer_version

T = TypeVar("T")
_BUSY_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_sqlite(path: Path, damaged: Callable[[str], None]) -> Connection:
    """A connection with all migrations applied. File and folder are made where they are missing.

    A damaged file is renamed first, and ``damaged`` is called with its new path. Raises StateError.
    """
    try:
        return _Sqlite(path, damaged)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise _trouble(path, error) from error
    except OSError as error:
        raise _trouble(path, error) from error
    try:
        damaged(_set_aside(path))
        return _Sqlite(path, damaged)
    except (OSError, sqlite3.Error) as error:
        raise _trouble(path, error) from error


class _Sqlite(Connection):
    def __init__(self, path: Path, damaged: Callable[[str], None]) -> None:
        self._path = path
        self._damaged = damaged
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _use_wal(self._connection)
            self._connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def transact(self, work: Callable[[Sql], T], *, writes: bool) -> T:
        """As in Connection. A file that turns out to be damaged is renamed; the next use makes a new one."""
        connection = self._connection
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                return work(_SqliteSql(connection))
        except sqlite3.Error as error:
            if _is_damage(error):
                connection.close()
                with contextlib.suppress(OSError):
                    self._damaged(_set_aside(self._path))
            raise _trouble(self._path, error) from error

    def close(self) -> None:
        self._connection.close()


class _SqliteSql:
    kind: Kind = "sqlite"
    ignore = "OR IGNORE"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, tuple(values)).fetchall()

    def change(self, sql: str, values: Values = ()) -> int:
        return self._connection.execute(sql, tuple(values)).rowcount

    def insert(self, sql: str, values: Values = ()) -> int:
        return self._connection.execute(sql, tuple(values)).lastrowid or 0

    def many(self, sql: str, values: Iterable[Values]) -> None:
        self._connection.executemany(sql, values)


def _trouble(path: Path, error: Exception) -> StateError:
    return StateError(f"state database {path}: {error}")


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _set_aside(path: Path) -> str:
    """Rename the file and those that belong to it to names with the date and time; the new path."""
    name = f"{path.name}.damaged-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    for ending in ("", "-wal", "-shm"):
        file = path.with_name(path.name + ending)
        if ending == "" or file.exists():
            file.rename(path.with_name(name + ending))
    return str(path.with_name(name))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL.

    Where two processes do that to a new file, one fails with "locked" at once, whatever the busy timeout is: so it
    tries again.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    steps = migrations("sqlite")
    version = _version(connection)
    if version > steps[-1][0]:
        raise sqlite3.OperationalError(newer_version(version, steps[-1][0]))
    for number, text in steps:
        if number > version:
            _apply(connection, number, text)


def _apply(connection: sqlite3.Connection, number: int, text: str) -> None:
    """Apply one migration, unless another process has done so since the version was read."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) < number:
            for statement in _statements(text):  # executescript would commit the transaction
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
