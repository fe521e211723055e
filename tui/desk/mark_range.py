"""Marks from one line to another, as the cursor goes. Pure.

Only the lines that the cursor passes are marked or unmarked, whatever moves elsewhere in the list meanwhile: an account
that comes between both ends by itself is not marked. So a step costs the same in a list of 100,000.
"""

from __future__ import annotations

from .account_list import AccountList


class MarkRange:
    """Begins at the account on line ``index``, which is marked."""

    def __init__(self, accounts: AccountList, index: int) -> None:
        self._accounts = accounts
        self._added: set[str] = set()  # by this range; accounts that were marked before stay so
        self._began = self._at = accounts.order[index]
        self._lines = index, index  # of both, as long as they are shown
        self._mark(index)

    def _mark(self, index: int) -> None:
        address = self._accounts.order[index]
        if address not in self._accounts.marks:
            self._accounts.toggle(address)
            self._added.add(address)

    def _unmark(self, index: int) -> None:
        address = self._accounts.order[index]
        if address in self._added:
            self._added.discard(address)
            if address in self._accounts.marks:
                self._accounts.toggle(address)

    def go(self, index: int) -> None:
        """The cursor went to line ``index``: mark up to there, and unmark what the range marked beyond it."""
        began, at = self._line(self._began, self._lines[0]), self._line(self._at, self._lines[1])
        low, high = sorted((began, index))
        for line in range(min(at, index), max(at, index) + 1):
            if low <= line <= high:
                self._mark(line)
            else:
                self._unmark(line)
        self._at, self._lines = self._accounts.order[index], (began, index)

    def take_back(self) -> None:
        """Unmark what the range has marked."""
        for address in self._added & self._accounts.marks:
            self._accounts.toggle(address)
        self._added.clear()

    def _line(self, address: str, before: int) -> int:
        """The line of an account; of one that is not shown any more the line where it was."""
        found = self._accounts.find(address)
        return min(before, len(self._accounts) - 1) if found is None else found
