"""Which mailboxes their own owners made unreadable (core/mailboxes/measure.py tells). Used on the engine's loop."""

from __future__ import annotations

from .entry import Entry, Totals

FEW = 10


class Unreadable:
    """The accounts whose mailboxes their owners made unreadable.

    Where these are more than ``FEW`` and more than the mailboxes that can be measured, they were not made so by their
    owners: ``mailstore.path`` or the whole mailstore is wrong. Then none of them counts as such.
    """

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._entries: set[Entry] = set()

    def note(self, entry: Entry, *, unreadable: bool) -> None:
        """What the last measurement found."""
        if unreadable:
            self._entries.add(entry)
        else:
            self._entries.discard(entry)

    def discard(self, entry: Entry) -> None:
        """It was measured, or is gone."""
        self._entries.discard(entry)

    def __contains__(self, entry: object) -> bool:
        return entry in self._entries and bool(len(self))

    def __len__(self) -> int:
        count = len(self._entries)
        return count if count <= FEW or count <= self._totals.measured else 0
