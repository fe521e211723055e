"""The header of a table; a click on a title sorts by its column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual import events
from textual.message import Message

from ..draw import grid
from ..draw.glyphs import Glyphs
from ..draw.grid import Column, Placed
from .painted import Painted


class TableHeader(Painted):
    """The line of titles above the table."""

    class Clicked(Message):
        """The title of ``column`` was clicked."""

        def __init__(self, column: Column[Any]) -> None:
            super().__init__()
            self.column = column

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="table-header")
        self._glyphs = glyphs
        self._placed: Sequence[Placed[Any]] = ()

    def show(
        self,
        placed: Sequence[Placed[Any]],
        sorted_by: str = "",
        *,
        inverted: bool = False,
        more: tuple[bool, bool] = (False, False),
    ) -> None:
        """Draw the titles above the cells of their columns, with an arrow at the sorted one.

        ``more``: there are columns to the left of those behind the first, and to the right.
        """
        self._placed = placed
        titles = grid.titles(placed, self._glyphs, sorted_by, inverted=inverted)
        self.paint([grid.with_more(titles, placed, self.size.width, self._glyphs, more)])

    def on_click(self, event: events.Click) -> None:
        """Post the column under the mouse."""
        column = grid.column_at(self._placed, event.x)
        if column is not None:
            self.post_message(self.Clicked(column))
