"""The decisions, newest first: a live table of a Feed.

The cursor follows the decision that it was put on. Above the first line, where it is at the start and where Home or
one more Up brings it again, it follows none: the newest is then always under it. What the operator reads stays on its
line of the screen while new decisions come in above.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.message import Message

from mailquota.core.control.results import DecisionRow
from mailquota.tui.decisions import columns as lanes
from mailquota.tui.decisions.feed import Feed
from mailquota.tui.desk.desk import Desk
from mailquota.tui.draw.format import Line
from mailquota.tui.widgets.live_table import LiveTable


class DecisionTable(LiveTable):
    """See above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Explain", tooltip="explain the decision", key_display="⏎"),
    ]

    class Opened(Message):
        """Enter or a double click on a decision."""

        def __init__(self, row: DecisionRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, feed: Feed, desk: Desk) -> None:
        super().__init__(id="decision-table")
        self.feed = feed
        self.fitted: tuple[lanes.Fitted, ...] = ()
        self.newest = True  # follow the newest instead of one decision
        self._desk = desk

    @property
    def row(self) -> DecisionRow | None:
        """The decision under the cursor."""
        found = self.feed.at(self.index)
        return found.row if found is not None else None

    def take(self) -> bool:
        """Bring in what came; whether there was anything."""
        top = self.scroll_offset.y
        first, away = self.feed.at(top), not top <= self.index < top + self.size.height
        if not self.feed.take(self._desk.session):
            return False
        self.reload()
        found = self.feed.find(first.number) if first is not None and away else None
        if found is not None:  # scrolled away from the cursor: what is read stays all the same
            self.scroll_to(y=found, animate=False, force=True)
        return True

    def count(self) -> int:
        """How many the filter lets through."""
        return len(self.feed)

    def key_at(self, index: int) -> Hashable | None:
        """The number of a decision."""
        found = self.feed.at(index)
        return found.number if found is not None else None

    def find(self, key: Hashable) -> int | None:
        """By number."""
        return self.feed.find(cast("int", key))

    def line_at(self, index: int) -> Line:
        """Newest first."""
        row = self.feed.shown[-1 - index].row
        return lanes.cells(row, self.fitted, self._desk.look())

    def lay_out(self) -> None:
        """As many lanes as fit."""
        self.fitted = lanes.arrange(self.cells)

    def pinned(self, index: int) -> Hashable | None:
        """Nothing while the newest is followed."""
        return None if self.newest else self.key_at(index)

    def stays(self, index: int) -> bool:  # noqa: ARG002
        """What is read stays on its line."""
        return self.newest

    def action_move(self, step: int) -> None:
        """Above the first line is the newest, whichever that is."""
        self.newest = self.index + step < 0
        super().action_move(step)

    def action_page(self, direction: int) -> None:
        """Same."""
        self.newest = self.index == 0 and direction < 0
        super().action_page(direction)

    def action_edge(self, index: int) -> None:
        """Home is the newest."""
        self.newest = index == 0
        super().action_edge(index)

    def clicked(self, index: int) -> None:
        """The one under the mouse."""
        self.newest = False
        super().clicked(index)

    def action_open(self) -> None:
        """Tell that this decision is wanted."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))
