"""The Domains screen: the accounts summed by domain, and the sum of the limits compared with the file system."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ..desk import captions
from ..desk.desk import Desk, ShowAccounts
from ..desk.session import Changes, State
from ..desk.tiles import Tile
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Column
from ..draw.rows import RowList
from ..frame import guide
from ..frame.list_screen import ListScreen
from ..widgets.background import background
from ..widgets.row_table import RowTable
from ..widgets.table_header import TableHeader
from . import rows as domains
from .rows import Domain, Domains

EMPTY = ("No accounts.", "Their domains appear here by themselves.")
PAUSE_SECONDS = 0.002  # between two slices of the first count, in which keys are handled


class DomainTable(RowTable[Domain]):
    """The domains with their sums; Enter shows the accounts of one."""

    STAYS_FIRST = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Accounts", tooltip="show the accounts of the domain", key_display="⏎"),
    ]


class DomainsScreen(ListScreen):
    """Counts all accounts when it is first shown, and from then on only those that change."""

    TITLE = "Domains"
    FORMS = "text  !word"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("greater_than_sign,f6", "sort(1)", "Sort", tooltip="sort by the next column", key_display="< >"),
        Binding("less_than_sign", "sort(-1)", "Sort back", show=False, tooltip="sort by the column before"),
        Binding("I", "invert", "Invert", tooltip="sort the other way round"),
    ]

    table: DomainTable

    def __init__(self, desk: Desk) -> None:
        self._domains = Domains()
        self._rows: RowList[Domain] = RowList(lambda domain: domain.name, lambda domain: domain.name)
        columns = domains.columns(self._disk)
        self._column = next(column for column in columns if column.key == "used")
        self._inverted = False
        self._counting = True
        super().__init__(desk, DomainTable(self._rows, columns, desk.context))
        self._header = TableHeader(desk.glyphs)
        self._rows.sort(self._order)

    def _disk(self) -> int | None:
        status = self.desk.session.status
        return status.disk.total_bytes if status is not None else None

    def body(self) -> Iterable[Widget]:
        yield self._header
        yield self.table

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """What the columns show."""
        return guide.domains(glyphs)

    # ---- counting

    def on_mount(self) -> None:
        """Begin to count."""
        super().on_mount()
        self._count()

    @background(exclusive=True, group="count")
    async def _count(self) -> None:
        self._counting = True
        for _slice in self._domains.recount(self.desk.accounts.rows):
            await asyncio.sleep(PAUSE_SECONDS)
        self._counting = False
        self.show_if_seen()

    def arrived(self, changes: Changes) -> None:
        """Count the changes; also while the screen is not shown, as each one costs little."""
        if not self.is_mounted:
            return
        if changes.snapshot is not None:
            self._count()
        self._domains.update(changes.rows.values(), changes.removed)
        super().arrived(changes)

    # ---- drawing

    def bring_in(self) -> None:
        """Sort the domains anew: they are few, compared with accounts."""
        if not self._counting:
            self._rows.replace(self._domains.by_name.values())
            self.table.reload()
        empty = EMPTY if not self._counting and self.desk.session.state is State.LIVE else ()
        self.table.notice = captions.list_notice(
            self._rows, self.desk.session, self.table.cells, self.desk.context(), empty=empty
        )

    def show_header(self) -> None:
        """Show the titles, with an arrow at the sorted column."""
        self._header.show(self.table.placed, self._column.key, inverted=self._inverted)

    def tiles(self) -> tuple[Tile, ...]:
        """Sums over all domains."""
        return domains.totals(self._domains, self.desk.session.status, self.desk.context())

    def title_line(self) -> Line:
        """The filter, and how many domains match."""
        rows, session = self._rows, self.desk.session
        return captions.list_title("Domains", rows, session, self.size.width, self.desk.context())

    def detail_line(self) -> Line:
        """The domain under the cursor."""
        return domains.detail(self.table.row, self.size.width, self.desk.context())

    @property
    def filtered(self) -> str:
        return self._rows.words.text

    def narrow(self, text: str) -> str:
        """Filter by the names of the domains; returns how many match."""
        self._rows.narrow(text)
        return f"{len(self._rows)} of {self._rows.known}"

    # ---- in what order

    def _order(self, domain: Domain) -> tuple[float, str]:
        """The value to sort by; what is not known sorts last in both directions."""
        value = self._column.sort(domain) if self._column.sort is not None else 0.0
        falling = self._column.falling != self._inverted
        return (float("inf") if value is None else -value if falling else value), domain.name

    def _sort_by(self, column: Column[Domain], *, inverted: bool = False) -> None:
        self._column, self._inverted = column, inverted
        self._rows.sort(self._order)
        self.table.reorder()
        self.show()

    def action_sort(self, step: int) -> None:
        """Sort by the next (1) or the previous (-1) column that is shown."""
        shown = [place.column for place in self.table.placed]
        at = shown.index(self._column) if self._column in shown else 0
        self._sort_by(shown[(at + step) % len(shown)])

    def action_invert(self) -> None:
        """Invert the order."""
        self._sort_by(self._column, inverted=not self._inverted)

    @on(TableHeader.Clicked)
    def _header_clicked(self, event: TableHeader.Clicked) -> None:
        column: Column[Any] = event.column
        self._sort_by(column, inverted=column is self._column and not self._inverted)

    @on(RowTable.Opened)
    def _opened(self, event: RowTable.Opened) -> None:
        self.post_message(ShowAccounts(f"@{event.row.name}", back_to="domains"))
