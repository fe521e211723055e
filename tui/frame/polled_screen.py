"""Screens whose rows are asked from the engine again and again while they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from textual.widget import Widget

from mailquota.core.base.errors import MailquotaError

from ..desk import captions
from ..desk.desk import Desk
from ..draw.format import Line
from ..draw.grid import Placed
from ..draw.rows import RowList
from ..widgets.background import background
from ..widgets.row_table import RowTable
from ..widgets.table_header import TableHeader
from .sorted_screen import SortedScreen

T = TypeVar("T")


class PolledScreen(SortedScreen[T], Generic[T]):
    """The rows of the last answer stay if the engine is gone or can't answer."""

    EVERY = 2.0  # seconds
    EMPTY: Sequence[str] = ()  # the text in place of rows: a heading, and more
    WAITING: Sequence[str] = ()  # the text in place of rows until the first answer
    table: RowTable[T]

    def __init__(self, desk: Desk, table: RowTable[T]) -> None:
        super().__init__(desk, table, table.columns)
        self.problem = ""  # why the rows could not be read
        self._answered = False
        self._asked_at = float("-inf")
        self.asking = False
        self._header = TableHeader(desk.glyphs)

    @property
    def rows(self) -> RowList[T]:
        """The rows of the last answer."""
        return self.table.rows

    async def fetch(self) -> list[T]:
        """Ask the engine for the rows. Raises MailquotaError."""
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        yield self._header
        yield self.table

    # ---- asking

    def ask_soon(self) -> None:
        """Ask for the rows now: an action has changed them."""
        self._asked_at = float("-inf")
        self.show_if_seen()

    def done(self, line: Line | None) -> None:
        """Show what a dialog did, and ask for the rows."""
        super().done(line)
        self.ask_soon()

    def bring_in(self) -> None:
        """Ask for the rows if the last answer is old enough."""
        now = self.desk.steady()
        if not self.asking and now - self._asked_at >= self.EVERY:
            self._asked_at, self.asking = now, True
            self._ask()
        self.table.notice = captions.list_notice(
            self.rows, self.desk.session, self.table.cells, self.desk.context(),
            empty=self.EMPTY if self._answered else self.WAITING, problem=self.problem,
        )  # fmt: skip

    @background()
    async def _ask(self) -> None:
        try:
            rows = await self.fetch()
        except MailquotaError as error:
            self.problem = str(error)
        else:
            self.problem, self._answered = "", True
            self.rows.replace(rows)
            self.table.reload()
        finally:
            self.asking = False
        self.show_if_seen()

    # ---- drawing

    def show_header(self) -> None:
        """Show the titles, with an arrow at the sorted column."""
        self._header.show(self.placed, self.order.column.key, inverted=self.order.inverted)

    @property
    def placed(self) -> Sequence[Placed[T]]:
        return self.table.placed

    def take_order(self) -> None:
        """Sort the rows of the last answer, and those of the next ones."""
        self.rows.sort(self.order)

    def title_line(self) -> Line:
        """The filter, how many rows match, and why the rows are old if they are."""
        problem = "" if self.lost or not self._answered else self.problem
        return captions.list_title(
            str(self.title or ""), self.rows, self.desk.session, self.size.width, self.desk.context(),
            problem=problem, order=self.told_order,
        )  # fmt: skip

    @property
    def filtered(self) -> str:
        return self.rows.words.text

    def narrow(self, text: str) -> str:
        """Show the rows that have these words; returns how many match."""
        self.rows.narrow(text)
        return f"{len(self.rows)} of {self.rows.known}"

    def on_row_table_opened(self, event: RowTable.Opened) -> None:
        """Enter or a click on a row."""
        self.open(event.row)

    def open(self, row: Any) -> None:
        """Show more about a row."""
        raise NotImplementedError
