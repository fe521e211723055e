"""The order of the rows of a table by one of its columns. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .grid import Column

T = TypeVar("T")


@dataclass(frozen=True)
class Order(Generic[T]):
    """By ``column``. ``given``: the column by which the rows come sorted already; inverted it turns them round."""

    column: Column[T]
    inverted: bool = False
    given: bool = False

    @property
    def is_given(self) -> bool:
        """Whether the rows stay as they come."""
        return self.given and not self.inverted

    def sorted(self, rows: Sequence[T]) -> list[T]:
        """The rows in this order; equal ones stay as they are, what is not known is last in both directions."""
        if self.given:
            return list(reversed(rows)) if self.inverted else list(rows)
        return by_value(rows, self.column.sort, falling=self.column.falling != self.inverted)


def by_value(rows: Sequence[T], value: Callable[[T], Any] | None, *, falling: bool) -> list[T]:
    """The rows by a value of theirs; where that is None, last."""
    if value is None:
        return list(rows)
    known, unknown = [], []
    for row in rows:
        found = value(row)
        if found is None:
            unknown.append(row)
        else:
            known.append((found, row))
    known.sort(key=lambda pair: pair[0], reverse=falling)
    return [*(row for _value, row in known), *unknown]


def by_text(get: Callable[[T], str | None]) -> Callable[[T], str | None]:
    """The ``sort`` of a column of texts: upper and lower case are the same, an empty text is not known."""
    return lambda row: (get(row) or "").casefold() or None
