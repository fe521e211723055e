"""The header of the accounts table; a click sorts by the column."""

from __future__ import annotations

from textual import events
from textual.message import Message

from tui import columns
from tui.columns import Column, Placed
from tui.glyphs import Glyphs
from tui.widgets.painted import Painted


class TableHeader(Painted):
    """One line above the table."""

    class Clicked(Message):
        """The title of ``column`` was clicked."""

        def __init__(self, column: Column) -> None:
            super().__init__()
            self.column = column

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="table-header")
        self._glyphs = glyphs
        self._placed: tuple[Placed, ...] = ()

    def show(self, placed: tuple[Placed, ...], sorted_by: str, *, inverted: bool) -> None:
        """The titles where the table has its cells."""
        self._placed = placed
        self.paint([columns.titles(placed, sorted_by, inverted, self._glyphs)])

    def on_click(self, event: events.Click) -> None:
        """Tell which column."""
        column = columns.column_at(self._placed, event.x)
        if column is not None:
            self.post_message(self.Clicked(column))
