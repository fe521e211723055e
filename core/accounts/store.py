"""The interface of the accounts database: mailboxes with their limits, and aliases.

Theory of operation: a store keeps one reading connection open and opens another one for each change of limits, because
the account that reads often may not write. Its methods block, so they are called in threads. Two threads may use a
store one after the other, and one may change limits while another one reads; two must not read at the same time.

An edit made elsewhere changes the fingerprint. read() takes the fingerprint before it reads the rows: an edit between
the two costs one needless read later, but is never missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, Protocol

from ..base.errors import MailquotaError
from ..base.model import Account, Alias

Schema = Literal["ispmail", "postfixadmin", "custom"]

# The largest value of SQLite's INTEGER and MySQL's BIGINT.
HIGHEST_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Queries:
    """The statements of schema custom, as the settings have them. Only ``users_query`` is required.

    ``users_query`` gives address, limit in bytes and optionally enabled, and a limit of messages in a column of the
    name ``messages``; ``aliases_query`` source and destination. ``set_query`` has the parameters ``%(limit)s`` (0 for
    unlimited), ``%(address)s`` and, where it can set that, too, ``%(messages)s``. ``change_query`` gives one
    value that differs after accounts or aliases changed.
    """

    users_query: str
    aliases_query: str = ""
    set_query: str = ""
    change_query: str = ""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts and aliases. ``skipped`` rows were not valid; ``examples`` are the first few of them, in ASCII.

    Where the alias table leads each mailbox onto itself (PostfixAdmin), those rows are left out of ``aliases``;
    ``without_own_row`` are the accounts that have none, None where there are no such rows. ``domain_targets`` are the
    domains that are names for another one.
    """

    accounts: list[Account]
    aliases: list[Alias]
    skipped: int = 0
    examples: tuple[str, ...] = ()
    without_own_row: frozenset[str] | None = None
    domain_targets: dict[str, str] = field(default_factory=dict)


class AnyLimit(Enum):
    """The type of ANY, which stands for "whatever the limit is": None means unlimited."""

    ANY = "any"


ANY = AnyLimit.ANY


class LimitChange(NamedTuple):
    """A limit to set, in bytes; None (or 0, as in the database) is unlimited.

    ``expect`` is the limit that must be in the database, so that an edit made elsewhere meanwhile is not overwritten.
    With ``messages`` it is the limit of messages that is set.
    """

    address: str
    limit: int | None
    expect: int | AnyLimit | None = ANY
    messages: bool = False


class LimitResult(NamedTuple):
    """The result of one change: the ``old`` limit, or an error; ``remark``: why it has no effect at Dovecot."""

    address: str
    old: int | None
    error: MailquotaError | None = None
    remark: str = ""


class LimitColumn(NamedTuple):
    """The column of the limits: ``name`` is TABLE.COLUMN, ``type`` as the database names it.

    ``highest`` is the largest limit that fits, in bytes; None where the type does not say. ``widen`` is the statement
    that makes the column large enough for all limits.
    """

    name: str
    type: str = ""
    highest: int | None = None
    widen: str = ""


class LimitChangedError(MailquotaError):
    """The limit in the database is not the expected one; it was not changed."""

    def __init__(self, address: str, found: int | None, unit: str = "bytes") -> None:
        now = "unlimited" if found is None else f"{found} {unit}"
        super().__init__(f"the limit of {address} was changed meanwhile, it is {now} now")
        self.address = address
        self.found = found


class AccountStore(Protocol):
    """The accounts database.

    Every method except close() raises DatabaseError when the database does not answer, or lacks a table or column. The
    next call tries again.
    """

    def read(self) -> Accounts:
        """All accounts and aliases. Addresses are lower case; the first of two rows with one address counts."""

    def fingerprint(self) -> object:
        """A value that differs after accounts or aliases were edited; always a new one where that can't be detected."""

    def changed(self) -> bool:
        """Whether there was an edit since the last read(); True before the first one."""

    def set_limit(self, address: str, limit: int | None, *, expect: int | AnyLimit | None = ANY) -> int | None:
        """Change one limit, in bytes. Returns the old one, read in the same transaction.

        Raises NoSuchAccountError, LimitChangedError, DatabaseError when the database account may not write, and
        MailquotaError when the limit does not fit into the column. Nothing is changed then, except where the connection
        broke during the commit: the message of that DatabaseError says that the outcome is not known.
        """

    def set_limits(self, limits: Sequence[tuple[str, int | None] | LimitChange]) -> list[LimitResult]:
        """Change many limits in one transaction, with one result each, in order.

        An address that fails has an error in its result, and the others are changed. Where an error is raised, none is.
        """

    def limit_column(self) -> LimitColumn | None:
        """The column of the limits; None for schema custom."""

    def try_writing(self) -> bool:
        """Check the right to change limits, by an update of no row. Raises DatabaseError as set_limit() does.

        False for schema custom, where nothing can be tried without a change.
        """

    def close(self) -> None:
        """Close the connection. Using the store again opens a new one."""
