"""The Decisions screen: Postfix's requests and the answers as they happen, and the accounts refused most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from mailquota.core.base.model import rfc3339
from mailquota.core.control.results import DecisionRow

from ..desk.desk import Desk
from ..desk.session import Changes
from ..desk.tiles import Tile
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Placed
from ..draw.sheet import Sheet, parts
from ..frame import guide
from ..frame.list_screen import TO_CARD
from ..frame.sorted_screen import SortedScreen
from ..widgets.table_header import TableHeader
from . import captions as feed_captions
from . import columns, feed
from .explain import Explain
from .feed import DecisionFilter, Feed
from .refused_panel import RefusedPanel
from .table import DecisionTable

KEYS = {"micros": ("took_us",), "recipient": ("recipient", "mailbox")}  # column → keys of its values
PANEL_FROM = 160  # columns of the terminal; from this width the panel leaves the recipients their full column


def record(row: DecisionRow) -> dict[str, Any]:
    """A decision as it is exported."""
    return {
        "at": rfc3339(row.at), "verdict": row.verdict, "client": row.client, "sender": row.sender,
        "recipient": row.recipient, "mailbox": row.mailbox, "size": row.size or None, "took_us": row.micros,
        "missed": row.missed, "shadow": row.shadow, "origin": row.origin,
    }  # fmt: skip


class DecisionsScreen(SortedScreen[DecisionRow]):
    """Reads new decisions from the session while it is shown."""

    TITLE = "Decisions"
    START = GIVEN = "at"
    FEED = True
    FORMS = "text  refused  accepted  trouble  would  missed  !word"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", tooltip="hold the list still, or let it go on"),
        Binding("p", "go_on", "Go on", tooltip="let the list go on"),
        *TO_CARD,
    ]

    table: DecisionTable

    def __init__(self, desk: Desk) -> None:
        self.feed = Feed()
        super().__init__(desk, DecisionTable(self.feed, desk), columns.COLUMNS)
        self._skipped = 0
        self._header = TableHeader(desk.glyphs)
        self._refused = RefusedPanel(desk)

    def body(self) -> Iterable[Widget]:
        """The header and the table, and the panel of refused accounts beside both."""
        with Horizontal(id="feed"):
            with Vertical(id="feed-list"):
                yield self._header
                yield self.table
            yield self._refused

    def on_resize(self) -> None:
        """Show the panel only on wide terminals."""
        self._refused.display = self.app.size.width >= PANEL_FROM
        super().on_resize()

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:  # noqa: ARG002
        """The filter language and the verdicts."""
        return guide.decisions(feed.DOCS)

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """Draw new decisions; only once a second (``tick``) while so many come that the engine leaves some out."""
        if changes.state or self.desk.session.skipped == self._skipped:
            super().arrived(changes)

    def tick(self) -> None:
        """Draw the ages, which grow, and what came under load."""
        self._skipped = self.desk.session.skipped
        super().tick()

    def bring_in(self) -> None:
        """Take new decisions from the session."""
        self.table.take()
        self.table.notice = feed_captions.notice(self.feed, self.desk.session, self.table.cells, self.desk.context())

    def tiles(self) -> tuple[Tile, ...]:
        """The counters since the start of the engine."""
        return feed_captions.totals(self.desk.session.status, self.desk.context(), lost=self.lost)

    def show_header(self) -> None:
        """Draw the titles and the panel."""
        self._header.show(self.placed, self.order.column.key, inverted=self.order.inverted)
        self._refused.show()

    def title_line(self) -> Line:
        """The filter, the pause, and how many newer decisions are above the first line."""
        newer = self.table.scroll_offset.y
        context, order = self.desk.context(), self.told_order
        return feed_captions.title(self.feed, self.desk.session, newer, self.size.width, context, order=order)

    def detail_line(self) -> Line:
        """The decision under the cursor, with what its columns had to cut."""
        return feed_captions.detail(self.table.row, self.size.width, self.desk.context())

    @property
    def filtered(self) -> str:
        return self.feed.filter.text

    def narrow(self, text: str) -> str:
        """Filter the decisions that are held; returns how many match."""
        self.feed.narrow(DecisionFilter(text))
        return f"{len(self.feed)} of {self.feed.known}"

    # ---- in what order, and exported

    @property
    def placed(self) -> Sequence[Placed[DecisionRow]]:
        return self.table.placed

    def take_order(self) -> None:
        """Sort the decisions."""
        self.feed.sort(self.order)

    def sheet(self) -> Sheet[DecisionRow]:
        """The decisions that match the filter."""
        return Sheet("decisions", self.feed.in_order(), parts(self.placed, KEYS), record, "decision")

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """The same key is Pause, and Go on during a pause."""
        live = not self.desk.is_replay  # there the key holds the replay
        return {"pause": live and not self.feed.paused, "go_on": live and self.feed.paused}.get(action, True)

    def action_pause(self) -> None:
        """Take no new decisions."""
        self._pause(True)

    def action_go_on(self) -> None:
        """Show what came during the pause."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        self.feed.paused = paused
        self.refresh_bindings()
        self.show()

    def action_card(self) -> None:
        """Show the card of the mailbox; of several the first."""
        row = self.table.row
        if row is not None:
            self.table.hold()
            self.show_card(row.mailbox.partition(",")[0].strip())

    @on(DecisionTable.Opened)
    def _opened(self, event: DecisionTable.Opened) -> None:
        self.app.push_screen(Explain(self.desk, event.row))
