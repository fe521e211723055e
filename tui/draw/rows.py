"""The rows of a table: filtered by words, sorted, each found by its key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from .order import Order

T = TypeVar("T")


class WordFilter:
    """Words that a text must all contain, or with ``!`` must not contain. Any text is a valid filter."""

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self._words = [(word.removeprefix("!"), word.startswith("!")) for word in self.text.lower().split()]

    def match(self, hay: str) -> bool:
        """Whether the text has all words, and none of those with ``!``; case does not matter."""
        low = hay.lower() if self._words else ""
        return all((word in low) != negated for word, negated in self._words)


class RowList(Generic[T]):
    """``key`` identifies a row, ``text`` is what the filter searches."""

    def __init__(self, key: Callable[[T], Hashable], text: Callable[[T], str]) -> None:
        self.words = WordFilter()
        self.shown: list[T] = []
        self.all: list[T] = []
        self._key = key
        self._text = text
        self._places: dict[Hashable, int] = {}
        self._order: Order[T] | None = None

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def known(self) -> int:
        """The number of rows without the filter."""
        return len(self.all)

    def replace(self, rows: Iterable[T]) -> None:
        """Take these rows instead of all others."""
        self.all = list(rows)
        self._arrange()

    def narrow(self, text: str) -> None:
        """Filter by the words of ``text``."""
        self.words = WordFilter(text)
        self._arrange()

    def sort(self, order: Order[T]) -> None:
        """Sort by ``order``."""
        self._order = order
        self._arrange()

    def _arrange(self) -> None:
        found = [row for row in self.all if self.words.match(self._text(row))] if self.words.text else list(self.all)
        self.shown = found if self._order is None else self._order.sorted(found)
        self._places = {self._key(row): place for place, row in enumerate(self.shown)}

    def at(self, index: int) -> T | None:
        """The row on line ``index``; None beyond the ends."""
        return self.shown[index] if 0 <= index < len(self.shown) else None

    def key(self, row: T) -> Hashable:
        """The key of a row, which the cursor follows."""
        return self._key(row)

    def find(self, key: Hashable) -> int | None:
        """The line of the row with this key; None if it is not shown."""
        return self._places.get(key)
