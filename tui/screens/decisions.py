"""Decisions: what Postfix asked and what it was told, as it happens, and who is refused most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from tui import feed_captions, guide, lanes
from tui.desk import Desk, Informed
from tui.dialogs.explain import Explain
from tui.feed import DecisionFilter, Feed
from tui.format import Line
from tui.glyphs import Glyphs
from tui.session import Changes, State
from tui.widgets.decision_table import DecisionTable
from tui.widgets.filter_line import FilterLine
from tui.widgets.foot import Foot
from tui.widgets.head import Head, TileRow
from tui.widgets.painted import Painted
from tui.widgets.refused_panel import RefusedPanel

PANEL_FROM = 160  # columns of the terminal: from here it takes no cell from the recipient


class DecisionsScreen(Screen[None], Informed):
    """Reads the session when it is looked at; in the background it costs nothing."""

    CSS_PATH = "decisions.tcss"
    TITLE = "Decisions"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", tooltip="hold the list still, or let it go on"),
        Binding("p", "go_on", "Go on", tooltip="let the list go on"),
        Binding("slash", "filter", "Filter", tooltip="show only some decisions"),
        Binding("escape", "back", "Back", show=False, tooltip="clear the filter, or back to the accounts"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.feed = Feed()
        self._skipped = 0
        self.table = DecisionTable(self.feed, desk)
        self._head = Head(desk.session, lambda: desk.place, desk.look)
        self._title = Painted(id="title")
        self._filter_line = FilterLine(
            "text  refused  accepted  trouble  would  missed  !word", desk.glyphs, id="filter"
        )
        self._totals = TileRow()
        self._header = Painted(id="table-header")
        self._refused = RefusedPanel(desk)
        self._detail = Painted(id="detail")
        self._foot = Foot(desk.glyphs)

    def compose(self) -> ComposeResult:
        """From the top down."""
        yield self._head
        yield self._title
        yield self._filter_line
        yield self._totals
        with Horizontal(id="feed"):
            with Vertical(id="feed-list"):
                yield self._header
                yield self.table
            yield self._refused
        yield self._detail
        yield self._foot

    def on_mount(self) -> None:
        """The table has the keys."""
        self.table.focus()

    def on_resize(self) -> None:
        """The panel needs room."""
        self._refused.display = self.app.size.width >= PANEL_FROM
        self.call_after_refresh(self.show, anew=True)

    def on_screen_resume(self) -> None:
        """All that came meanwhile, at once."""
        self.call_after_refresh(self.show)

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """The filter and the verdicts."""
        return guide.decisions(glyphs)

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """News from the engine."""
        if changes.state:
            self.refresh_bindings()
        if changes.state or not self._under_load:
            self._show_if_seen()

    def tick(self) -> None:
        """Ages grow."""
        self._skipped = self.desk.session.skipped
        self._show_if_seen()

    @property
    def _under_load(self) -> bool:
        """More come than anybody reads, or a slow line carries: then once a second is enough."""
        return self.desk.session.skipped != self._skipped

    def _show_if_seen(self) -> None:
        if self.is_mounted and self.is_current:
            self.show()

    def show(self, *, anew: bool = False) -> None:
        """Draw what differs, everywhere."""
        look, session = self.desk.look(), self.desk.session
        self._head.show()
        self.table.take()
        self.table.notice = feed_captions.notice(self.feed, session, self.table.cells, look)
        self.table.redraw()
        lost = session.state is State.LOST
        self._totals.show(feed_captions.totals(session.status, look, lost=lost), anew=anew)
        self._header.paint([lanes.titles(self.table.fitted, look)])
        self._refused.show()
        self._foot.show(())
        self._show_around()

    @on(DecisionTable.Moved)
    @on(DecisionTable.Scrolled)
    def _show_around(self) -> None:
        look, session, width = self.desk.look(), self.desk.session, self.size.width
        newer = self.table.scroll_offset.y
        self._title.paint([feed_captions.title(self.feed, session, newer, width, look)])
        self._detail.paint([feed_captions.detail(self.table.row, width, look)])

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """What the key does now."""
        return {"pause": not self.feed.paused, "go_on": self.feed.paused}.get(action, True)

    def action_pause(self) -> None:
        """Hold still."""
        self._pause(True)

    def action_go_on(self) -> None:
        """Show what came meanwhile."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        self.feed.paused = paused
        self.refresh_bindings()
        self.show()

    def action_filter(self) -> None:
        """Open the filter line."""
        self.add_class("-filtering")
        self._filter_line.open(self.feed.filter.text)

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self._narrow(event.text)

    def _narrow(self, text: str) -> None:
        self.feed.narrow(DecisionFilter(text))
        self._filter_line.say(f"{len(self.feed)} of {self.feed.known}", "quiet")
        self.table.reorder()
        self.show()

    @on(FilterLine.Kept)
    def _kept(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(self.table)
        self.show()

    @on(FilterLine.Cleared)
    def _cleared(self) -> None:
        self._kept()
        self._narrow("")

    async def action_back(self) -> None:
        """One step at a time."""
        if self.feed.filter.text:
            self._narrow("")
        else:
            await self.run_action("app.show_mode('accounts')")

    @on(DecisionTable.Opened)
    def _opened(self, event: DecisionTable.Opened) -> None:
        self.app.push_screen(Explain(self.desk, event.row))
