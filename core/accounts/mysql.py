"""The accounts database in MySQL or MariaDB.

Theory of operation: the reading connection is kept open, in autocommit: a transaction would go on showing the rows as
they were at its start. When it turns out to be dead (server restarted, wait_timeout, a firewall that dropped it), the
work is done once more on a new one. A new one is tried at the host that worked last, then at the others in order.
A change of limits has a separate connection, from the first host on, because in a replicated set that is the one to
write to. After a conflict with another transaction it is done again from the start.

All methods block, for at most about CONNECT_SECONDS a host and READ_SECONDS a packet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT, CR, ER
from pymysql.cursors import SSCursor

from ..base.errors import DatabaseError, SettingsError, UnclearError
from ..base.mysql import (
    CONFLICTS,
    Connection,
    NoHostError,
    Target,
    code_of,
    connect_any,
    retry_on_conflict,
    text_of,
)
from ..base.mysql_answers import understood
from .base import AskDovecot, SqlStore, may_not_write, missing_limit, old_tables, trouble
from .collecting import RowCollector
from .reader import RowReader, shape_of
from .rows import Row
from .schema import make_statements
from .store import Accounts, LimitResult, Queries, Schema
from .writing import Transaction

IDLE_SECONDS = 30  # of a transaction whose client is gone; below the age at which unclear changes are looked up
LOCK_SECONDS = 2  # for each of four tries; below READ_SECONDS, so that the server's own error arrives before that limit
ROWS_AT_ONCE = 1000

T = TypeVar("T")

# Errors of a connection that was kept open and has died meanwhile: the work may be done again on a new one.
_CONNECTION_KILLED = 1927  # MariaDB
_IDLE_TOO_LONG = 4031  # MySQL 8
_LOST = frozenset(
    {
        0,  # of PyMySQL, for a connection that it closed itself
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
_NO_TABLE = frozenset({ER.NO_SUCH_TABLE, ER.TABLEACCESS_DENIED_ERROR, ER.BAD_FIELD_ERROR})
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
    """A cursor that gives rows as they arrive, without all of them in memory."""

    _result: Any

    def read_next(self) -> Any:
        """The next row."""
        with understood():
            return super().read_next()

    def drop(self) -> None:
        """Stop in the middle of the rows. Else PyMySQL reads the rest when it is collected, on a closed connection."""
        if self._result is not None:
            self._result.unbuffered_active = False
            self._result = None


class MysqlStore(SqlStore):
    """An AccountStore in MySQL or MariaDB."""

    def __init__(
        self,
        target: Target,
        write_target: Target,
        schema: Schema,
        queries: Queries | None,
        ask: AskDovecot | None = None,
    ) -> None:
        super().__init__(partial(make_statements, schema, "mysql", queries), ask)
        if not (target.hosts and write_target.hosts):
            raise SettingsError("accounts.database lacks a host")
        self._reading = KeptConnection(target)
        self._write_target = write_target

    def fingerprint(self) -> object:
        """A digest of all rows, made by the server: about 60 ms for 100,000 accounts. Custom: the change_query's value.

        Without a change_query it is a new value each time, so that all rows are read at each check.
        """
        sql = self._statements.change
        if not sql:
            return object()
        return self.run(lambda connection: (*_stream(connection, sql), *self._alias_domains(connection)))

    def _collect(self) -> Accounts:
        return self.run(self._collect_from)

    def _collect_from(self, connection: Connection) -> Accounts:
        statements = self._statements
        names: list[str] = []
        rows = _stream(connection, statements.users, names)
        if not statements.table:
            first = list(islice(rows, 1))  # the names are known with the first row
            self.reader, rows = RowReader(shape_of(names)), chain(first, rows)
        collector = RowCollector(self.reader)
        collector.add_users(rows)
        if statements.aliases:
            collector.add_aliases(_stream(connection, statements.aliases), statements.own_rows)
        collector.add_alias_domains(self._alias_domains(connection))
        return collector.result()

    def _alias_domains(self, connection: Connection) -> list[Row]:
        """The rows of alias domains; none where there is no such table, or it may not be read."""
        if not self._statements.domains:
            return []
        try:
            return list(_stream(connection, self._statements.domains))
        except pymysql.Error as error:
            if code_of(error) not in _NO_TABLE:
                raise
            return []

    def _rows(self, sql: str) -> list[Row]:
        return self.run(lambda connection: list(_stream(connection, sql)))

    def run(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` on the reading connection. Raises DatabaseError."""
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
        if (
            code_of(error) == ER.BAD_FIELD_ERROR
            and self._statements.table == "virtual_users"
            and "'email'" in text_of(error)
        ):
            return old_tables(where)
        if code_of(error) == ER.BAD_FIELD_ERROR and limit and f"'{limit}'" in text_of(error):
            return missing_limit(where, self._statements)
        return trouble(where, text_of(error))

    def _explain_write(self, error: pymysql.Error, where: str) -> DatabaseError:
        if code_of(error) in _MAY_NOT:
            return may_not_write(where, text_of(error))
        return self._explain(error, where)

    def close(self) -> None:
        """Close the reading connection; the next use opens a new one."""
        self._reading.close()


class KeptConnection:
    """A connection that is opened when it is needed and kept for the next time."""

    def __init__(self, target: Target) -> None:
        self.where = ""
        self._target = target
        self._host = 0  # number of the host that worked last
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do the work; once more from the start on a new connection where the kept one turns out to be dead.

        Raises DatabaseError where no host answers, pymysql.Error for an error of the server.
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
            self.close()  # rows may still be on their way; on this connection they would be taken for the next answer
            raise

    def close(self) -> None:
        """Close the connection; run() opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _close(connection)


def _connect(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    try:
        return connect_any(target, first, **options)
    except NoHostError as error:
        raise DatabaseError("; ".join(str(trouble(where, reason)) for where, reason in error.failures)) from error


class _Transaction:
    """A Transaction (core/accounts/writing.py) in MySQL."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prepare(self) -> None:
        # Without strict mode the server stores the nearest value that fits and reports success.
        # By default it waits 50 s for a locked row, and 8 h for the rest of a transaction when the network is cut after
        # its UPDATE. For so long the row would be locked, and what came of the change could not be looked up.
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
            waits = "SET SESSION innodb_lock_wait_timeout = %s, SESSION wait_timeout = %s"
            cursor.execute(waits, (LOCK_SECONDS, IDLE_SECONDS))

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


def _stream(connection: Connection, sql: str, names: list[str] | None = None) -> Iterator[Row]:
    """The rows of a SELECT; ``names`` gets those of its columns, with the first row."""
    cursor = connection.cursor(_Rows)
    try:
        cursor.execute(sql)
        if names is not None:
            names += [column[0] for column in cursor.description or ()]
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows
    finally:
        cursor.drop()
        cursor.close()


def _commit(connection: Connection, where: str) -> None:
    """Commit. Where the connection breaks meanwhile, the error says that the outcome is not known."""
    try:
        connection.commit()
    except pymysql.Error as error:
        if code_of(error) in CONFLICTS:
            raise
        raise UnclearError(
            str(trouble(where, f"{text_of(error)}; whether limits were changed is not known"))
        ) from error


def _close(connection: Connection) -> None:
    with contextlib.suppress(pymysql.Error, OSError):
        connection.close()
