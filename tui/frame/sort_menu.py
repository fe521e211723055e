"""The menu of the columns to sort by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ..desk.desk import Desk
from ..draw.format import Line
from ..draw.grid import Column
from ..widgets.choices import Choices
from .dialog import Dialog

AROUND = 6  # lines of the dialog around the columns; on a low terminal the least important ones are left out


class SortMenu(Dialog[Column[Any] | None]):
    """Dismissed with the column that was chosen; the present one, chosen again, turns the order round."""

    HEADING = "Sort by"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,o,q", "close", "Cancel", key_display="Esc")]

    def __init__(self, desk: Desk, columns: Sequence[Column[Any]], now: Column[Any], *, inverted: bool) -> None:
        super().__init__(desk)
        self._columns = tuple(columns)
        self._now = now
        self._inverted = inverted

    def body(self) -> Iterable[Widget]:
        """The columns, the present one selected."""
        room = max(1, self.app.size.height - AROUND)
        ranked = sorted(self._columns, key=lambda column: (column is not self._now, column.priority))[:room]
        self._columns = tuple(column for column in self._columns if column in ranked)
        at = self._columns.index(self._now) if self._now in self._columns else 0
        yield Choices([self._line(column) for column in self._columns], at)

    def _line(self, column: Column[Any]) -> Line:
        if column is not self._now:
            return ((f"{column.title:<14}", "plain"),)
        glyphs = self.desk.glyphs
        arrow = glyphs.down if column.falling != self._inverted else glyphs.up
        return (f"{column.title:<14}", "plain"), (f" {arrow} now; again turns it round", "quiet")

    @on(Choices.Chosen)
    def _chosen(self, event: Choices.Chosen) -> None:
        self.dismiss(self._columns[event.index])
