"""Sorting by keys, by a click on a title and by a menu: the same on all screens with one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from textual import on
from textual.binding import Binding, BindingType

from mailquota.core.base.errors import UsageError

from ..desk.desk import Desk
from ..desk.typed import Choice, Doing, slug, takes
from ..draw.grid import Column, Placed
from ..draw.order import Order
from ..widgets.live_table import LiveTable
from ..widgets.table_header import TableHeader
from .list_screen import ListScreen
from .sort_menu import SortMenu

T = TypeVar("T")
SORTING: list[BindingType] = [
    Binding(
        "greater_than_sign,f6", "sort(1)", "Sort", tooltip="sort by the next column", key_display="< >", id="sort-next"
    ),
    Binding("less_than_sign", "sort(-1)", "Sort back", show=False, tooltip="sort by the column before"),
    Binding("I", "invert", "Invert", tooltip="sort the other way round"),
    Binding("o", "sort_menu", "Sort by", False, id="sort", tooltip="choose from all columns which one to sort by"),
]


def called(column: Column[Any]) -> str:
    """The column as a word: its title, or else its key."""
    return slug(column.title) or column.key


def named(columns: Sequence[Column[Any]], word: str) -> Column[Any]:
    """The column of this word, by its title or its key. Raises UsageError."""
    low = word.lower()
    for column in columns:
        if low in {called(column), column.title.lower(), column.key}:
            return column
    raise UsageError(f"there is no column {word}; there are {', '.join(map(called, columns))}")


def sorted_by(columns: Sequence[Column[Any]], text: str) -> tuple[Column[Any], bool]:
    """The column to sort by, and whether the other way round: with a ``-`` before it, as for ``list --sort``."""
    return named(columns, text.removeprefix("-")), text.startswith("-")


def sort_choices(node: Any, words: Sequence[str]) -> Iterable[Choice]:
    """The columns of a screen."""
    return () if words else (Choice(called(column), column.title) for column in node.columns)


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

    @takes("COLUMN", sort_choices, listed=True, about="sort by this column; with - before it the other way round")
    def typed_sort(self, rest: str) -> Doing:
        """``sort used``; ``sort -used`` the other way round."""
        column, inverted = sorted_by(self.columns, rest)
        return partial(self.sort_by, column, inverted=inverted)
