"""The accounts as the table shows them: sorted, filtered, marked. Pure.

Theory of operation. ``rows`` has every account by address. ``order`` has the addresses that match the filter, in the
order of the sorted column. Each has a sort value in ``_values``, computed when its row comes, so that a change of some
rows costs two binary searches each and not a sort of everything: keys wait meanwhile. A row whose sort value stays the
same costs none. Equal values go by address, so each account has exactly one position.

Another view (column, direction, filter) of many accounts takes a while. ``arrange`` makes it in slices, and the caller
handles keys between them; the old view stays until the last slice. Rows that change meanwhile are noted in
``_touched`` and sorted in at the end.

An account stays marked through filters, sorting and changes, until it is unmarked or removed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import filterfalse
from typing import Any

from mailquota.core.base.filters import Filter
from mailquota.core.base.model import AccountRow

from ..draw.grid import Column
from .account_columns import DEFAULT

SLICE = 250  # accounts; with the slowest regular expression and the longest addresses a tenth of a second
_FEW = 64  # changed rows; for more, one pass over the order costs less than moving its end for each
_SEARCH = 32  # binary searches cost less than sorting all again up to one of so many accounts
_LAST = float("inf")


@dataclass(frozen=True)
class View:
    """Which accounts are shown, and in what order."""

    column: Column[AccountRow] = DEFAULT
    inverted: bool = False
    filter: Filter | None = None

    @property
    def backwards(self) -> bool:
        """Whether addresses go from z to a. Other columns are inverted through their values instead."""
        return self.inverted and self.column.sort is None

    def values(self, rows: Iterable[AccountRow]) -> dict[str, float]:
        """The sort values of the rows by address; what is not known sorts last in both directions."""
        sort = self.column.sort
        if sort is None:
            return {row.address: 0.0 for row in rows}
        if self.column.falling != self.inverted:
            return {row.address: _LAST if (value := sort(row)) is None else -float(value) for row in rows}
        return {row.address: _LAST if (value := sort(row)) is None else float(value) for row in rows}


class AccountList:
    """``view`` is what is shown; ``wanted`` is the view that ``arrange`` makes."""

    def __init__(self) -> None:
        self.rows: dict[str, AccountRow] = {}
        self.order: list[str] = []
        self.view = self.wanted = View()
        self.marks: set[str] = set()
        self.marked_bytes = 0
        self._addresses: list[str] = []  # of all accounts, sorted
        self._addresses_from = 0  # the number of the snapshot that ``_addresses`` comes from
        self._values: dict[str, float] = {}
        self._touched: set[str] = set()

    # ---- what is shown

    def __len__(self) -> int:
        return len(self.order)

    def at(self, index: int) -> AccountRow | None:
        """The account on line ``index``; None beyond the ends."""
        return self.rows[self.order[index]] if 0 <= index < len(self.order) else None

    def find(self, address: str) -> int | None:
        """The line of the account; None if it is not shown."""
        if address not in self._values:
            return None
        index = bisect_left(self.order, self._key(address), key=self._key)
        return index if index < len(self.order) and self.order[index] == address else None

    def arrange(self, now: float) -> Iterator[None]:
        """Make the wanted view, one slice a step; it is shown after the last one. ``now`` is for filters by age."""
        view, values = self.wanted, dict[str, float]()
        self._touched.clear()
        addresses, snapshot = self._addresses, self._addresses_from
        for start in range(0, len(addresses), SLICE):
            part = [self.rows[address] for address in addresses[start : start + SLICE] if address in self.rows]
            values.update(view.values(part if view.filter is None else view.filter.select(part, now)))
            yield
            if self._addresses_from != snapshot:  # a new snapshot came, and it is sorted as wanted already
                return
        self.view, self._values = view, values
        self.order = self._sorted(values)
        self._bring_in(self._touched, now)

    # ---- rows come and go

    def replace(self, rows: Iterable[AccountRow], now: float) -> None:
        """Take these accounts instead of all others, as after a snapshot."""
        self.rows = {row.address: row for row in rows}
        self._addresses = sorted(self.rows)
        self._addresses_from += 1
        self._mark_only(self.marks & self.rows.keys())
        for _slice in self.arrange(now):
            pass

    def update(self, rows: Iterable[AccountRow], removed: Iterable[str], now: float) -> None:
        """Take rows that changed or are new, and remove addresses."""
        changed = {row.address: row for row in rows}
        gone = {address for address in removed if address in self.rows and address not in changed}
        self._count_marks(changed, gone)
        self._touched.update(changed, gone)
        self._list_addresses([address for address in changed if address not in self.rows], gone)
        for address in gone:
            del self.rows[address]
        self.rows.update(changed)
        self._bring_in(changed.keys() | gone, now)

    def _list_addresses(self, came: list[str], gone: set[str]) -> None:
        if gone:
            self._addresses = [address for address in self._addresses if address not in gone]
        if came:
            self._addresses = sorted(self._addresses + came)  # a sorted run and a few more: close to linear

    def _bring_in(self, addresses: Collection[str], now: float) -> None:
        """Put these accounts where they belong in the order now. Those with the same sort value stay where they are."""
        found = self.view.filter
        rows = [self.rows[address] for address in addresses if address in self.rows]
        values = self.view.values(rows if found is None else [row for row in rows if found.matches(row, now)])
        old = self._values
        gone = {address for address in addresses if address in old and values.get(address) != old[address]}
        came = {address: value for address, value in values.items() if old.get(address) != value}
        # Positions are looked up by the old values, so these are removed before the new ones are known.
        self._take_out(gone)
        self._values.update(came)
        self._put_in(came)

    def _take_out(self, gone: set[str]) -> None:
        if len(gone) > _FEW:
            self.order = list(filterfalse(gone.__contains__, self.order))
        else:
            for address in gone:
                del self.order[bisect_left(self.order, self._key(address), key=self._key)]
        for address in gone:
            del self._values[address]

    def _put_in(self, came: Collection[str]) -> None:
        if len(came) <= _FEW:
            for address in came:
                insort(self.order, address, key=self._key)
        elif len(came) <= len(self.order) // _SEARCH:
            self._merge(sorted(came, key=self._key))
        else:
            values = self._values
            self.order = self._sorted({address: values[address] for address in self._addresses if address in values})

    def _merge(self, came: list[str]) -> None:
        """Put in many, in their order: a binary search for each, and the runs between them are copied as they are."""
        old, self.order, done = self.order, list[str](), 0
        for address in came:
            start, done = done, bisect_left(old, self._key(address), lo=done, key=self._key)
            self.order += old[start:done]
            self.order.append(address)
        self.order += old[done:]

    def _sorted(self, values: dict[str, float]) -> list[str]:
        """All of these, which are sorted by address already.

        Sorting is stable, so plain numbers are compared, which is several times faster than pairs.
        """
        return sorted(values, reverse=True) if self.view.backwards else sorted(values, key=values.__getitem__)

    def _key(self, address: str) -> tuple[Any, ...]:
        """The sort value and the address: the unique position of an account."""
        if self.view.backwards:  # the 1 at the end sorts ``ab`` before ``a``, as reversed text is compared
            return (*(-ord(char) for char in address), 1)
        return (self._values[address], address)

    # ---- marks

    def hides(self, address: str) -> bool:
        """Whether the filter leaves this account out."""
        return address not in self._values

    def hidden_marks(self) -> int:
        """How many of the marked accounts the filter leaves out."""
        return sum(map(self.hides, self.marks)) if self.view.filter is not None else 0

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
        """Mark all accounts that match the filter; others stay marked."""
        self._mark_only(self.marks.union(self.order))

    def turn_marks(self) -> None:
        """Mark what is shown and not marked, and unmark what is shown and marked."""
        self._mark_only(self.marks.symmetric_difference(self.order))

    def clear_marks(self) -> None:
        """Unmark all accounts."""
        self._mark_only(set())

    def marked(self) -> list[AccountRow]:
        """The marked accounts, sorted by address."""
        return [self.rows[address] for address in sorted(self.marks)]

    def _mark_only(self, marks: set[str]) -> None:
        self.marks = marks
        self.marked_bytes = sum(self._used(address) for address in marks)

    def _used(self, address: str) -> int:
        row = self.rows.get(address)
        return (row.used_bytes or 0) if row is not None else 0

    def _count_marks(self, changed: dict[str, AccountRow], gone: set[str]) -> None:
        for address in self.marks.intersection(changed):
            self.marked_bytes += (changed[address].used_bytes or 0) - self._used(address)
        for address in self.marks.intersection(gone):
            self.toggle(address)
