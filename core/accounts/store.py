"""Who has a mailbox, how much may it hold, which aliases lead to it: the door to the accounts database.

Theory of operation: a store keeps one reading connection open and opens another one for each change of limits, since
the reading account often may not write. It blocks, so it is called in a thread. Two threads may use it one after the
other, and one may change limits while another one reads; two that read at the same time may not.

An edit made elsewhere shows up as a different fingerprint. read() takes the fingerprint before it reads the rows, so an
edit between the two costs one needless read later, and is never missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, Protocol

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import Account, Alias

Schema = Literal["ispmail", "postfixadmin", "custom"]

# What SQLite's INTEGER and BIGINT hold.
HIGHEST_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Queries:
    """The statements of schema custom, as the settings have them. Only ``users_query`` must be there.

    ``users_query`` gives address, limit in bytes and, if it likes, enabled; ``aliases_query`` source and destination.
    ``set_query`` names ``%(limit)s`` (0 for unlimited) and ``%(address)s``. ``change_query`` gives one value that
    differs once users or aliases changed.
    """

    users_query: str
    aliases_query: str = ""
    set_query: str = ""
    change_query: str = ""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All rows that make sense, and how many did not; ``examples`` has the first few of these, as ASCII."""

    accounts: list[Account]
    aliases: list[Alias]
    skipped: int = 0
    examples: tuple[str, ...] = ()


class AnyLimit(Enum):
    """The type of ANY, as None is a limit."""

    ANY = "any"


ANY = AnyLimit.ANY


class LimitChange(NamedTuple):
    """A limit to be set, in bytes; None (or 0, as in the database) is unlimited.

    ``expect`` is the limit that must be there now, so that an edit made by somebody else meanwhile is not undone.
    """

    address: str
    limit: int | None
    expect: int | AnyLimit | None = ANY


class LimitResult(NamedTuple):
    """What became of one change; ``old`` says nothing where there is an error."""

    address: str
    old: int | None
    error: MailquotaError | None = None


class LimitColumn(NamedTuple):
    """Where limits are kept: the column's type in the database's words, what it holds at most, and how to widen it.

    ``highest`` is in bytes; None where the type says nothing about it.
    """

    name: str
    type: str = ""
    highest: int | None = None
    widen: str = ""


class LimitChangedError(MailquotaError):
    """The limit is not the expected one any more."""

    def __init__(self, address: str, found: int | None) -> None:
        now = "unlimited" if found is None else f"{found} bytes"
        super().__init__(f"the limit of {address} was changed meanwhile, it is {now} now")
        self.address = address
        self.found = found


class AccountStore(Protocol):
    """The accounts database. Every method but close() raises DatabaseError when it is gone or lacks something;
    the next call tries again, so a database that is back needs no more than that.
    """

    def read(self) -> Accounts:
        """All accounts and aliases. Addresses are lower case; the first of two rows with one address counts."""

    def fingerprint(self) -> object:
        """A value that differs once users or aliases were edited. Never the same twice where that can't be told."""

    def changed(self) -> bool:
        """Whether there was an edit since the last read(), or none was read yet."""

    def set_limit(self, address: str, limit: int | None, *, expect: int | AnyLimit | None = ANY) -> int | None:
        """Change one limit, in bytes. Returns the old one, read in the same transaction.

        Raises NoSuchAccountError, LimitChangedError, DatabaseError when the account may not write, and
        MailquotaError when the column can't hold the limit. Nothing is changed then, unless the connection broke
        during the commit: the text of that DatabaseError says so.
        """

    def set_limits(self, limits: Sequence[tuple[str, int | None] | LimitChange]) -> list[LimitResult]:
        """Change many limits in one transaction, with one result each, in order.

        An address that fails does not keep the others from being changed; an error raised does.
        """

    def limit_column(self) -> LimitColumn | None:
        """Where limits are kept; None for queries of the administrator's own."""

    def try_writing(self) -> bool:
        """Have the database say whether limits may be changed, by a change that meets no row.

        False where only a query of the administrator's own could tell. Raises DatabaseError as set_limit() does.
        """

    def close(self) -> None:
        """Give back the connection. Using the store again opens a new one."""
