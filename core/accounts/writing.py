"""How limits are changed, the same for every database and schema.

For each address: find its one row, see that the limit is the expected one and fits, write it, and look whether it is
there. The look afterwards is for what nobody can know beforehand: a view, a trigger, a set_query with another unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from mailquota.core.accounts.rows import Row, address_of, limit_of, text_of
from mailquota.core.accounts.schema import Statements
from mailquota.core.accounts.store import ANY, HIGHEST_LIMIT, LimitChange, LimitChangedError, LimitResult
from mailquota.core.base.errors import DatabaseError, MailquotaError, NoSuchAccountError

# Other schemas count in MiB, so that a limit comes back rounded.
ROUNDING = 1024**2

_HIGHEST = {"tinyint": 2**7 - 1, "smallint": 2**15 - 1, "mediumint": 2**23 - 1, "int": 2**31 - 1, "bigint": 2**63 - 1}


class Transaction(Protocol):
    """A transaction on the writing connection."""

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> Iterable[Row]:
        """The rows that a statement gives."""

    def change(self, sql: str, values: Mapping[str, object]) -> int:
        """Run an UPDATE. Returns how many rows it found, also those that had the value already."""


class LimitRow(NamedTuple):
    """The row of an account: its address as the database spells it."""

    spelling: str
    limit: int | None


class ColumnType(NamedTuple):
    """The column of the limit, as far as its type is known."""

    type: str
    highest: int


class AccountTable(Protocol):
    """Where the rows of accounts are."""

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address."""

    def write(self, found: LimitRow, limit: int | None) -> None:
        """Change a row. Raises MailquotaError when the database has something else afterwards."""

    def finish(self) -> None:
        """Called once after the last change; may raise to take all of them back."""


def change_limits(session: Transaction, statements: Statements, changes: Sequence[LimitChange]) -> list[LimitResult]:
    """Change limits in the session's transaction, which the caller commits, or rolls back after an error."""
    if not statements.update:
        raise MailquotaError("limits can't be changed: accounts.set_query is empty")
    column = find_column(session, statements)
    table = KnownTable(session, statements) if statements.find else CustomTable(session, statements)
    results = [_try(table, change, column, statements) for change in changes]
    table.finish()
    return results


def find_column(session: Transaction, statements: Statements) -> ColumnType | None:
    """The column of the limit; None where its type says nothing about what fits."""
    return column_of(session.rows(statements.column_type)) if statements.column_type else None


def column_of(answer: Iterable[Row]) -> ColumnType | None:
    """The same from what the database says about its type."""
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
        raise  # the transaction is gone, for all
    except MailquotaError as error:
        return LimitResult(change.address, None, error)


def _change(table: AccountTable, change: LimitChange, column: ColumnType | None, statements: Statements) -> int | None:
    limit = change.limit or None
    address = address_of(change.address)
    if address is None:
        raise NoSuchAccountError(_shown(change.address))
    _check_fits(limit, column, statements)
    found = _only(table.find(address), address)
    if change.expect is not ANY and found.limit != (change.expect or None):
        raise LimitChangedError(address, found.limit)
    table.write(found, limit)
    return found.limit


def _shown(text: str) -> str:
    """Text that is no address, for a message: hostile bytes as escapes, and not all of a long one."""
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
    """Tables whose names we know: one look-up an address, by the index."""

    def __init__(self, session: Transaction, statements: Statements) -> None:
        self._session = session
        self._statements = statements

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address, locked. An odd spelling (" John@Example.org") takes a look at every row."""
        found = self._look_up(address, address)
        if found:
            return found
        odd = self._session.rows(self._statements.find_loosely, {"address": address})
        spellings = {text for row in odd if (text := text_of(row[0])) is not None}
        # By a collation one spelling may find another one's row, too.
        return list({row for spelling in spellings for row in self._look_up(spelling, address)})

    def _look_up(self, spelling: str, address: str) -> list[LimitRow]:
        rows = self._session.rows(self._statements.find, {"address": spelling})
        return list(_matching(rows, {address}).get(address, ()))

    def write(self, found: LimitRow, limit: int | None) -> None:
        """Change exactly this row."""
        count = self._session.change(self._statements.update, {"limit": limit or 0, "address": found.spelling})
        if count != 1:
            raise DatabaseError(f"changing the limit of {found.spelling} met {count} rows instead of one")
        now = self._look_up(found.spelling, address_of(found.spelling) or "")
        if [row.limit for row in now] != [limit]:
            raise DatabaseError(f"{self._statements.table} did not take the limit of {found.spelling}")

    def finish(self) -> None:
        """Nothing is left: write() has looked."""


class CustomTable:
    """Schema custom: only users_query knows the rows, so it is run once before and once after all changes."""

    def __init__(self, session: Transaction, statements: Statements) -> None:
        self._session = session
        self._statements = statements
        self._rows: dict[str, list[LimitRow]] | None = None
        self._written: dict[str, int | None] = {}

    def find(self, address: str) -> list[LimitRow]:
        """The rows of an address, by the limits as they were before, or as write() left them."""
        if self._rows is None:
            self._rows = self._read()
        return self._rows.get(address, [])

    def _read(self, wanted: set[str] | None = None) -> dict[str, list[LimitRow]]:
        return _matching(self._session.rows(self._statements.users), wanted)

    def write(self, found: LimitRow, limit: int | None) -> None:
        """Run set_query."""
        count = self._session.change(self._statements.update, {"limit": limit or 0, "address": found.spelling})
        if not count:
            raise MailquotaError(f"accounts.set_query changed nothing for {found.spelling}")
        address = address_of(found.spelling) or ""
        self._written[address] = limit
        if self._rows:
            self._rows[address] = [found._replace(limit=limit)]

    def finish(self) -> None:
        """See that users_query gives what was set. Raises MailquotaError, which takes all changes back."""
        now = self._read(set(self._written)) if self._written else {}
        for address, limit in self._written.items():
            found = [row.limit for row in now.get(address, ())]
            if len(found) != 1 or not _about_equal(found[0], limit):
                raise MailquotaError(
                    f"accounts.set_query was to set the limit of {address} to {limit or 0} bytes,"
                    f" but accounts.users_query gives {', '.join(str(one or 0) for one in found) or 'no row'} then"
                )


def _about_equal(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < ROUNDING


def _matching(rows: Iterable[Row], wanted: set[str] | None) -> dict[str, list[LimitRow]]:
    """The rows by address, of all addresses or of the wanted ones. Rows that read() skips are not there."""
    found: dict[str, list[LimitRow]] = {}
    for row in rows:
        address = address_of(row[0])
        spelling = text_of(row[0])
        if address is None or spelling is None or not (wanted is None or address in wanted):
            continue
        found.setdefault(address, []).append(LimitRow(spelling, limit_of(row[1])))
    return found
