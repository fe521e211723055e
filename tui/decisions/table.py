"""The decisions, newest first: a live table of a Feed.

The cursor follows the decision that it was moved to. At the start, and after Home or Up on the first line, it follows
the newest decision instead, whichever that is. The lines on the screen stay where they are while new ones come in
above.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.message import Message

from mailquota.core.control.results import DecisionRow

from ..desk.desk import Desk
from ..draw.format import Line
from ..draw.grid import Placed
from ..widgets.live_table import LiveTable
from . import columns
from .feed import Feed


class DecisionTable(LiveTable):
    """The newest decisions; Enter explains one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Explain", tooltip="explain the decision", key_display="⏎"),
    ]

    class Opened(Message):
        """Enter was pressed on a decision, or it was double-clicked."""

        def __init__(self, row: DecisionRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, feed: Feed, desk: Desk) -> None:
        super().__init__(id="decision-table")
        self.feed = feed
        self.placed: tuple[Placed[DecisionRow], ...] = ()
        self.newest = True  # follow the newest instead of one decision
        self._desk = desk

    @property
    def row(self) -> DecisionRow | None:
        """The decision under the cursor."""
        found = self.feed.at(self.index)
        return found.row if found is not None else None

    def take(self) -> bool:
        """Take new decisions; returns whether there were any."""
        top = self.scroll_offset.y
        first, away = self.feed.at(top), not top <= self.index < top + self.size.height
        if not self.feed.take(self._desk.session):
            return False
        self.reload()
        found = self.feed.find(first.number) if first is not None and away else None
        if found is not None:  # the operator scrolled away from the cursor: keep those lines where they are
            self.scroll_to(y=found, animate=False, force=True)
        return True

    def count(self) -> int:
        """How many match the filter."""
        return len(self.feed)

    def identity_at(self, index: int) -> Hashable | None:
        """The number of the decision."""
        found = self.feed.at(index)
        return found.number if found is not None else None

    def find(self, key: Hashable) -> int | None:
        return self.feed.find(cast("int", key))

    def line_at(self, index: int) -> Line:
        """The line of a decision, counted from the newest."""
        found = self.feed.at(index)
        assert found is not None
        return columns.cells(found.row, self.placed, self._desk.context())

    def lay_out(self) -> None:
        """Choose the columns that fit."""
        self.placed = columns.arrange(self.cells)

    def pinned(self, index: int) -> Hashable | None:
        """The decision that the cursor follows; None while it follows the newest."""
        return None if self.newest else self.identity_at(index)

    def stays(self, index: int) -> bool:
        """Whether the window stays where it is: only while the cursor follows the newest; in another order as usual."""
        return self.newest if self.feed.by_time else super().stays(index)

    def hold(self) -> None:
        """Follow this decision, and no longer the newest."""
        self.newest = False
        super().hold()

    def action_move(self, step: int) -> None:
        """Move; up from the first line follows the newest."""
        self.newest = self.index + step < 0
        super().action_move(step)

    def action_page(self, direction: int, part: int = 1) -> None:
        """Move by a page; up from the first line follows the newest."""
        self.newest = self.index == 0 and direction < 0
        super().action_page(direction, part)

    def action_edge(self, index: int) -> None:
        """Home follows the newest, End moves to the oldest."""
        self.newest = index == 0
        super().action_edge(index)

    def clicked(self, index: int) -> None:
        """Follow the decision under the mouse."""
        self.newest = False
        super().clicked(index)

    def action_open(self) -> None:
        """Post that this decision is to be explained."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))
