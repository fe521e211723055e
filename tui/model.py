"""The accounts as the table shows them: sorted, filtered, marked. Pure.

Theory of operation. ``rows`` holds every account by address. ``order`` holds the addresses that the filter lets
through, in the order of the sorted column. Each of them has a sort value in ``_values``, computed when its row comes,
so that a change of a few rows costs two binary searches each and never a sort of everything; equal values go by
address, which makes every position unique and findable.

Marks are kept by address and survive filters, sorting and refreshes; an account that goes away takes its mark along.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

from core.filters import Filter
from core.model import AccountRow
from tui.columns import DEFAULT, Column

_FEW = 64  # changed rows; from here on one pass over everything is cheaper than single searches
_LAST = float("inf")


class AccountList:
    """See the theory of operation above."""

    def __init__(self) -> None:
        self.rows: dict[str, AccountRow] = {}
        self.order: list[str] = []
        self.column: Column = DEFAULT
        self.inverted = False
        self.filter: Filter | None = None
        self.marks: set[str] = set()
        self.marked_bytes = 0
        self.touched: set[str] = set()  # changed since this was last emptied, for filters that work in slices
        self._values: dict[str, float] = {}

    # ---- what is shown

    def __len__(self) -> int:
        return len(self.order)

    def at(self, index: int) -> AccountRow | None:
        """The account on line ``index``."""
        return self.rows[self.order[index]] if 0 <= index < len(self.order) else None

    def find(self, address: str) -> int | None:
        """The line that the account is on; None when it is not shown."""
        if address not in self._values:
            return None
        index = bisect_left(self.order, self._key(address), key=self._key)
        return index if index < len(self.order) and self.order[index] == address else None

    # ---- rows come and go

    def replace(self, rows: Iterable[AccountRow], now: float) -> None:
        """Everything anew, as after a snapshot."""
        self.rows = {row.address: row for row in rows}
        self._mark_only(self.marks & self.rows.keys())
        self._show(list(self.rows.values()) if self.filter is None else self.filter.select(self.rows.values(), now))

    def update(self, rows: Iterable[AccountRow], removed: Iterable[str], now: float) -> None:
        """Rows that changed or came, and addresses that are gone."""
        changed = {row.address: row for row in rows}
        gone = [address for address in removed if address in self.rows and address not in changed]
        self.touched.update(changed, gone)
        self._count_marks(changed, gone)
        dropped = [address for address in (*changed, *gone) if address in self._values]
        if len(dropped) > _FEW or len(changed) > _FEW:
            self._update_many(changed, gone, set(dropped), now)
        else:
            self._update_few(changed, gone, dropped, now)

    def _update_few(self, changed: dict[str, AccountRow], gone: list[str], dropped: list[str], now: float) -> None:
        for address in dropped:
            index = self.find(address)
            if index is not None:
                del self.order[index]
        self._keep(changed, gone, dropped)
        for address in self._let_through(changed, now):
            insort(self.order, address, key=self._key)

    def _update_many(self, changed: dict[str, AccountRow], gone: list[str], dropped: set[str], now: float) -> None:
        self.order = [address for address in self.order if address not in dropped]
        self._keep(changed, gone, dropped)
        self.order += self._let_through(changed, now)
        self.order.sort(key=self._key)  # a sorted run and a few more: close to linear

    def _keep(self, changed: dict[str, AccountRow], gone: Iterable[str], dropped: Iterable[str]) -> None:
        for address in dropped:
            del self._values[address]
        for address in gone:
            del self.rows[address]
        self.rows.update(changed)

    def _let_through(self, changed: dict[str, AccountRow], now: float) -> list[str]:
        through = [row for row in changed.values() if self.filter is None or self.filter.matches(row, now)]
        self._values.update(self._valued(through))
        return [row.address for row in through]

    # ---- order

    def sort_by(self, column: Column, *, inverted: bool = False) -> None:
        """Show in the order of another column, or the other way round."""
        self.column, self.inverted = column, inverted
        self._show([self.rows[address] for address in self.order])

    def filter_by(self, found: Filter | None, rows: Iterable[AccountRow]) -> None:
        """Show only ``rows``, which ``found`` lets through; later changes are held against ``found`` too."""
        self.filter = found
        self._show(list(rows))

    def _show(self, rows: list[AccountRow]) -> None:
        """Sort by address, then, stable, by value: comparing plain numbers is several times faster than pairs."""
        self._values = self._valued(rows)
        self.order = sorted(self._values)
        if self.column.sort is None:
            if self.inverted:
                self.order.reverse()
        else:
            self.order.sort(key=self._values.__getitem__)

    def _valued(self, rows: list[AccountRow]) -> dict[str, float]:
        sort = self.column.sort
        if sort is None:
            return {row.address: 0.0 for row in rows}
        if self.column.falling != self.inverted:
            return {row.address: _LAST if (value := sort(row)) is None else -value for row in rows}
        return {row.address: _LAST if (value := sort(row)) is None else value for row in rows}

    def _key(self, address: str) -> tuple[Any, ...]:
        """The place of an account among all; unique."""
        if self.column.sort is None and self.inverted:
            return (*(-ord(char) for char in address), 1)
        return (self._values[address], address)

    # ---- marks

    def toggle(self, address: str) -> None:
        """Mark an account, or unmark it."""
        used = self._used(address)
        if address in self.marks:
            self.marks.discard(address)
            self.marked_bytes -= used
        elif address in self.rows:
            self.marks.add(address)
            self.marked_bytes += used

    def mark_all(self) -> None:
        """Mark everything that the filter lets through, besides what is marked."""
        self._mark_only(self.marks.union(self.order))

    def clear_marks(self) -> None:
        """Mark nothing."""
        self._mark_only(set())

    def marked(self) -> list[AccountRow]:
        """The marked accounts by address."""
        return [self.rows[address] for address in sorted(self.marks)]

    def _mark_only(self, marks: set[str]) -> None:
        self.marks = marks
        self.marked_bytes = sum(self._used(address) for address in marks)

    def _used(self, address: str) -> int:
        row = self.rows.get(address)
        return (row.used_bytes or 0) if row is not None else 0

    def _count_marks(self, changed: dict[str, AccountRow], gone: list[str]) -> None:
        for address in self.marks.intersection(changed):
            self.marked_bytes += (changed[address].used_bytes or 0) - self._used(address)
        for address in self.marks.intersection(gone):
            self.toggle(address)
