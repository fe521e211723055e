"""Connecting to MySQL or MariaDB, one host after the other, each within CONNECT_SECONDS; and transactions that meet."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import pymysql
from pymysql.constants import ER, FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import Cursor

CONNECT_SECONDS = 3
READ_SECONDS = 10
WRITE_SECONDS = 10

T = TypeVar("T")
Kind = Literal["mysql", "sqlite"]
Connection: TypeAlias = "pymysql.Connection[Cursor]"

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


# Another transaction was faster: a deadlock, a wait for a locked row that took too long, and (MariaDB 11.6 and newer,
# innodb_snapshot_isolation) a row that was changed since this transaction first looked.
MET_ANOTHER = frozenset({ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD})
_TIMES_AGAIN = 3
_PAUSE = 0.05  # seconds before the second try, twice as long before each further one, give or take a half


@dataclass(frozen=True, slots=True)
class Target:
    """Where a database is, and as whom to go there.

    mysql: ``hosts`` are tried in order; a host with a leading slash is the path of a unix socket, its port unused.
    sqlite: only ``path`` counts.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    path: Path | None = None


class NoHostError(Exception):
    """No host of a target let us in; ``failures`` are the places and what was said there."""

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {reason}" for where, reason in failures))
        self.failures = failures


def connect_any(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    """A connection to one of the hosts, its name, and its number; ``first`` is the number to begin with.

    Rows are bytes and numbers unless ``options`` say otherwise. Raises NoHostError.
    """
    failed = []
    for number in [first, *(number for number in range(len(target.hosts)) if number != first)]:
        host, port = target.hosts[number]
        where = f"{host if host.startswith('/') else f'{host}:{port}'}/{target.database}"
        try:
            return _connect(target, host, port, **options), where, number
        except _CONNECT_ERRORS as error:
            failed.append((where, text_of(error)))
    raise NoHostError(failed)


def _connect(target: Target, host: str, port: int, **options: Any) -> Connection:
    connection: Connection = pymysql.Connection(
        host=host,
        port=port,
        ssl_disabled=host.startswith("/"),  # else TLS if the server can; making ready for it takes 20 ms
        user=target.user,
        password=target.password.encode(),  # a str would be sent as Latin-1
        database=target.database,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        write_timeout=WRITE_SECONDS,
        program_name="mailquota",
        defer_connect=True,
        **{"use_unicode": False, "conv": _CONVERTERS, **options},
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


def again_where_it_met_another(connection: Connection, work: Callable[[], T]) -> T:
    """The result of ``work`` in a transaction, which ``work`` commits; all of it is done again, three times at most,
    where that met another one. Raises the pymysql.Error of the last try; after any error nothing of it stays."""
    tries = 0
    while True:
        try:
            connection.begin()
            return work()
        except BaseException as error:  # whatever ends it, nothing of it stays
            with suppress(pymysql.Error, OSError):
                connection.rollback()  # after a wait that took too long the server has not done it by itself
            if tries == _TIMES_AGAIN or code_of(error) not in MET_ANOTHER:
                raise
        time.sleep(_PAUSE * 2**tries * random.uniform(0.5, 1.5))
        tries += 1


def code_of(error: BaseException) -> int:
    """The number of what the server or the driver said, -1 where there is none."""
    told = isinstance(error, pymysql.Error) and error.args
    return error.args[0] if told and isinstance(error.args[0], int) else -1


def text_of(error: BaseException) -> str:
    """What the server or the driver said; the password is in none of it."""
    cause = getattr(error, "original_exception", error)  # PyMySQL's, of a connection that failed
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return str(error.args[1]) if len(error.args) > 1 else str(error)
