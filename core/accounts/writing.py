"""Changes limits, in the same way for every database and schema.

For each address: find its one row, check that the limit is the expected one and that the new one fits, write it, and
read it back. It is read back because a view, a trigger, or a set_query with another unit may have stored another value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..base.errors import DatabaseError, MailquotaError, NoSuchAccountError
from ..base.units import MOST_MESSAGES
from .reader import RowReader
from .rows import Row, address_of, text_of
from .schema import Statements
from .store import ANY, HIGHEST_LIMIT, LimitChange, LimitChangedError, LimitResult

# Custom schemas may keep limits in MiB, so that a limit is rounded when it is read back.
ROUNDING = 1024**2

_HIGHEST = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "mediumint": 2**23 - 1, "int": 2**31 - 1, "bigint": 2**63 - 1}


class Transaction(Protocol):
    """A transaction on the writing connection."""

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> Iterable[Row]:
        """The rows of a statement."""

    def change(self, sql: str, values: Mapping[str, object]) -> int:
        """Run an UPDATE. Returns the number of rows that it matched, also those that had the value already."""


class LimitRow(NamedTuple):
    """The row of an account: ``spelling`` is its address as the database has it; ``limit`` in bytes."""

    spelling: str
    limit: int | None
    messages: int | None = None  # the limit of messages


class ColumnType(NamedTuple):
    """The type of the column of limits, and the largest limit that fits, in bytes."""

    type: str
    highest: int


class AccountTable(Protocol):
    """The table, or the queries, with the rows of accounts."""

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address."""

    def write(self, found: LimitRow, new: LimitRow, sql: str) -> None:
        """Give a row new limits, by a statement. Raises MailquotaError where the database has others afterwards."""

    def finish(self) -> None:
        """Called once after the last change. An error that it raises rolls back all of them."""


def change_limits(
    session: Transaction, statements: Statements, reader: RowReader, changes: Sequence[LimitChange]
) -> list[LimitResult]:
    """Change limits in a transaction, which the caller commits, or rolls back after an error. One result each.

    Raises DatabaseError; an error that is about one address only is in its result.
    """
    if not statements.update:
        raise MailquotaError("limits can't be changed: accounts.set_query is empty")
    column = find_column(session, statements)
    made = KnownTable if statements.find else CustomTable
    table: AccountTable = made(session, statements, reader)
    results = [_try(table, change, column, statements) for change in changes]
    table.finish()
    return results


def find_column(session: Transaction, statements: Statements) -> ColumnType | None:
    """The type of the column of limits; None where it does not say what fits."""
    return column_of(session.rows(statements.column_type)) if statements.column_type else None


def column_of(answer: Iterable[Row]) -> ColumnType | None:
    """The type of a column from the row with its name (``int(11) unsigned``); None where it does not say what fits."""
    rows = list(answer)
    text = text_of(rows[0][0]) if rows else None
    highest = _HIGHEST.get(re.split(r"\W", text)[0]) if text else None
    if text is None or highest is None:
        return None
    return ColumnType(text, highest * 2 + 1 if "unsigned" in text else highest)


def _try(table: AccountTable, change: LimitChange, column: ColumnType | None, statements: Statements) -> LimitResult:
    try:
        return LimitResult(change.address, _change(table, change, column, statements))
    except DatabaseError:
        raise  # the transaction failed, for all addresses
    except MailquotaError as error:
        return LimitResult(change.address, None, error)


def _change(table: AccountTable, change: LimitChange, column: ColumnType | None, statements: Statements) -> int | None:
    limit = change.limit or None
    address = address_of(change.address)
    if address is None:
        raise NoSuchAccountError(_shown(change.address))
    if change.messages:
        _check_messages(limit, statements)
    else:
        _check_fits(limit, column, statements)
    found = _only(table.find(address), address)
    old = found.messages if change.messages else found.limit
    if change.expect is not ANY and old != (change.expect or None):
        raise LimitChangedError(address, old, "messages" if change.messages else "bytes")
    if change.messages:
        table.write(found, found._replace(messages=limit), statements.update_messages)
    else:
        table.write(found, found._replace(limit=limit), statements.update)
    return old


def _check_messages(limit: int | None, statements: Statements) -> None:
    if not statements.update_messages:
        raise MailquotaError(
            f"the accounts database has no limits of messages: Dovecot takes none from a column of {statements.table}"
            if statements.table
            else "limits of messages can't be changed: accounts.set_query has no %(messages)s"
        )
    if limit is not None and not 0 < limit <= MOST_MESSAGES:
        raise MailquotaError(f"a limit of {limit} messages is not possible")


def _shown(text: str) -> str:
    """Text that is no address, for a message: in ASCII with escapes, and cut where it is long."""
    return ascii(text)[1:-1][:80]


