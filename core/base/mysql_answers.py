"""What a server of MySQL answers: bounded in bytes and time, and where it can't be understood, an error of the server.

PyMySQL waits for each part of an answer anew, so a server that sends a byte now and then would hold a thread for ever.
It keeps whatever comes, so one that sends without end would take all memory. And for what no MySQL server sends it
raises what Python raises, which would look like a fault of mailquota.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR
from pymysql.cursors import Cursor
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

LOGIN_SECONDS = 10.0  # for all of a login
ANSWER_SECONDS = 60.0  # for all of an answer; 100,000 accounts take a second
MOST_BYTES = 256 * 1024 * 1024  # of an answer; 100,000 accounts have some 10 MB
LONGEST_PACKET = 16 * 1024 * 1024  # of a row, among others
_MOST_COLUMNS = 4096  # of a table of MySQL
_ODD = (RuntimeError, ValueError, LookupError, ArithmeticError, TypeError, AssertionError, struct.error)

if TYPE_CHECKING:
    _Connection = pymysql.Connection[Cursor]
else:
    _Connection = pymysql.Connection


@contextmanager
def understood() -> Iterator[None]:
    """Raise OperationalError for what PyMySQL raises where an answer is none of a MySQL server."""
    try:
        yield
    except _ODD as error:
        raise odd_answer(f"{type(error).__name__}: {error}") from error


def odd_answer(text: str) -> pymysql.OperationalError:
    """The error for an answer that no MySQL server gives."""
    return pymysql.OperationalError(CR.CR_MALFORMED_PACKET, f"the server's answer can't be used: {text}")


class BoundedConnection(_Connection):
    """A connection of PyMySQL that reads only so much, and waits only so long, for an answer."""

    _rfile: Any
    _until = 0.0  # time.monotonic() when the answer has to be complete
    _bytes = 0  # of this answer so far
    _packet = 0  # of this packet so far
    _columns = 0

    def connect(self, sock: Any = None) -> None:
        """As PyMySQL's, but within LOGIN_SECONDS."""
        self._expect(LOGIN_SECONDS)
        super().connect(sock)

    def _expect(self, seconds: float) -> None:
        self._until, self._bytes, self._columns = time.monotonic() + seconds, 0, 0

    def _execute_command(self, command: int, sql: Any) -> None:
        self._expect(ANSWER_SECONDS)
        super()._execute_command(command, sql)  # type: ignore[misc] # not in the stubs

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        with understood():
            return super()._read_query_result(unbuffered)  # type: ignore[misc]

    def _read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        self._packet = 0
        self._columns += packet_type is FieldDescriptorPacket
        if self._columns > _MOST_COLUMNS:
            self._give_up("it has too many columns")
        return super()._read_packet(packet_type)  # type: ignore[no-untyped-call]

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._bytes += num_bytes
        self._packet += num_bytes
        if self._packet > LONGEST_PACKET or self._bytes > MOST_BYTES:
            self._give_up("it is too long")
        data = b""
        while len(data) < num_bytes:
            if time.monotonic() > self._until:
                self._give_up("it takes too long")
            part = self._part(num_bytes - len(data))
            if not part:
                self._lose("")
            data = data + part if data else part
        return data

    def _part(self, most: int) -> bytes:
        try:
            part: bytes = self._rfile.read1(most)
        except OSError as error:
            self._lose(f" ({error})")
        return part

    def _give_up(self, why: str) -> None:
        self._force_close()  # type: ignore[attr-defined]
        raise odd_answer(why)

    def _lose(self, why: str) -> None:
        self._force_close()  # type: ignore[attr-defined]
        raise pymysql.OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query{why}")
