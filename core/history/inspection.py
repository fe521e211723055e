"""Examines the state database for the doctor and changes nothing: no file is made, renamed or migrated."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pymysql

from ..base.mysql import NoHostError, Target, connect_any, text_of
from .connection import StateError, migrations
from .state_file import placed

Ask = Callable[[str], Sequence[tuple[Any, ...]]]


class Inspection(NamedTuple):
    """``version`` is the last migration applied, 0 without tables; ``known`` the last one that this mailquota has.

    ``newest`` is the time of the last journal entry, in seconds since the epoch; ``size`` is in bytes.
    """

    version: int
    known: int
    newest: float | None = None
    size: int | None = None


def inspect(target: Target) -> Inspection:
    """Examine the state database. Raises StateError where it can't be read."""
    return _inspect_mysql(target) if target.kind == "mysql" else _inspect_sqlite(target.path or Path())


def _inspect_sqlite(path: Path) -> Inspection:
    known = migrations("sqlite")[-1][0]
    try:
        if not path.exists():
            return Inspection(0, known)
        with placed(path), contextlib.closing(sqlite3.connect(_address(path), uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            newest = _newest(lambda sql: connection.execute(sql).fetchall(), version)
            return Inspection(version=version, known=known, newest=newest, size=path.stat().st_size)
    except (OSError, sqlite3.Error) as error:
        text = error.strerror if isinstance(error, OSError) else None
        raise StateError(f"state database {path}: {text or error}") from error


def _address(path: Path) -> str:
    """An address to read the file with.

    Without a -wal file no process writes. ``immutable`` then keeps SQLite from making a -wal and a -shm file itself.
    """
    alone = not path.with_name(f"{path.name}-wal").exists()
    return f"file:{quote(str(path))}?mode=ro{'&immutable=1' if alone else ''}"


def _inspect_mysql(target: Target) -> Inspection:
    known = migrations("mysql")[-1][0]
    try:
        connection, where, _ = connect_any(target, 0, use_unicode=True)
    except NoHostError as error:
        raise StateError(f"state database {error}") from error
    with contextlib.closing(connection), connection.cursor() as cursor:

        def ask(sql: str) -> Sequence[tuple[Any, ...]]:
            cursor.execute(sql)
            return cursor.fetchall()

        try:
            version = int(ask("SELECT MAX(version) FROM state_version")[0][0]) if _has_tables(ask) else 0
            return Inspection(version=version, known=known, newest=_newest(ask, version))
        except (pymysql.Error, OSError) as error:
            raise StateError(f"state database {where}: {text_of(error)}") from error


def _has_tables(ask: Ask) -> bool:
    return bool(ask("SHOW TABLES LIKE 'state_version'"))


def _newest(ask: Ask, version: int) -> float | None:
    rows = ask("SELECT MAX(at) FROM journal") if version else ()
    return None if not rows or rows[0][0] is None else float(rows[0][0])
