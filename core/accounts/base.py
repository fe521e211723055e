"""What the stores have in common: when rows are read again, and how changes are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from mailquota.core.accounts.rows import Row, text_of
from mailquota.core.accounts.schema import Statements
from mailquota.core.accounts.store import ANY, HIGHEST_LIMIT, Accounts, AnyLimit, LimitChange, LimitColumn, LimitResult
from mailquota.core.accounts.writing import Transaction, change_limits, column_of
from mailquota.core.base.errors import DatabaseError

LONGEST_REASON = 300


class SqlStore(ABC):
    """An AccountStore but for the connections."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._read_at: object = None  # the fingerprint of what read() gave last
        self._looked_at: object = None  # the one that changed() saw just now, where it differs

    def read(self) -> Accounts:
        """See AccountStore."""
        # An older fingerprint than the rows costs a needless read; a newer one would lose an edit, and so would one
        # that is older than a look at rows which then were as now again.
        fingerprint, self._looked_at = self._looked_at or self.fingerprint(), None
        accounts = self._collect()
        self._read_at = fingerprint
        return accounts

    def changed(self) -> bool:
        """See AccountStore."""
        found = self.fingerprint()
        self._looked_at = found if found != self._read_at else None
        return self._looked_at is not None

    def set_limit(self, address: str, limit: int | None, *, expect: int | AnyLimit | None = ANY) -> int | None:
        """See AccountStore."""
        result = self.set_limits([LimitChange(address, limit, expect)])[0]
        if result.error:
            raise result.error
        return result.old

    def set_limits(self, limits: Sequence[tuple[str, int | None] | LimitChange]) -> list[LimitResult]:
        """See AccountStore."""
        changes = [LimitChange(*limit) for limit in limits]
        return self._transact(lambda session: change_limits(session, self._statements, changes))

    def limit_column(self) -> LimitColumn | None:
        """See AccountStore."""
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
        """See AccountStore."""
        nothing = self._statements.nothing

        def work(session: Transaction) -> list[LimitResult]:
            session.change(nothing, {})
            return []

        if nothing:
            self._transact(work)
        return bool(nothing)

    @abstractmethod
    def fingerprint(self) -> object:
        """See AccountStore."""

    @abstractmethod
    def _collect(self) -> Accounts:
        """Read all rows."""

    @abstractmethod
    def _rows(self, sql: str) -> list[Row]:
        """What a SELECT finds on the reading connection."""

    @abstractmethod
    def _transact(self, work: Callable[[Transaction], list[LimitResult]]) -> list[LimitResult]:
        """Do the work on the writing connection and commit; after any error nothing of it stays."""

    @abstractmethod
    def close(self) -> None:
        """See AccountStore."""


def trouble(where: str, reason: object) -> DatabaseError:
    """The error for what a driver said, on one line and without what could colour a screen."""
    line = " ".join(str(reason).split())
    return DatabaseError(f"accounts database {where}: {(text_of(line) or ascii(line))[:LONGEST_REASON]}")


def missing_limit(where: str, statements: Statements) -> DatabaseError:
    """The error for tables made before there were limits in them."""
    return DatabaseError(
        f"accounts database {where}: {statements.table} has no column {statements.limit}; add it with: {statements.add}"
    )


def may_not_write(where: str, reason: object) -> DatabaseError:
    """The error for an account, or a file, that can only be read."""
    return DatabaseError(
        f"{trouble(where, reason)}; this account may not write, set accounts.write_database to one that may"
    )
