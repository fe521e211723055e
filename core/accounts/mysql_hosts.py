"""Connecting to MySQL or MariaDB: one host after the other, each within CONNECT_SECONDS."""

from __future__ import annotations

import socket
import struct
from decimal import Decimal
from typing import Any, TypeAlias

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import encoders
from pymysql.cursors import Cursor

from core.accounts.base import trouble
from core.accounts.store import Target
from core.errors import DatabaseError

CONNECT_SECONDS = 3
READ_SECONDS = 10
WRITE_SECONDS = 10

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


def connect_any(target: Target, first: int, **options: Any) -> tuple[Connection, str, int]:
    """A connection to one of the hosts, its name, and its number; ``first`` is the number to begin with."""
    failed = []
    for number in [first, *(number for number in range(len(target.hosts)) if number != first)]:
        host, port = target.hosts[number]
        where = f"{host if host.startswith('/') else f'{host}:{port}'}/{target.database}"
        try:
            return _connect(target, host, port, **options), where, number
        except _CONNECT_ERRORS as error:
            failed.append(trouble(where, text_of(error)))
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


def text_of(error: BaseException) -> str:
    """What the server or the driver said; the password is in none of it."""
    cause = getattr(error, "original_exception", error)  # PyMySQL's, of a connection that failed
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    return str(error.args[1]) if len(error.args) > 1 else str(error)
