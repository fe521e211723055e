"""The columns of the accounts table: which are shown, and in what order. The table behind follows each key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.base.model import AccountRow

from ..desk.account_columns import COLUMNS, USUAL, Columns
from ..desk.desk import Desk
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Column
from ..frame.dialog import Dialog
from ..widgets.live_table import LiveTable


class ColumnTable(LiveTable):
    """All columns: those that are shown in their order, then the others. ``changed`` is told which are shown now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "switch", "Show", tooltip="show the column, or hide it"),
        Binding("shift+up,K", "shift(-1)", "Move", tooltip="move the column to the left", key_display="J K"),
        Binding("shift+down,J", "shift(1)", "Move right", show=False, tooltip="move the column to the right"),
        Binding("d", "usual", "Usual", tooltip="show the usual columns in their usual order"),
    ]

    def __init__(self, columns: Columns, glyphs: Glyphs, changed: Callable[[Columns], object]) -> None:
        super().__init__(id="columns")
        self._glyphs = glyphs
        self._changed = changed
        self._take(columns)

    def _take(self, columns: Columns) -> None:
        self._order = [*columns, *(column for column in COLUMNS if column not in columns)]
        self._shown = {column.key for column in columns}

    @property
    def column(self) -> Column[AccountRow]:
        """The column under the cursor."""
        return self._order[self.index]

    def count(self) -> int:
        """All columns."""
        return len(self._order)

    def identity_at(self, index: int) -> Hashable | None:
        """The key of the column."""
        return self._order[index].key if 0 <= index < len(self._order) else None

    def find(self, key: Hashable) -> int | None:
        return next((at for at, column in enumerate(self._order) if column.key == key), None)

    def line_at(self, index: int) -> Line:
        """The title, with the sign of a column that is shown."""
        column = self._order[index]
        shown = column.key in self._shown
        return ((f" {self._glyphs.mark if shown else ' '} ", "mark"), (column.title, "plain" if shown else "quiet"))

    def action_switch(self) -> None:
        """Show the column, or hide it. The address is always shown."""
        if self.index:
            self._shown ^= {self.column.key}
            self._tell()

    def action_shift(self, step: int) -> None:
        """Move the column by one place; the address stays the first."""
        to = self.index + step
        if self.index and 0 < to < len(self._order):
            self._order[self.index], self._order[to] = self._order[to], self._order[self.index]
            self.go_to(to)
            self._tell()

    def action_usual(self) -> None:
        """Show the usual columns."""
        self._take(USUAL)
        self._tell()

    def clicked(self, index: int) -> None:
        """A click shows a column, or hides it."""
        self.go_to(index)
        self.action_switch()

    def _tell(self) -> None:
        self.reload()
        self._changed(tuple(column for column in self._order if column.key in self._shown))


class ChooseColumns(Dialog[None]):
    """Stands on the right, so that the table behind is seen."""

    HEADING = "Columns"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,c,q", "close", "Done", key_display="Esc")]

    def __init__(self, desk: Desk, columns: Columns, changed: Callable[[Columns], object]) -> None:
        super().__init__(desk)
        self.add_class("-aside")
        self._table = ColumnTable(columns, desk.glyphs, changed)

    def body(self) -> Iterable[Widget]:
        yield self._table

    def on_mount(self) -> None:
        """As high as its lines."""
        self._table.styles.height = min(self._table.count(), max(3, self.app.size.height - 10))
        self._table.reload()
        self._table.focus()
        self._about()

    @on(LiveTable.Moved)
    def _about(self) -> None:
        column = self._table.column
        self.message(fmt.literal(f"{column.title}: {column.about}", self.desk.glyphs), "quiet")