def _check_fits(limit: int | None, column: ColumnType | None, statements: Statements) -> None:
    if limit is None:
        return
    if not 0 < limit <= HIGHEST_LIMIT:
        raise MailquotaError(f"a limit of {limit} bytes is not possible")
    if column and limit > column.highest:
        name = f"{statements.table}.{statements.limit}"
        raise MailquotaError(
            f"a limit of {limit} bytes does not fit: {name} is {column.type} and holds at most {column.highest};"
            f" change it with: {statements.widen}"
        )


def _only(found: list[LimitRow], address: str) -> LimitRow:
    if not found:
        raise NoSuchAccountError(address)
    if len(found) > 1:
        raise MailquotaError(f"{address} is in the database {len(found)} times: remove all but one row")
    return found[0]


class KnownTable:
    """The table of schema ispmail or postfixadmin: each address is looked up by the index."""

    def __init__(self, session: Transaction, statements: Statements, reader: RowReader) -> None:
        self._session = session
        self._statements = statements
        self._reader = reader

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address, locked for the transaction.

        Where the database spells it otherwise, as " John@Example.org", all rows are compared.
        """
        found = self._look_up(address, address)
        if found:
            return found
        odd = self._session.rows(self._statements.find_loosely, {"address": address})
        spellings = {text for row in odd if (text := text_of(row[0])) is not None}
        # By the column's collation, one spelling may also match the row of another one: hence the set.
        return list({row for spelling in spellings for row in self._look_up(spelling, address)})

    def _look_up(self, spelling: str, address: str) -> list[LimitRow]:
        rows = self._session.rows(self._statements.find, {"address": spelling})
        return list(_matching(rows, {address}, self._reader).get(address, ()))

    def write(self, found: LimitRow, new: LimitRow, sql: str) -> None:
        """Set the limit of exactly this row, and read it back."""
        count = self._session.change(sql, _values(new))
        if count != 1:
            raise DatabaseError(f"changing the limit of {found.spelling} matched {count} rows instead of one")
        now = self._look_up(found.spelling, address_of(found.spelling) or "")
        messages = sql == self._statements.update_messages  # what was not set may have another cause to be another one
        if len(now) != 1 or (now[0].messages != new.messages if messages else now[0].limit != new.limit):
            raise DatabaseError(f"{self._statements.table} has another limit for {found.spelling} after the change")

    def finish(self) -> None:
        """Does nothing: write() has checked each row."""


class CustomTable:
    """Schema custom. Only users_query gives rows, all of them: it is run once before and once after all changes."""

    def __init__(self, session: Transaction, statements: Statements, reader: RowReader) -> None:
        self._session = session
        self._statements = statements
        self._reader = reader
        self._rows: dict[str, list[LimitRow]] | None = None
        self._written: dict[str, LimitRow] = {}

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address, with the limits before the changes, or as write() set them."""
        if self._rows is None:
            self._rows = self._read()
        return self._rows.get(address, [])

    def _read(self, wanted: set[str] | None = None) -> dict[str, list[LimitRow]]:
        return _matching(self._session.rows(self._statements.users), wanted, self._reader)

    def write(self, found: LimitRow, new: LimitRow, sql: str) -> None:
        """Set the limits by set_query; finish() checks them."""
        count = self._session.change(sql, _values(new))
        if not count:
            raise MailquotaError(f"accounts.set_query changed nothing for {found.spelling}")
        address = address_of(found.spelling) or ""
        self._written[address] = new
        if self._rows:
            self._rows[address] = [new]

    def finish(self) -> None:
        """Check that users_query gives the limits that were set; the MailquotaError else rolls back all changes."""
        now = self._read(set(self._written)) if self._written else {}
        for address, new in self._written.items():
            found = now.get(address, [])
            if len(found) != 1 or not _about_equal(found[0].limit, new.limit):
                raise MailquotaError(
                    f"accounts.set_query was to set the limit of {address} to {new.limit or 0} bytes, but"
                    f" accounts.users_query gives {', '.join(str(one.limit or 0) for one in found) or 'no row'} then"
                )
            if found[0].messages != new.messages:
                raise MailquotaError(
                    f"accounts.set_query was to set the limit of {address} to {new.messages or 0} messages,"
                    f" but accounts.users_query gives {found[0].messages or 0} then"
                )


def _values(row: LimitRow) -> dict[str, object]:
    """The parameters of a statement; 0 is unlimited."""
    return {"limit": row.limit or 0, "messages": row.messages or 0, "address": row.spelling}


def _about_equal(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < ROUNDING


def _matching(rows: Iterable[Row], wanted: set[str] | None, reader: RowReader) -> dict[str, list[LimitRow]]:
    """The rows by address, of the wanted addresses or of all. Rows without a valid address are left out."""
    found: dict[str, list[LimitRow]] = {}
    for row in rows:
        address = address_of(row[0])
        spelling = text_of(row[0])
        if address is None or spelling is None or not (wanted is None or address in wanted):
            continue
        limit, messages, _ = reader.limits(row)
        found.setdefault(address, []).append(LimitRow(spelling, limit, messages))
    return found
