"""A live table of a RowList, whose columns are data."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from textual.message import Message

from mailquota.tui.draw import grid
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.grid import Column, Look, Placed
from mailquota.tui.draw.rows import RowList
from mailquota.tui.widgets.live_table import LiveTable

T = TypeVar("T")


class RowTable(LiveTable, Generic[T]):
    """``lead`` gives the sign at the beginning of a row, ``leading`` cells wide."""

    class Opened(Message):
        """Enter or a double click on a row."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    def __init__(
        self,
        rows: RowList[T],
        columns: Sequence[Column[T]],
        look: Callable[[], Look],
        lead: Callable[[T, Look], Line] = lambda _row, _look: ((" ", "plain"),),
        leading: int = 1,
    ) -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns
        self.placed: Sequence[Placed[T]] = ()
        self._look = look
        self._lead = lead
        self._leading = leading

    @property
    def row(self) -> T | None:
        """The row under the cursor."""
        return self.rows.at(self.index)

    def count(self) -> int:
        """How many the filter lets through."""
        return len(self.rows)

    def key_at(self, index: int) -> Hashable | None:
        """Of the row."""
        row = self.rows.at(index)
        return None if row is None else self.rows.key(row)

    def find(self, key: Hashable) -> int | None:
        """By key."""
        return self.rows.find(key)

    def line_at(self, index: int) -> Line:
        """The row in its columns."""
        row, look = self.rows.shown[index], self._look()
        return grid.cells(row, self.placed, look, self._lead(row, look))

    def lay_out(self) -> None:
        """As many columns as fit."""
        self.placed = grid.arrange(self.columns, self.cells, self._leading)

    def action_open(self) -> None:
        """Tell that this row is wanted."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))
