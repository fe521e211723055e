"""Connects to MySQL or MariaDB, one host after the other, and repeats transactions that conflict with others."""

from __future__ import annotations

import random
import socket
import ssl
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

from .mysql_login import GuardedConnection, login_fault, tls_of

CONNECT_SECONDS = 3
READ_SECONDS = 10
WRITE_SECONDS = 10

T = TypeVar("T")
Kind = Literal["mysql", "sqlite"]
Connection: TypeAlias = "pymysql.Connection[Cursor]"

# What PyMySQL raises where the server is no MySQL server, or asks for a kind of login that PyMySQL does not know.
_CONNECT_ERRORS = (pymysql.Error, OSError, RuntimeError, ValueError, LookupError, struct.error)
# PyMySQL's own converters expect text. Here all text is bytes: rows.py decodes it row by row, see there.
_INTEGERS = (FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG)
_CONVERTERS: dict[Any, Any] = {
    **encoders,
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys((FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE), float),
    **dict.fromkeys((FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL), lambda digits: Decimal(digits.decode())),
}


# Conflicts with another transaction: a deadlock, a wait for a locked row that took too long, and (MariaDB 11.6 and
# newer, innodb_snapshot_isolation) a row that was changed since this transaction first read it.
CONFLICTS = frozenset({ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD})
_TIMES_AGAIN = 3
_PAUSE = 0.05  # seconds before the second try, doubled before each further one, times a random 0.5 to 1.5


@dataclass(frozen=True, slots=True)
class Target:
    """A database to connect to, with its password.

    mysql: ``hosts`` with ports are tried in order; a host with a leading slash is the path of a UNIX socket, and its
    port is not used. sqlite: only ``path`` counts.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    path: Path | None = None
    ssl_ca: str = ""  # file of certificates that a server reached by TCP has to be known by


class NoHostError(Exception):
    """No host of a target could be connected to; ``failures`` are pairs of host/database and reason."""

    def __init__(self, failures: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {reason}" for where, reason in failures))
        self.failures = failures


def connect_any(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    """Connect to one of the hosts: the connection, its name for messages, and the number of the host.

    ``first`` is the number of the host to try first. Each host has CONNECT_SECONDS. Rows have bytes for text, and
    numbers, unless ``options`` (PyMySQL's) say otherwise. Raises NoHostError.
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
    """Log in at one host. TLS is used if the server offers it, and demanded where the target has ``ssl_ca``.

    Over a UNIX socket it would only cost 20 ms, so there it is used only where the account may not log in without
    (REQUIRE SSL): the server then says no more than that access is denied.
    """
    if not host.startswith("/"):
        return _log_in(target, host, port, tls=True, **options)
    try:
        return _log_in(target, host, port, tls=False, **options)
    except pymysql.Error as error:
        if code_of(error) != ER.ACCESS_DENIED_ERROR:
            raise
        return _log_in(target, host, port, tls=True, **options)


def _log_in(target: Target, host: str, port: int, *, tls: bool, **options: Any) -> Connection:
    connection = GuardedConnection(
        host=host,
        port=port,
        ssl=tls_of("" if host.startswith("/") else target.ssl_ca) if tls else None,
        ssl_disabled=not tls,
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
        # The socket is made here because PyMySQL leaves its own one open where the server's file is missing.
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


def retry_on_conflict(connection: Connection, work: Callable[[], T]) -> T:
    """The result of ``work`` in a transaction, which ``work`` itself commits.

    After a conflict with another transaction all of it is done again, at most three times. Raises the pymysql.Error of
    the last try; after any error the transaction is rolled back.
    """
    tries = 0
    while True:
        try:
            connection.begin()
            return work()
        except BaseException as error:  # also for an interrupt: roll back, then raise it on
            with suppress(pymysql.Error, OSError):
                connection.rollback()  # after a lock wait timeout the server does not roll back by itself
            if tries == _TIMES_AGAIN or code_of(error) not in CONFLICTS:
                raise
        time.sleep(_PAUSE * 2**tries * random.uniform(0.5, 1.5))
        tries += 1


def code_of(error: BaseException) -> int:
    """The error number of the server or of PyMySQL, -1 where there is none."""
    has_number = isinstance(error, pymysql.Error) and error.args
    return error.args[0] if has_number and isinstance(error.args[0], int) else -1


def text_of(error: BaseException) -> str:
    """The message of the server or of PyMySQL; neither contains the password.

    Where a package for the login is missing, or PyMySQL has no such login, the text says what is needed.
    """
    if fault := login_fault(error):
        return fault
    cause = getattr(error, "original_exception", error)  # PyMySQL's, of a connection that failed
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the server's certificate is not one that ssl_ca in the URL stands for: {cause.verify_message}"
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return str(error.args[1]) if len(error.args) > 1 else str(error)
