"""Accounts in MySQL or MariaDB.

Theory of operation: the reading connection is kept, in autocommit, as a transaction would go on showing the rows as
they were at its start. When it turns out to be dead (server restarted, wait_timeout, a firewall that forgot it), the
work is done once more on a new one. A new one is tried at the host that worked last, then at the others in order.
A change of limits has a connection of its own, from the first host on, as that is the one to write to in a replicated
set.

Everything here blocks, for at most about CONNECT_SECONDS a host and READ_SECONDS a packet.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

import pymysql
from pymysql.constants import CLIENT, CR, ER, FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import Cursor, SSCursor

from core.accounts.base import SqlStore, may_not_write, missing_limit, trouble
from core.accounts.limits import Session
from core.accounts.rows import Collector, Row
from core.accounts.schema import make_statements
from core.accounts.store import Accounts, LimitResult, Queries, Schema, Target
from core.errors import DatabaseError, SettingsError

CONNECT_SECONDS = 3
READ_SECONDS = 10
WRITE_SECONDS = 10
LOCK_SECONDS = 5  # below READ_SECONDS, so that the server's own words about a locked row arrive
ROWS_AT_ONCE = 1000

Connection: TypeAlias = "pymysql.Connection[Cursor]"
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
# PyMySQL lets these through when what answers is no MySQL server, or wants a login that it can't do.
_CONNECT_ERRORS = (pymysql.Error, OSError, RuntimeError, ValueError, LookupError, struct.error)
# PyMySQL's own converters expect text, and all text is bytes here, for rows.py to decode.
_INTEGERS = (FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG)
_CONVERTERS: dict[Any, Any] = {
    **encoders,
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys((FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE), float),
    **dict.fromkeys((FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL), lambda digits: Decimal(digits.decode())),
}


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
        return self._run(lambda connection: tuple(_stream(connection, sql))) if sql else object()

    def _collect(self) -> Accounts:
        return self._run(self._collect_from)

    def _collect_from(self, connection: Connection) -> Accounts:
        statements = self._statements
        collector = Collector()
        collector.add_users(_stream(connection, statements.users))
        if statements.aliases:
            collector.add_aliases(_stream(connection, statements.aliases), statements.own_rows)
        return collector.result()

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._reading.run(work)
        except pymysql.Error as error:
            raise self._explain(error, self._reading.where) from error

    def _transact(self, work: Callable[[Session], list[LimitResult]]) -> list[LimitResult]:
        connection, where = _connect_any(self._write_target, 0, client_flag=CLIENT.FOUND_ROWS)[:2]
        try:
            session = _Session(connection)
            session.begin()
            results = work(session)
            _commit(connection, where)
        except pymysql.Error as error:
            raise self._explain_write(error, where) from error
        finally:
            _close(connection)  # without a commit the server rolls back
        return results

    def _explain(self, error: pymysql.Error, where: str) -> DatabaseError:
        limit = self._statements.limit
        if _code(error) == ER.BAD_FIELD_ERROR and limit and f"'{limit}'" in _text(error):
            return missing_limit(where, self._statements)
        return trouble(where, _text(error))

    def _explain_write(self, error: pymysql.Error, where: str) -> DatabaseError:
        if _code(error) in _MAY_NOT:
            return may_not_write(where, _text(error))
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
            if not kept or _code(error) not in _LOST:
                raise
        return self._attempt(work)

    def _attempt(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection, self.where, self._host = _connect_any(self._target, self._host)
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


class _Session:
    """A transaction; see limits.Session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        # Strict, as the server may else store the nearest possible value and call it a success.
        # The default wait for a locked row is 50 s.
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
            cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (LOCK_SECONDS,))
        self._connection.begin()

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> list[Row]:
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(sql, values)
            except pymysql.Error as error:
                if values and _code(error) == ER.CANT_AGGREGATE_2COLLATIONS:
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


def _connect_any(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    """A connection to one of the hosts, its name, and its number; ``first`` is the number to begin with."""
    failed = []
    for number in [first, *(number for number in range(len(target.hosts)) if number != first)]:
        host, port = target.hosts[number]
        where = f"{host if host.startswith('/') else f'{host}:{port}'}/{target.database}"
        try:
            return _connect(target, host, port, **options), where, number
        except _CONNECT_ERRORS as error:
            failed.append(trouble(where, _text(error)))
    raise DatabaseError("; ".join(str(error) for error in failed))


def _connect(target: Target, host: str, port: int, **options: Any) -> Connection:
    connection = pymysql.Connection(
        host=host,
        port=port,
        ssl_disabled=host.startswith("/"),  # else TLS if the server can; making ready for it takes 20 ms
        user=target.user,
        password=target.password.encode(),  # a str would be sent as Latin-1
        database=target.database,
        charset="utf8mb4",
        use_unicode=False,
        conv=_CONVERTERS,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        write_timeout=WRITE_SECONDS,
        program_name="mailquota",
        defer_connect=True,
        **options,
    )
    if host.startswith("/"):
        # PyMySQL leaves its own socket open when the server's file is not there.
        connection._secure = True  # type: ignore[attr-defined] # what PyMySQL sets for a unix socket: passwords may go over it
        connection.connect(_connect_unix(host))
    else:
        connection.connect()
    return connection


def _connect_unix(path: str) -> socket.socket:
    connecting = socket.socket(socket.AF_UNIX)
    connecting.settimeout(CONNECT_SECONDS)
    try:
        connecting.connect(path)
    except OSError:
        connecting.close()
        raise
    return connecting


def _commit(connection: Connection, where: str) -> None:
    """A connection that breaks just now leaves open what became of the changes."""
    try:
        connection.commit()
    except pymysql.Error as error:
        raise trouble(where, f"{_text(error)}; whether limits were changed is not known") from error


def _close(connection: Connection) -> None:
    with contextlib.suppress(pymysql.Error, OSError):
        connection.close()


def _code(error: BaseException) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else -1


def _text(error: BaseException) -> str:
    """What the server or the driver said; the password is in none of it."""
    cause = getattr(error, "original_exception", error)  # PyMySQL's, of a connection that failed
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return str(error.args[1]) if len(error.args) > 1 else str(error)
