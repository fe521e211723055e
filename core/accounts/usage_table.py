"""The table in the accounts database in which Dovecot keeps the usage of mailboxes, or a copy of it. Only read.

Dovecot's dict quota, its plugin quota_clone and PostfixAdmin's quota2 have the same columns: ``username``, ``bytes``
and ``messages``. The name of the table is found by looking for these columns, unless Dovecot's settings name it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pymysql
from pymysql.constants import ER

from ..base.errors import DatabaseError
from ..base.mysql import Connection, Target
from .mysql import MysqlStore
from .rows import Row, address_of, text_of
from .sqlite import SqliteStore
from .store import HIGHEST_LIMIT

TABLES = ("quota2", "quota", "used_quota")  # PostfixAdmin's and mailcow's, Dovecot's own example, iRedMail's
_COLUMNS = frozenset({"username", "bytes", "messages"})


class UsageRow(NamedTuple):
    """The usage of an address in the table."""

    address: str
    used: int  # bytes
    messages: int


class TableColumns(NamedTuple):
    """A table of another name, and its columns for address, bytes and messages. All are plain words of SQL."""

    table: str
    address: str
    used: str
    messages: str


_USUAL = TableColumns("", "username", "bytes", "messages")


class UsageTable(ABC):
    """The table, read over a separate connection, by one thread at a time. Its methods raise DatabaseError."""

    columns: str  # the statement that lists table and column names of the tables in TABLES
    parameter: str  # the address, as the driver's parameter

    def __init__(self, names: TableColumns | None) -> None:
        self._names = names or _USUAL
        self._table = self._names.table
        self._row = f"SELECT {self._names.address}, {self._names.used}, {self._names.messages} FROM {{table}}"

    def everybody(self) -> Iterable[UsageRow]:
        """All valid rows; there is one for each address."""
        return filter(None, map(_row, self._ask(self._row, {})))

    def one(self, address: str) -> UsageRow | None:
        """The row of an address; None without a valid one."""
        sql = f"{self._row} WHERE {self._names.address} = {self.parameter}"
        rows = map(_row, self._ask(sql, {"address": address}))
        return next((row for row in rows if row is not None and row.address == address), None)

    def _ask(self, sql: str, values: Mapping[str, object]) -> list[Row]:
        if not self._table:
            self._table = self._find()
        try:
            return self._rows(sql.format(table=self._table), values)
        except DatabaseError:
            self._table = self._names.table  # another one may have been renamed: search again next time
            raise

    def _find(self) -> str:
        found: dict[str, set[str]] = {}
        for row in self._rows(self.columns, {}):
            table, column = (text_of(value) or "" for value in row)
            found.setdefault(table, set()).add(column.lower())
        for table in TABLES:
            if found.get(table, set()) >= _COLUMNS:
                return table
        names = ", ".join(TABLES)
        raise DatabaseError(f"accounts database: none of the tables {names} has username, bytes and messages")

    @abstractmethod
    def _rows(self, sql: str, values: Mapping[str, object]) -> list[Row]:
        """The rows of a statement. Raises DatabaseError."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; the next call opens a new one."""


_NAMES = ", ".join(f"'{table}'" for table in TABLES)


class MysqlUsageTable(UsageTable):
    """The table in MySQL or MariaDB."""

    columns = (
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS"
        f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({_NAMES})"
    )
    parameter = "%(address)s"

    def __init__(self, target: Target, names: TableColumns | None = None) -> None:
        super().__init__(names)
        self._store = MysqlStore(target, target, "ispmail", None)

    def _rows(self, sql: str, values: Mapping[str, object]) -> list[Row]:
        return self._store.run(lambda connection: _fetch(connection, sql, values))

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._store.close()


def _fetch(connection: Connection, sql: str, values: Mapping[str, object]) -> list[Row]:
    with connection.cursor() as cursor:
        try:
            cursor.execute(sql, values or None)
        except pymysql.Error as error:
            if values and error.args and error.args[0] == ER.CANT_AGGREGATE_2COLLATIONS:
                return []  # the column's character set lacks a letter of the address, so no row has it
            raise
        return list(cursor.fetchall())


class SqliteUsageTable(UsageTable):
    """The table in a SQLite file."""

    columns = (
        "SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c"
        f" WHERE m.type IN ('table', 'view') AND m.name IN ({_NAMES})"
    )
    parameter = ":address"

    def __init__(self, target: Target, names: TableColumns | None = None) -> None:
        super().__init__(names)
        self._store = SqliteStore(target, target, "ispmail", None)

    def _rows(self, sql: str, values: Mapping[str, object]) -> list[Row]:
        return self._store.run(lambda connection: connection.execute(sql, values).fetchall())

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._store.close()


def open_usage_table(target: Target, names: TableColumns | None = None) -> UsageTable:
    """The table of a database, one of the usual names unless given; it connects when it is first used."""
    return MysqlUsageTable(target, names) if target.kind == "mysql" else SqliteUsageTable(target, names)


def _row(row: Row) -> UsageRow | None:
    """A valid row. Numbers below zero are not valid; Dovecot discards them, too."""
    address, used, messages = address_of(row[0]), _number(row[1]), _number(row[2])
    return None if address is None or used is None or messages is None else UsageRow(address, used, messages)


def _number(value: object) -> int | None:
    try:
        number = int(value)  # type: ignore[call-overload]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= HIGHEST_LIMIT else None
