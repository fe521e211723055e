"""What both kinds of state database have: statements, transactions, migrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from ..base.errors import MailquotaError
from ..base.mysql import Kind

T = TypeVar("T")
Values = Sequence[object]


class StateError(MailquotaError):
    """The state database can't be used. What was to be written there is lost; the change itself may have been made."""


class Sql(Protocol):
    """Statements within a transaction. ``?`` stands for a value in both dialects.

    ``ignore`` is the word by which an INSERT skips rows whose key exists already: ``INSERT {ignore} INTO``.
    """

    kind: Kind
    ignore: str

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""

    def change(self, sql: str, values: Values = ()) -> int:
        """How many rows a statement changed.

        An UPDATE counts rows that it matched, also where they had the new values.
        """

    def insert(self, sql: str, values: Values = ()) -> int:
        """The id of the new row."""

    def many(self, sql: str, values: Iterable[Values]) -> None:
        """Execute one statement with each of these rows of values."""


class Connection(ABC):
    """One connection, with all migrations applied."""

    @abstractmethod
    def transact(self, work: Callable[[Sql], T], *, writes: bool) -> T:
        """Do the work in a transaction, which is rolled back after any error.

        Raises StateError, and what the work raises.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def migrations(kind: Kind) -> list[tuple[int, str]]:
    """Number and text of each migration, in order. Files are named NNNN_what.sql and never change once released."""
    folder = files("mailquota.core.history").joinpath("sql", kind)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(int(name[:4]), folder.joinpath(name).read_text("utf-8")) for name in names]


def newer_version(version: int, known: int) -> str:
    """The error text for a database that a later mailquota has migrated."""
    return f"it is of a newer version ({version}) than this mailquota knows ({known})"
