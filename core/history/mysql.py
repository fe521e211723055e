"""The state database in MariaDB or MySQL, for several engines that share one.

DDL statements commit at once there, so a migration that was interrupted is applied again from its beginning: its
statements must skip what is done already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT
from pymysql.converters import conversions
from pymysql.cursors import Cursor

from ..base.mysql import Connection as MysqlConnection
from ..base.mysql import Kind, NoHostError, Target, connect_any, retry_on_conflict, text_of
from .connection import Connection, Sql, StateError, Values, migrations, newer_version

T = TypeVar("T")
_LOCK_SECONDS = 2  # for each of four tries
_MIGRATION_SECONDS = 5  # to wait for the migration of another engine
_MIGRATING = "mailquota migrates its state"


def open_mysql(target: Target) -> Connection:
    """A connection with all migrations applied. Raises StateError."""
    try:
        connection, where, _ = connect_any(target, 0, use_unicode=True, conv=conversions, client_flag=CLIENT.FOUND_ROWS)
    except NoHostError as error:
        raise StateError(f"state database {error}") from error
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
            cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (_LOCK_SECONDS,))
            _migrate(cursor)
    except (pymysql.Error, OSError) as error:
        connection.close()
        raise _trouble(where, error) from error
    return _Mysql(connection, where)


class _Mysql(Connection):
    def __init__(self, connection: MysqlConnection, where: str) -> None:
        self._connection = connection
        self._where = where

    def transact(self, work: Callable[[Sql], T], *, writes: bool) -> T:  # noqa: ARG002 - readers lock nothing there
        try:
            return retry_on_conflict(self._connection, lambda: self._carry_out(work))
        except (pymysql.Error, OSError) as error:
            raise _trouble(self._where, error) from error

    def _carry_out(self, work: Callable[[Sql], T]) -> T:
        with self._connection.cursor() as cursor:
            result = work(_MysqlSql(cursor))
        self._connection.commit()
        return result

    def close(self) -> None:
        """Close the connection; the server rolls back what was not committed."""
        with contextlib.suppress(pymysql.Error, OSError):
            self._connection.close()


class _MysqlSql:
    kind: Kind = "mysql"
    ignore = "IGNORE"

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(_with_percent_s(sql), tuple(values))
        return list(self._cursor.fetchall())

    def change(self, sql: str, values: Values = ()) -> int:
        return self._cursor.execute(_with_percent_s(sql), tuple(values))

    def insert(self, sql: str, values: Values = ()) -> int:
        self._cursor.execute(_with_percent_s(sql), tuple(values))
        return int(self._cursor.lastrowid or 0)

    def many(self, sql: str, values: Iterable[Values]) -> None:
        self._cursor.executemany(_with_percent_s(sql), list(values))


def _with_percent_s(sql: str) -> str:
    """A statement with PyMySQL's placeholder for a value."""
    return sql.replace("?", "%s")


def _trouble(where: str, error: BaseException) -> StateError:
    return StateError(f"state database {where}: {text_of(error)}")


def _migrate(cursor: Cursor) -> None:
    steps = migrations("mysql")
    if _version(cursor) == steps[-1][0]:
        return
    cursor.execute("SELECT GET_LOCK(%s, %s)", (_MIGRATING, _MIGRATION_SECONDS))
    try:
        cursor.execute("CREATE TABLE IF NOT EXISTS state_version (version INTEGER NOT NULL PRIMARY KEY)")
        version = _version(cursor)
        if version > steps[-1][0]:
            raise pymysql.OperationalError(0, newer_version(version, steps[-1][0]))
        for number, text in steps:
            if number > version:
                for statement in filter(str.strip, text.split(";\n")):
                    cursor.execute(statement)
                cursor.execute("REPLACE INTO state_version VALUES (%s)", (number,))
    finally:
        cursor.execute("SELECT RELEASE_LOCK(%s)", (_MIGRATING,))


def _version(cursor: Cursor) -> int:
    """The last migration applied; 0 for a database without tables."""
    cursor.execute("SHOW TABLES LIKE 'state_version'")
    if not cursor.fetchall():
        return 0
    cursor.execute("SELECT COALESCE(MAX(version), 0) FROM state_version")
    (row,) = cursor.fetchall()
    return int(row[0])
