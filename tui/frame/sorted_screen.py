"""Sorting by keys, by a click on a title and by a menu: the same on all screens with one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from ..desk.desk import Desk
from ..draw.grid import Column, Placed
from ..draw.order import Order
from ..widgets.live_table import LiveTable
from ..widgets.table_header import TableHeader
from .list_screen import ListScreen
from .sort_menu import SortMenu

T = TypeVar("T")
SORTING: list[BindingType] = [
    Binding("greater_than_sign,f6", "sort(1)", "Sort", tooltip="sort by the next column", key_display="< >"),
    Binding("less_than_sign", "sort(-1)", "Sort back", show=False, tooltip="sort by the column before"),
    Binding("I", "invert", "Invert", tooltip="sort the other way round"),
    Binding("o", "sort_menu", "Sort by", show=False, tooltip="choose from all columns which one to sort by"),
]


class SortedScreen(ListScreen, Generic[T]):
    """A subclass names the column that it starts with, and takes the order into its rows.

    ``GIVEN``: the column by which rows come sorted already. ``FEED``: rows come by time, and another order is told.
    """

    START = ""
    GIVEN = ""
    FEED = False
    BINDINGS: ClassVar[list[BindingType]] = SORTING

    def __init__(self, desk: Desk, table: LiveTable, columns: Sequence[Column[T]]) -> None:
        super().__init__(desk, table)
        self.columns = tuple(columns)
        self.order = self._order(next(column for column in columns if column.key == self.START), inverted=False)

    def _order(self, column: Column[T], *, inverted: bool) -> Order[T]:
        return Order(column, inverted, given=column.key == self.GIVEN)

    @property
    def placed(self) -> Sequence[Placed[T]]:
        """The columns on the screen."""
        raise NotImplementedError

    def take_order(self) -> None:
        """Sort the rows by ``order``."""
        raise NotImplementedError

    @property
    def told_order(self) -> str:
        """What the title says of an order that is not by time; empty otherwise."""
        if not self.FEED or self.order.given:
            return "oldest first" if self.FEED and self.order.inverted else ""
        return f"by {self.order.column.title}, not by time"

    def sort_by(self, column: Column[T], *, inverted: bool = False) -> None:
        """Sort by this column."""
        self.order = self._order(column, inverted=inverted)
        self.take_order()
        self.table.reorder()
        self.show()

    def action_sort(self, step: int) -> None:
        """Sort by the next (1) or the previous (-1) column that is shown."""
        shown = [place.column for place in self.placed]
        at = shown.index(self.order.column) if self.order.column in shown else 0
        self.sort_by(shown[(at + step) % len(shown)])

    def action_invert(self) -> None:
        """Invert the order."""
        self.sort_by(self.order.column, inverted=not self.order.inverted)

    def action_sort_menu(self) -> None:
        """Choose the column from a list."""
        menu = SortMenu(self.desk, self.columns, self.order.column, inverted=self.order.inverted)
        self.app.push_screen(menu, self._chosen)

    def _chosen(self, column: Column[Any] | None) -> None:
        if column is not None:
            self.sort_by(column, inverted=column is self.order.column and not self.order.inverted)

    @on(TableHeader.Clicked)
    def _header_clicked(self, event: TableHeader.Clicked) -> None:
        self._chosen(event.column)

    def commands(self) -> Iterator[SystemCommand]:
        """A command for each column to sort by."""
        for column in self.columns:
            yield SystemCommand(f"Sort by {column.title}", "sort the table", partial(self.sort_by, column))
