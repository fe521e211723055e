"""The Domains screen: the accounts summed by domain, and the sum of the limits compared with the file system."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
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
from ..draw.grid import Placed
from ..draw.rows import RowList
from ..draw.sheet import Sheet, parts
from ..frame import guide
from ..frame.sorted_screen import SortedScreen
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
        Binding("enter", "open", "Accounts", tooltip="show the accounts of the domain", key_display="⏎", id="open"),
    ]


class DomainsScreen(SortedScreen[Domain]):
    """Counts all accounts when it is first shown, and from then on only those that change."""

    TITLE = "Domains"
    FORMS = "text  !word"
    START = "used"

    table: DomainTable

    def __init__(self, desk: Desk) -> None:
        self._domains = Domains()
        self._rows: RowList[Domain] = RowList(lambda domain: domain.name, lambda domain: domain.name)
        columns = domains.columns(self._disk)
        self._counting = True
        super().__init__(desk, DomainTable(self._rows, columns, desk.context), columns)
        self._header = TableHeader(desk.glyphs)
        self._rows.sort(self.order)

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
            self._rows.replace(self._domains.by_name[name] for name in sorted(self._domains.by_name))
            self.table.reload()
        empty = EMPTY if not self._counting and self.desk.session.state is State.LIVE else ()
        self.table.notice = captions.list_notice(
            self._rows, self.desk.session, self.table.cells, self.desk.context(), empty=empty
        )

    def show_header(self) -> None:
        """Show the titles, with an arrow at the sorted column."""
        self._header.show(self.placed, self.order.column.key, inverted=self.order.inverted)

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

    @property
    def placed(self) -> Sequence[Placed[Domain]]:
        return self.table.placed

    def take_order(self) -> None:
        """Sort the domains."""
        self._rows.sort(self.order)

    def sheet(self) -> Sheet[Domain]:
        """The domains that match the filter."""
        why = "No command sums by domain: mailquota list --json has each account with its domain."
        columns = parts(self.placed, domains.KEYS)
        return Sheet("domains", self._rows.shown, columns, self._record, "domain", no_command=why)

    def _record(self, domain: Domain) -> dict[str, Any]:
        return domains.record(domain, self._disk())

    @on(RowTable.Opened)
    def _opened(self, event: RowTable.Opened) -> None:
        self.post_message(ShowAccounts(f"@{event.row.name}", back_to="domains", step=event.row.name))
