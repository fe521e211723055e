"""The common part of the stores for MySQL and SQLite: detecting changes, and changing limits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from ..base.errors import DatabaseError
from ..settings import lenny
from .rows import Row, text_of
from .schema import Statements
from .store import ANY, HIGHEST_LIMIT, Accounts, AnyLimit, LimitChange, LimitColumn, LimitResult
from .writing import Transaction, change_limits, column_of

LONGEST_REASON = 300


class SqlStore(ABC):
    """An AccountStore without its connections, which subclasses add."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._read_at: object = None  # the fingerprint of the rows that read() returned last
        self._looked_at: object = None  # the fingerprint that changed() found last, where it differs from that

    def read(self) -> Accounts:
        """All accounts and aliases."""
        # The fingerprint has to be older than the rows: then an edit in between costs one needless read later, while
        # with a newer fingerprint that edit would be missed. The one that changed() found last is used, if any; it is
        # forgotten where a later check finds no difference, as an edit back to that state would else be missed.
        fingerprint, self._looked_at = self._looked_at or self.fingerprint(), None
        accounts = self._collect()
        self._read_at = fingerprint
        return accounts

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
        return self._transact(lambda session: change_limits(session, self._statements, changes))

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


def may_not_write(where: str, reason: object) -> DatabaseError:
    """The error for a database account, or a file, that may only be read."""
    return DatabaseError(
        f"{trouble(where, reason)}; this account may not write, set accounts.write_database to one that may"
    )
