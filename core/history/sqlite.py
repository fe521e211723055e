"""The state database as a file, with WAL and a busy timeout, so that engines and commands can use it together."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ..base.mysql import Kind
from ..base.others_folders import as_owner
from .connection import Connection, Sql, StateError, Values, migrations, newer_version
from .state_file import made, placed

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
        with placed(path, make=0o750) as place:
            self._owner, mode = place.outsider, made(place, path)
        steps = migrations("sqlite")  # not as the owner of the folder, who may not be able to read files of ours
        with as_owner(self._owner):
            self._connection = _connect(path, mode)
            try:
                _use_wal(self._connection)
                self._connection.execute("PRAGMA synchronous = NORMAL")
                _migrate(self._connection, steps)
            except BaseException:
                self._connection.close()
                raise

    def transact(self, work: Callable[[Sql], T], *, writes: bool) -> T:
        """As in Connection. A file that turns out to be damaged is renamed; the next use makes a new one."""
        connection = self._connection
        try:
            with as_owner(self._owner):
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                result = work(_SqliteSql(connection, self._owner))
                with as_owner(self._owner):
                    connection.commit()
            except BaseException:
                with as_owner(self._owner):
                    connection.rollback()
                raise
            return result
        except sqlite3.Error as error:
            if _is_damage(error):
                self.close()
                with contextlib.suppress(OSError):
                    self._damaged(_set_aside(self._path))
            raise _trouble(self._path, error) from error

    def close(self) -> None:
        with as_owner(self._owner):
            self._connection.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


class _SqliteSql:
    kind: Kind = "sqlite"
    ignore = "OR IGNORE"

    def __init__(self, connection: sqlite3.Connection, owner: os.stat_result | None) -> None:
        self._connection = connection
        self._owner = owner

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        with as_owner(self._owner):
            return self._connection.execute(sql, tuple(values)).fetchall()

    def change(self, sql: str, values: Values = ()) -> int:
        with as_owner(self._owner):
            return self._connection.execute(sql, tuple(values)).rowcount

    def insert(self, sql: str, values: Values = ()) -> int:
        with as_owner(self._owner):
            return self._connection.execute(sql, tuple(values)).lastrowid or 0

    def many(self, sql: str, values: Iterable[Values]) -> None:
        rows = list(values)
        with as_owner(self._owner):
            self._connection.executemany(sql, rows)


def _trouble(path: Path, error: Exception) -> StateError:
    text = error.strerror if isinstance(error, OSError) else None
    return StateError(f"state database {path}: {text or error}")


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _set_aside(path: Path) -> str:
    """Rename the file and those that belong to it to names with the date and time; the new path."""
    name = f"{path.name}.damaged-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    with placed(path) as place:
        there = place.names()
        for ending in ("", "-wal", "-shm"):
            if ending == "" or path.name + ending in there:
                place.rename(path.name + ending, name + ending)
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


def _migrate(connection: sqlite3.Connection, steps: list[tuple[int, str]]) -> None:
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
