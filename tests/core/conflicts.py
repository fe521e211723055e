"""Two transactions that meet on a real MariaDB.

Somebody else's holds the row of B, and ours, which has changed A, waits for it. Then the other one wants A too (a
deadlock, error 1213), or takes too long (1205), or commits, so that B is another one than ours saw at first (1020, by
innodb_snapshot_isolation, which MariaDB 11.6 and newer have switched on).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pymysql

from tests.mailserver.mariadb import MariaDB

A, B = "a@example.org", "b@example.org"
WAYS = ["deadlock", "wait", "changed"]


@contextmanager
def as_in_11_6(server: MariaDB) -> Iterator[None]:
    """For connections that are made within the block."""
    server.sql("SET GLOBAL innodb_snapshot_isolation = ON")
    try:
        yield
    finally:
        server.sql("SET GLOBAL innodb_snapshot_isolation = DEFAULT")


class Other:
    """Somebody else's transaction; ``take`` changes the row of an address. The connection is closed at its end."""

    def __init__(
        self, server: MariaDB, connection: pymysql.Connection[Any], take: Callable[[Callable[..., int], str], object]
    ) -> None:
        self._server = server
        self._connection = connection
        self._cursor = connection.cursor()
        self._take = take
        self._cursor.execute("CREATE OR REPLACE TABLE weight (number INT)")

    def _who_waits(self, but: int = 0) -> int:
        """Until a transaction waits for a row that is not number ``but``; its number."""
        for _ in range(100):
            rows = self._server.sql("SELECT trx_id FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'")
            if found := [int(row["trx_id"]) for row in rows if int(row["trx_id"]) != but]:
                return found[0]
            time.sleep(0.15)  # who looks each tenth of a second sees what he saw at first: the server keeps it so long
        raise TimeoutError

    def meets(self, ours: Callable[[], Any], how: str) -> Any:
        """The result of ``ours``, which runs into this one. Raises what it raises."""
        results: list[Any] = []
        self._connection.begin()
        # it is the lighter of two that a deadlock ends
        self._cursor.execute("INSERT INTO weight SELECT seq FROM seq_1_to_1000")
        self._take(self._cursor.execute, B)
        thread = Thread(target=lambda: results.append(_outcome(ours)))
        thread.start()
        try:
            number = self._who_waits()
            if how == "deadlock":
                self._take(self._cursor.execute, A)
            elif how == "wait":
                self._who_waits(but=number)
            self._connection.commit()
        finally:
            self._connection.close()
            thread.join(30)
        (outcome,) = results
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 - raised where the test waits for it
        return error
