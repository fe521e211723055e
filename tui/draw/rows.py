"""Rows of one kind as a table shows them: those that match some words, in an order, each found by its key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Words:
    """Words that a text must all contain, or not contain after a ``!``; any text can be read."""

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self._words = [(word.removeprefix("!"), word.startswith("!")) for word in self.text.lower().split()]

    def match(self, hay: str) -> bool:
        """Whether all do."""
        low = hay.lower() if self._words else ""
        return all((word in low) != negated for word, negated in self._words)


class RowList(Generic[T]):
    """``key`` tells one row from all others, ``text`` is what a filter looks into."""

    def __init__(self, key: Callable[[T], Hashable], text: Callable[[T], str]) -> None:
        self.words = Words()
        self.shown: list[T] = []
        self.all: list[T] = []
        self._key = key
        self._text = text
        self._places: dict[Hashable, int] = {}
        self._order: Callable[[T], Any] | None = None

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def known(self) -> int:
        """How many there are without the filter."""
        return len(self.all)

    def replace(self, rows: Iterable[T]) -> None:
        """Everything anew."""
        self.all = list(rows)
        self._arrange()

    def narrow(self, text: str) -> None:
        """Show what has these words."""
        self.words = Words(text)
        self._arrange()

    def sort(self, order: Callable[[T], Any] | None) -> None:
        """Another order; None is that in which they came."""
        self._order = order
        self._arrange()

    def _arrange(self) -> None:
        found = [row for row in self.all if self.words.match(self._text(row))] if self.words.text else list(self.all)
        if self._order is not None:
            found.sort(key=self._order)
        self.shown = found
        self._places = {self._key(row): place for place, row in enumerate(found)}

    def at(self, index: int) -> T | None:
        """The row on a line."""
        return self.shown[index] if 0 <= index < len(self.shown) else None

    def key(self, row: T) -> Hashable:
        """What the cursor follows."""
        return self._key(row)

    def find(self, key: Hashable) -> int | None:
        """The line of a row; None when it is not shown."""
        return self._places.get(key)
