"""The common part of the stores for MySQL and SQLite: detecting changes, and changing limits."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ..base.errors import DatabaseError, MayNotWriteError
from ..servers.dovecot.given_limits import GivenLimits
from ..settings import lenny
from .reader import RowReader, Shape
from .rows import Row, text_of
from .schema import Statements
from .store import ANY, HIGHEST_LIMIT, Accounts, AnyLimit, LimitChange, LimitColumn, LimitResult
from .writing import Transaction, change_limits, column_of

log = logging.getLogger(__name__)

LONGEST_REASON = 300

MakeStatements = Callable[[Sequence[str], str], Statements]  # with more columns, and the one of limits of messages
AskDovecot = Callable[[], GivenLimits]


class SqlStore(ABC):
    """An AccountStore without its connections, which subclasses add."""

    def __init__(self, make: MakeStatements, ask: AskDovecot | None) -> None:
        self._make = make
        self._ask = ask  # None once it was asked
        self._statements = make((), "")
        self.reader = RowReader(Shape(self._statements.enabled))
        self._unused = ""  # why limits of bytes have no effect at Dovecot
        self._read_at: object = None  # the fingerprint of the rows that read() returned last
        self._looked_at: object = None  # the fingerprint that changed() found last, where it differs from that

    def read(self) -> Accounts:
        """All accounts and aliases."""
        # The fingerprint has to be older than the rows: then an edit in between costs one needless read later, while
        # with a newer fingerprint that edit would be missed. The one that changed() found last is used, if any; it is
        # forgotten where a later check finds no difference, as an edit back to that state would else be missed.
        self._learn()
        fingerprint, self._looked_at = self._looked_at or self.fingerprint(), None
        accounts = self._collect()
        self._read_at = fingerprint
        return accounts

    def _learn(self) -> None:
        """Ask once which limits Dovecot gives to users, and read the columns that they depend on, too.

        What these limits are is not known where Dovecot's query reads another table, or a column that is not there.
        """
        if self._ask is None:
            return
        given, known = self._ask(), self._statements
        more = [name for name in given.columns if name not in known.chosen]
        same = not given.columns or given.table.lower() == known.table.lower()
        rows = self._rows(known.columns) if more and same else []
        there = {(text_of(row[0]) or "").lower() for row in rows}
        if same and not given.fault and there.issuperset(map(str.lower, more)):
            self._statements = self._make(more, given.message_column)
            places = {name: place for place, name in enumerate(self._statements.chosen) if name in given.columns}
            places.pop(known.limit, None)
            self.reader = RowReader(self.reader.shape, given, known.limit, places)
            if given.table.lower() == known.table and known.limit not in map(str.lower, given.columns):
                column = f"{known.table}.{known.limit}"
                self._unused = f"Dovecot's user query gives no limit from {column}: Dovecot goes by other limits"
                log.warning("%s", self._unused)
        self._ask = None

    def changed(self) -> bool:
        """Whether there was an edit since the last read()."""
        found = self.fingerprint()
        self._looked_at = found if found != self._read_at else None
        return self._looked_at is not None

    def set_limit(self, address: str, limit: int | None, *, expect: int | AnyLimit | None = ANY) -> int | None:
        """Change one limit, in bytes; returns the old one."""
        result = self.set_limits([LimitChange(address, limit, expect)])[0]
        if result.error:
            raise result.error
        return result.old

    def set_limits(self, limits: Sequence[tuple[str, int | None] | LimitChange]) -> list[LimitResult]:
        """Change many limits in one transaction, with one result each."""
        changes = [LimitChange(*limit) for limit in limits]
        results = self._transact(lambda session: change_limits(session, self._statements, self.reader, changes))
        remarks = ("" if change.messages else self._unused for change in changes)
        return [result._replace(remark=remark) for result, remark in zip(results, remarks, strict=True)]

    def limit_column(self) -> LimitColumn | None:
        """Where limits are kept; None for schema custom."""
        statements = self._statements
        if not statements.table:
            return None
        name = f"{statements.table}.{statements.limit}"
        if not statements.column_type:
            return LimitColumn(
                name, type="INTEGER", highest=HIGHEST_LIMIT
            )  # SQLite stores 64 bits, whatever the column's type
        column = column_of(self._rows(statements.column_type))
        if column is None:
            return LimitColumn(name)
        return LimitColumn(name, type=column.type, highest=column.highest, widen=statements.widen)

    def try_writing(self) -> bool:
        """Whether the database would allow limits to be changed; False where that can't be tried."""
        nothing = self._statements.nothing

        def work(session: Transaction) -> list[LimitResult]:
            session.change(nothing, {})
            return []

        if nothing:
            self._transact(work)
        return bool(nothing)

    @abstractmethod
    def fingerprint(self) -> object:
        """A value that differs once accounts or aliases were edited."""

    @abstractmethod
    def _collect(self) -> Accounts:
        """Read all rows."""

    @abstractmethod
    def _rows(self, sql: str) -> list[Row]:
        """The rows of a SELECT on the reading connection."""

    @abstractmethod
    def _transact(self, work: Callable[[Transaction], list[LimitResult]]) -> list[LimitResult]:
        """Do the work on the writing connection and commit; roll back after any error."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; using the store again opens a new one."""


def trouble(where: str, reason: object) -> DatabaseError:
    """The error for a message of a driver: in one line, with escapes for characters that do not print."""
    line = " ".join(str(reason).split())
    return DatabaseError(f"accounts database {where}: {(text_of(line) or ascii(line))[:LONGEST_REASON]}")


def missing_limit(where: str, statements: Statements) -> DatabaseError:
    """The error for a table of accounts that has no column for limits, with the statement that adds it."""
    return DatabaseError(
        f"accounts database {where}: {statements.table} has no column {statements.limit}; add it with: {statements.add}"
    )


def old_tables(where: str) -> DatabaseError:
    """The error for ISPmail's tables of the recipe for lenny, with settings that read them."""
    error = trouble(where, lenny.NAMED)
    error.advice = lenny.ADVICE
    return error


def may_not_write(where: str, reason: object) -> MayNotWriteError:
    """The error for a database account, or a file, that may only be read."""
    return MayNotWriteError(
        f"{trouble(where, reason)}; this account may not write, set accounts.write_database to one that may"
    )
