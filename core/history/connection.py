"""What the two kinds of state database have in common: statements, transactions, migrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.mysql import Kind

T = TypeVar("T")
Values = Sequence[object]


class StateError(MailquotaError):
    """The state database can't be used; what was to be written there is lost, nothing else is."""


class Sql(Protocol):
    """Statements within a transaction. ``?`` stands for a value in both dialects.

    ``ignore`` is what makes an INSERT pass over rows that are there already: ``INSERT {ignore} INTO``.
    """

    kind: Kind
    ignore: str

    def rows(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """What a SELECT finds."""

    def change(self, sql: str, values: Values = ()) -> int:
        """How many rows a statement changed; on MariaDB those that it found, too."""

    def insert(self, sql: str, values: Values = ()) -> int:
        """The number of the new row."""

    def many(self, sql: str, values: Iterable[Values]) -> None:
        """The same statement for many rows."""


class Connection(ABC):
    """One connection, with all migrations applied. Each method raises StateError or a driver's error."""

    @abstractmethod
    def transact(self, work: Callable[[Sql], T], *, writes: bool) -> T:
        """Do the work in a transaction; after any error nothing of it stays."""

    @abstractmethod
    def close(self) -> None:
        """Give it back."""


def migrations(kind: Kind) -> list[tuple[int, str]]:
    """Number and text of each migration, in order; a file is named NNNN_what.sql and never changes once released."""
    folder = files("mailquota.core.history").joinpath("sql", kind)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(int(name[:4]), folder.joinpath(name).read_text("utf-8")) for name in names]


def newer(version: int, known: int) -> str:
    """What to say of a database that a later mailquota made."""
    return f"it is of a newer version ({version}) than this mailquota knows ({known})"
