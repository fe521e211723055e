"""Collects rows of the database as accounts and aliases. Pure.

A row that is not valid is skipped and counted, so that the others are still read.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..base.errors import DatabaseError
from ..base.model import Account, Alias
from .reader import RowReader
from .rows import LONGEST_EXAMPLE, Row, aliases_of, pattern_of
from .store import Accounts

EXAMPLES = 3


def _one_column(query: str, columns: str) -> DatabaseError:
    return DatabaseError(f"{query} gives one column, and should give: {columns}")


class RowCollector:
    """Collects the rows of the queries into Accounts. Of two rows with one address the first counts."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._accounts: dict[str, Account] = {}
        self._aliases: dict[Alias, None] = {}
        self._own: set[str] | None = None  # accounts with an alias to themselves alone
        self._domain_targets: dict[str, str] = {}
        self._skipped = 0
        self._examples: list[str] = []

    def add_users(self, rows: Iterable[Row]) -> None:
        """Add rows of address, limit and what the reader knows of. DatabaseError where a row has only one column."""
        accounts, account_of = self._accounts, self._reader.account
        for row in rows:
            if len(row) < 2:
                raise _one_column("accounts.users_query", "address, limit")
            account = account_of(row)
            if account is None or account.address in accounts:
                self._skip(row)
            else:
                accounts[account.address] = account

    def add_aliases(self, rows: Iterable[Row], own_rows: bool) -> None:
        """Add rows of source and destination. Raises DatabaseError where a row has only one column."""
        own = self._own = set() if own_rows else None
        for row in rows:
            if len(row) < 2:
                raise _one_column("accounts.aliases_query", "source, destination")
            aliases = aliases_of(row, own_rows)
            if aliases is None:
                self._skip(row)
            elif aliases:
                self._aliases.update(dict.fromkeys(aliases))
            elif own is not None and (source := pattern_of(row[0])) is not None:
                if source in self._accounts:
                    own.add(source)
                else:
                    self._aliases[Alias(source, source)] = None

    def add_alias_domains(self, rows: Iterable[Row]) -> None:
        """Add rows of a domain and the domain that it is another name of."""
        for row in rows:
            source, target = pattern_of(row[0]), pattern_of(row[1])
            if source is None or target is None:
                self._skip(row)
            else:
                self._domain_targets[source] = target

    def _skip(self, row: Row) -> None:
        self._skipped += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(ascii(tuple(row))[:LONGEST_EXAMPLE])

    def result(self) -> Accounts:
        """The accounts and aliases that were added."""
        return Accounts(
            accounts=list(self._accounts.values()),
            aliases=list(self._aliases),
            skipped=self._skipped,
            examples=tuple(self._examples),
            without_own_row=self._without_own_row(),
            domain_targets=self._domain_targets,
        )

    def _without_own_row(self) -> frozenset[str] | None:
        if self._own is None:
            return None
        return frozenset(self._accounts.keys() - self._own)
