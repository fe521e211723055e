"""The state database: SQLite with numbered migrations, each applied once, in order, in a transaction of its own."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from core.errors import MailquotaError

_BUSY_SECONDS = 5.0
_PAUSE_SECONDS = 0.01


class StateError(MailquotaError):
    """The state database can't be used; what was to be written there is lost, nothing else is."""


def open_state(path: Path) -> sqlite3.Connection:
    """The database with all migrations applied; it is made, with its folder, where it is missing.

    Raises StateError. WAL and a busy timeout, so that a reader, a command and an engine do not get in each other's way.
    """
    connection = None
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        _migrate(connection)
    except (OSError, sqlite3.Error) as error:
        if connection is not None:
            connection.close()
        raise StateError(f"state database {path}: {error}") from error
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Two that switch a new file at the same time get "locked" at once, whatever the busy timeout: so try again."""
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


def migrations() -> list[tuple[int, str]]:
    """Number and text of each migration, in order; a file is named NNNN_what.sql and never changes once released."""
    folder = files("core.history").joinpath("sql")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(int(name[:4]), folder.joinpath(name).read_text("utf-8")) for name in names]


def _migrate(connection: sqlite3.Connection) -> None:
    steps = migrations()
    version = _version(connection)
    if version > steps[-1][0]:
        raise sqlite3.DatabaseError(f"it is of a newer version ({version}) than this mailquota knows ({steps[-1][0]})")
    for number, text in steps:
        if number > version:
            _apply(connection, number, text)


def _apply(connection: sqlite3.Connection, number: int, text: str) -> None:
    """One migration, unless another process was faster: an engine and a command may meet here."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) < number:
            for statement in _statements(text):  # executescript would end the transaction
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
