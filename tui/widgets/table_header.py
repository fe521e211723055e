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

    def show(self, placed: Sequence[Placed[Any]], sorted_by: str = "", *, inverted: bool = False) -> None:
        """Draw the titles above the cells of their columns, with an arrow at the sorted one."""
        self._placed = placed
        self.paint([grid.titles(placed, self._glyphs, sorted_by, inverted=inverted)])

    def on_click(self, event: events.Click) -> None:
        """Post the column under the mouse."""
        column = grid.column_at(self._placed, event.x)
        if column is not None:
            self.post_message(self.Clicked(column))
