"""Accounts in MySQL or MariaDB.

Theory of operation: the reading connection is kept, in autocommit, as a transaction would go on showing the rows as
they were at its start. When it turns out to be dead (server restarted, wait_timeout, a firewall that forgot it), the
work is done once more on a new one. A new one is tried at the host that worked last, then at the others in order.
A change of limits has a connection of its own, from the first host on, as that is the one to write to in a replicated
set. Where it meets another transaction it is done again from the start.

Everything here blocks, for at most about CONNECT_SECONDS a host and READ_SECONDS a packet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT, CR, ER
from pymysql.cursors import SSCursor

from mailquota.core.accounts.base import SqlStore, may_not_write, missing_limit, trouble
from mailquota.core.accounts.rows import Row, RowCollector
from mailquota.core.accounts.schema import make_statements
from mailquota.core.accounts.store import Accounts, LimitResult, Queries, Schema
from mailquota.core.accounts.writing import Transaction
from mailquota.core.base.errors import DatabaseError, SettingsError
from mailquota.core.base.mysql import (
    CONFLICTS,
    Connection,
    NoHostError,
    Target,
    code_of,
    connect_any,
    retry_on_conflict,
    text_of,
)

LOCK_SECONDS = 2  # for each of four tries; below READ_SECONDS, so that the server's own words about a row arrive
ROWS_AT_ONCE = 1000

T = TypeVar("T")

# What a connection that was fine an hour ago says when it is not.
_CONNECTION_KILLED = 1927  # MariaDB
_IDLE_TOO_LONG = 4031  # MySQL 8
_LOST = frozenset(
    {
        0,  # PyMySQL about a connection that it closed itself
        CR.CR_SERVER_GONE_ERROR,
        CR.CR_SERVER_LOST,
        CR.CR_COMMANDS_OUT_OF_SYNC,
        ER.SERVER_SHUTDOWN,
        _CONNECTION_KILLED,
        _IDLE_TOO_LONG,
    }
)
_READ_ONLY_SERVER = 1836
_READ_ONLY_TRANSACTION = 1792
_MAY_NOT = frozenset(
    {
        ER.DBACCESS_DENIED_ERROR,
        ER.TABLEACCESS_DENIED_ERROR,
        ER.COLUMNACCESS_DENIED_ERROR,
        ER.OPTION_PREVENTS_STATEMENT,
        _READ_ONLY_SERVER,
        _READ_ONLY_TRANSACTION,
    }
)


class _Rows(SSCursor):
    """Rows as they arrive, not all in memory at once."""

    _result: Any

    def drop(self) -> None:
        """Give up in the middle. Else PyMySQL reads the rest when it collects the garbage, from a closed connection."""
        if self._result is not None:
            self._result.unbuffered_active = False
            self._result = None


class MysqlStore(SqlStore):
    """An AccountStore; see there."""

    def __init__(self, target: Target, write_target: Target, schema: Schema, queries: Queries | None) -> None:
        super().__init__(make_statements(schema, "mysql", queries))
        if not (target.hosts and write_target.hosts):
            raise SettingsError("accounts.database lacks a host")
        self._reading = KeptConnection(target)
        self._write_target = write_target

    def fingerprint(self) -> object:
        """See AccountStore. A digest made by the server: about 60 ms there for 100,000 accounts, two rows to send."""
        sql = self._statements.change
        return self.run(lambda connection: tuple(_stream(connection, sql))) if sql else object()

    def _collect(self) -> Accounts:
        return self.run(self._collect_from)

    def _collect_from(self, connection: Connection) -> Accounts:
        statements = self._statements
        collector = RowCollector()
        collector.add_users(_stream(connection, statements.users))
        if statements.aliases:
            collector.add_aliases(_stream(connection, statements.aliases), statements.own_rows)
        return collector.result()

    def _rows(self, sql: str) -> list[Row]:
        return self.run(lambda connection: list(_stream(connection, sql)))

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of work on the reading connection. Raises DatabaseError."""
        try:
            return self._reading.run(work)
        except pymysql.Error as error:
            raise self._explain(error, self._reading.where) from error

    def _transact(self, work: Callable[[Transaction], list[LimitResult]]) -> list[LimitResult]:
        connection, where = _connect(self._write_target, 0, client_flag=CLIENT.FOUND_ROWS)[:2]
        session = _Transaction(connection)

        def change() -> list[LimitResult]:
            results = work(session)
            _commit(connection, where)
            return results

        try:
            session.prepare()
            return retry_on_conflict(connection, change)
        except pymysql.Error as error:
            raise self._explain_write(error, where) from error
        finally:
            _close(connection)

    def _explain(self, error: pymysql.Error, where: str) -> DatabaseError:
        limit = self._statements.limit
        if code_of(error) == ER.BAD_FIELD_ERROR and limit and f"'{limit}'" in text_of(error):
            return missing_limit(where, self._statements)
        return trouble(where, text_of(error))

    def _explain_write(self, error: pymysql.Error, where: str) -> DatabaseError:
        if code_of(error) in _MAY_NOT:
            return may_not_write(where, text_of(error))
        return self._explain(error, where)

    def close(self) -> None:
        """See AccountStore."""
        self._reading.close()


class KeptConnection:
    """A connection that is opened when it is needed and kept for the next time."""

    def __init__(self, target: Target) -> None:
        self.where = ""
        self._target = target
        self._host = 0  # the one that worked last
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do the work; once more from the start on a new connection when a kept one is dead.

        Raises DatabaseError where no host answers, pymysql.Error for what a server said.
        """
        kept = self._connection is not None
        try:
            return self._attempt(work)
        except pymysql.Error as error:
            if not kept or code_of(error) not in _LOST:
                raise
        return self._attempt(work)

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection, self.where, self._host = _connect(self._target, self._host)
        try:
            return work(self._connection)
        except BaseException:
            self.close()  # there may be rows on their way that nobody takes
            raise

    def close(self) -> None:
        """Close it; run() opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


def _connect(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    try:
        return connect_any(target, first, **options)
    except NoHostError as error:
        raise DatabaseError("; ".join(str(trouble(where, reason)) for where, reason in error.failures)) from error


class _Transaction:
    """A transaction; see limits.Session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prepare(self) -> None:
        # Strict, as the server may else store the nearest possible value and call it a success.
        # The default wait for a locked row is 50 s.
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
            cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (LOCK_SECONDS,))

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> list[Row]:
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(sql, values)
            except pymysql.Error as error:
                if values and code_of(error) == ER.CANT_AGGREGATE_2COLLATIONS:
                    return []  # the column's character set lacks a letter of the address, so no row has it
                raise
            return list(cursor.fetchall())

    def change(self, sql: str, values: Mapping[str, object]) -> int:
        with self._connection.cursor() as cursor:
            return cursor.execute(sql, values)


def _stream(connection: Connection, sql: str) -> Iterator[Row]:
    cursor = connection.cursor(_Rows)
    try:
        cursor.execute(sql)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows
    finally:
        cursor.drop()
        cursor.close()


def _commit(connection: Connection, where: str) -> None:
    """A connection that breaks just now leaves open what became of the changes."""
    try:
        connection.commit()
    except pymysql.Error as error:
        if code_of(error) in CONFLICTS:
            raise
        raise trouble(where, f"{text_of(error)}; whether limits were changed is not known") from error


def _close(connection: Connection) -> None:
    with contextlib.suppress(pymysql.Error, OSError):
        connection.close()
