"""A live table of a RowList, with columns from ``draw.grid``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from textual.message import Message

from ..draw import grid
from ..draw.format import Line
from ..draw.grid import Column, Context, Placed
from ..draw.rows import RowList
from .live_table import LiveTable

T = TypeVar("T")


class RowTable(LiveTable, Generic[T]):
    """``lead`` gives the text before the first column of a row, ``leading`` cells wide."""

    class Opened(Message):
        """Enter was pressed on a row, or it was double-clicked."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    def __init__(
        self,
        rows: RowList[T],
        columns: Sequence[Column[T]],
        context: Callable[[], Context],
        lead: Callable[[T, Context], Line] = lambda _row, _context: ((" ", "plain"),),
        leading: int = 1,
    ) -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns
        self.placed: Sequence[Placed[T]] = ()
        self._get_context = context
        self._lead = lead
        self._leading = leading

    @property
    def row(self) -> T | None:
        """The row under the cursor."""
        return self.rows.at(self.index)

    def count(self) -> int:
        """How many match the filter."""
        return len(self.rows)

    def identity_at(self, index: int) -> Hashable | None:
        row = self.rows.at(index)
        return None if row is None else self.rows.key(row)

    def find(self, key: Hashable) -> int | None:
        return self.rows.find(key)

    def line_at(self, index: int) -> Line:
        """The line of a row."""
        row, context = self.rows.shown[index], self._get_context()
        return grid.cells(row, self.placed, context, self._lead(row, context))

    def lay_out(self) -> None:
        """Choose the columns that fit."""
        self.placed = grid.arrange(self.columns, self.cells, self._leading)

    def action_open(self) -> None:
        """Post that more about this row is to be shown."""
        if self.row is not None:
            self.hold()
            self.post_message(self.Opened(self.row))
