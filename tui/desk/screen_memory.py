"""The filters of one screen that are remembered: the last ones, and those that were kept under a letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .kept import is_filter
from .memory import Memory

ACCOUNTS = "accounts"  # in the memory the filters of this screen have fields of their own


class ScreenMemory:
    """``name`` is that of the screen."""

    def __init__(self, memory: Memory, name: str) -> None:
        self._memory = memory
        self._name = name

    @property
    def last(self) -> Sequence[str]:
        """The filters that were used, the newest first."""
        kept = self._memory.kept
        return kept.filters if self._name == ACCOUNTS else kept.past.get(self._name, ())

    @property
    def saved(self) -> Mapping[str, str]:
        """The filters by their letter."""
        kept = self._memory.kept
        return kept.saved if self._name == ACCOUNTS else kept.letters.get(self._name, {})

    def used(self, text: str) -> None:
        """A filter is used; an empty one is not remembered."""
        if is_filter(text) and self._name == ACCOUNTS:
            self._memory.keep(filters=(text,))
        elif is_filter(text):
            self._memory.keep(past={self._name: (text,)})

    def save(self, letter: str, text: str | None) -> None:
        """Keep a filter under a letter; None forgets that of the letter."""
        if self._name == ACCOUNTS:
            self._memory.keep(saved={letter: text})
        else:
            self._memory.keep(letters={self._name: {letter: text}})
