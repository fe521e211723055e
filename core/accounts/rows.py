"""From rows of a database to accounts and aliases. Pure.

A row that makes no sense is skipped and counted: it must not keep the others from being read. Text arrives as bytes,
since one row that is not UTF-8 would else make the driver give up on all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from mailquota.core.accounts.store import HIGHEST_LIMIT, Accounts
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.model import Account, Alias

Row = Sequence[object]

# RFC 5321, 4.5.3.1: 64 octets before the @, 255 behind it.
LONGEST_ADDRESS = 64 + 1 + 255
EXAMPLES = 3
LONGEST_EXAMPLE = 120
NO_NUMBER = -1  # the limit of an account whose limit in the database is no number of bytes
_WHOLE = re.compile(r"-?[0-9]{1,20}")  # Dovecot takes neither blanks nor a plus sign
# How the enumerations and booleans of other schemas say no.
NO = frozenset({"", "0", "n", "no", "f", "false", "off"})


def text_of(value: object) -> str | None:
    """Text as it is in the database; None if it is none, not UTF-8, or not wholly printable.

    Not printable are control characters, but also the invisible ones that turn the order of a line around.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) and value.isprintable() else None


def pattern_of(value: object) -> str | None:
    """Text as the key of an alias: any address, also ``@domain``, in lower case and without spaces around it."""
    text = text_of(value)
    if text is None or len(text.encode()) > LONGEST_ADDRESS:
        return None
    return text.strip().lower() or None


def address_of(value: object) -> str | None:
    """Text as the address of an account, in lower case and without spaces around it; None if it is not one."""
    text = pattern_of(value)
    if text is None:
        return None
    user, _, domain = text.rpartition("@")
    return text if user and domain else None


def limit_of(value: object) -> int | None:
    """A limit in bytes; None is unlimited: 0 or NULL. Below 0 is none, and what is no number of bytes is NO_NUMBER."""
    if value is None:
        return None
    number = _whole(value)
    return NO_NUMBER if number is None or number > HIGHEST_LIMIT else number or None


def _whole(value: object) -> int | None:
    """A whole number; of one with a fraction, as a query may reckon it, what stands before the point."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal):
        return int(value) if math.isfinite(value) else None
    text = text_of(value)
    return int(text) if text and _WHOLE.fullmatch(text) else None


def fault_of(value: object, limit: int | None) -> str:
    """Why a value of the database is no limit, as a sentence; empty where it is one."""
    if limit is None or limit >= 0:
        return ""
    if _whole(value) == limit:
        return f"its limit in the database is {limit}, and Dovecot loads no user with a limit below 0"
    text = value if isinstance(value, int | float | Decimal) else ascii(text_of(value) or value)
    return f"its limit in the database is {str(text)[:LONGEST_EXAMPLE]}, which is no number of bytes"


def enabled_of(value: object) -> bool:
    """Whether a flag means yes; NULL does not."""
    if isinstance(value, bytes):
        # BIT(1) arrives as one byte, everything else as text.
        return value != b"\0" and value.decode(errors="replace").lower() not in NO
    return bool(value) and str(value).lower() not in NO


def account_of(row: Row) -> Account | None:
    """The account of a row of address, limit and, if there is one, enabled."""
    address = address_of(row[0])
    if address is None:
        return None
    limit = limit_of(row[1])
    return Account(address, limit, enabled=enabled_of(row[2]) if len(row) > 2 else True, fault=fault_of(row[1], limit))


def aliases_of(row: Row, own_rows: bool) -> list[Alias] | None:
    """The aliases of a row of source and destination; the destination may be a list with commas, as in Postfix.

    With ``own_rows`` an address that leads only to itself is no alias. It must stay where it leads to others too:
    then its mailbox gets the mail as well.
    """
    source = pattern_of(row[0])
    text = text_of(row[1])
    if source is None or text is None:
        return None
    parts = [part for part in text.split(",") if part.strip()]
    destinations = [found for part in parts if (found := pattern_of(part))]
    if not destinations or len(destinations) < len(parts):
        return None
    if own_rows and destinations == [source]:
        return []
    return [Alias(source, destination) for destination in destinations]


def _check_columns(row: Row, query: str, columns: str) -> None:
    if len(row) < 2:
        raise DatabaseError(f"{query} gives one column, and should give: {columns}")


class RowCollector:
    """Takes rows and ends up with accounts."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._aliases: dict[Alias, None] = {}
        self._skipped = 0
        self._examples: list[str] = []

    def add_users(self, rows: Iterable[Row]) -> None:
        """Take rows of address, limit, enabled."""
        accounts = self._accounts
        for row in rows:
            _check_columns(row, "accounts.users_query", "address, limit")
            account = account_of(row)
            if account is None or account.address in accounts:
                self._skip(row)
            else:
                accounts[account.address] = account

    def add_aliases(self, rows: Iterable[Row], own_rows: bool) -> None:
        """Take rows of source and destination."""
        for row in rows:
            _check_columns(row, "accounts.aliases_query", "source, destination")
            aliases = aliases_of(row, own_rows)
            if aliases is None:
                self._skip(row)
            else:
                self._aliases.update(dict.fromkeys(aliases))

    def _skip(self, row: Row) -> None:
        self._skipped += 1
        if len(self._examples) < EXAMPLES:
            self._examples.append(ascii(tuple(row))[:LONGEST_EXAMPLE])

    def result(self) -> Accounts:
        """What was taken so far."""
        return Accounts(
            accounts=list(self._accounts.values()),
            aliases=list(self._aliases),
            skipped=self._skipped,
            examples=tuple(self._examples),
        )
