"""What the screens with one table share: their parts, the filter, and the line about the row under the cursor."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget

from ..desk.desk import Desk, LiveScreen, ShowCard, is_seen
from ..desk.screen_memory import ScreenMemory
from ..desk.session import Changes, State
from ..desk.tiles import Tile
from ..desk.typed import Doing, takes
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.filter_line import FilterLine
from ..widgets.foot import Foot
from ..widgets.head import Head, TileRow
from ..widgets.live_table import LiveTable
from ..widgets.note_line import NoteLine
from ..widgets.painted import SCREEN_LOOKS
from ..widgets.title_rule import TitleRule
from .saved_filters import SAVING, SavesFilters

TO_CARD: list[BindingType] = [Binding("a", "card", "Account", tooltip="the card of the account")]


class ListScreen(SavesFilters, Screen[None], LiveScreen):
    """A subclass says what is in the table. Only a visible screen is drawn."""

    AUTO_FOCUS = "LiveTable"  # else the field of the filter has the focus until it is hidden, and takes the first key
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    FORMS = ""  # what can be typed into the filter
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", tooltip="show only what has these words"),
        Binding("f4", "filter", "Filter", show=False, tooltip="show only what has these words"),
        *SAVING,
        Binding("escape", "back", "Back", show=False, tooltip="clear the filter, or back to the accounts"),
    ]

    def __init__(self, desk: Desk, table: LiveTable) -> None:
        super().__init__()
        self.desk = desk
        self.table = table
        self._head = Head(desk.session, lambda: desk.kind, desk.context)
        self._title = TitleRule()
        self.filters = ScreenMemory(desk.memory, (self.TITLE or "").lower())
        self._filter_line = FilterLine(self.FORMS, desk.glyphs, id="filter", history=lambda: self.filters.last)
        self._totals = TileRow()
        self._detail = NoteLine(desk.steady)
        self._foot = Foot(desk.glyphs)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._title
        yield self._filter_line
        yield self._totals
        yield from self.body()
        yield self._detail
        yield self._foot

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self.table.focus()

    def on_resize(self) -> None:
        """Fit tiles and columns to the new width."""
        self.call_after_refresh(self.show, anew=True)

    def on_screen_resume(self) -> None:
        """Draw all that came while the screen was not shown."""
        self.call_after_refresh(self.show)

    # ---- what is in it

    def body(self) -> Iterable[Widget]:
        """The header and the table, and what is beside them."""
        raise NotImplementedError

    def bring_in(self) -> None:
        """Put new rows into the table, and set the text in place of rows."""
        raise NotImplementedError

    def show_header(self) -> None:
        """Draw the titles of the columns, and other parts of the body."""
        raise NotImplementedError

    def title_line(self) -> Line:
        """The title rule: name of the screen, filter, how many rows are shown."""
        raise NotImplementedError

    def detail_line(self) -> Line:
        """The line about the row under the cursor."""
        raise NotImplementedError

    def tiles(self) -> tuple[Tile, ...]:
        """The tiles with sums above the table."""
        return ()

    def narrow(self, text: str) -> str:
        """Filter by this text; returns how many rows match."""
        raise NotImplementedError

    # ---- drawing

    @property
    def lost(self) -> bool:
        """Whether the engine is gone."""
        return self.desk.session.state is State.LOST

    def arrived(self, changes: Changes) -> None:
        """Draw the changes."""
        if changes.state:
            self.refresh_bindings()
        self.show_if_seen()

    def tick(self) -> None:
        """Draw the ages, which grow."""
        self.show_if_seen()

    def show_if_seen(self) -> None:
        """Draw the screen if it is visible."""
        if self.is_mounted and is_seen(self):
            self.show()

    def show(self, *, anew: bool = False) -> None:
        """Draw all parts; each sends only the lines that differ."""
        self._head.show()
        self.bring_in()
        self.table.redraw()
        tiles = self.tiles()
        self._totals.display = bool(tiles)
        self._totals.show(tiles, anew=anew)
        self.show_header()
        self._foot.show(())
        self._show_around()

    @on(LiveTable.Scrolled)
    def _show_around(self) -> None:
        self._title.paint([self.title_line()])
        self._detail.show(self.detail_line())

    @on(LiveTable.Moved)
    def _moved(self) -> None:
        self._detail.forget()
        self._show_around()

    def say(self, line: Line) -> None:
        """Show a message in place of the line about the row, for ten seconds or until the cursor moves."""
        self._detail.say(line)

    def show_card(self, address: str) -> None:
        """Show the card of an account, if that still exists."""
        account = self.desk.accounts.rows.get(address)
        if account is not None:
            self.post_message(ShowCard(account))
        elif address:
            self.say(((f"{fmt.literal(address, self.desk.glyphs)} is no account any more", "quiet"),))
        else:
            self.say((("This is about no account", "quiet"),))

    def done(self, line: Line | None) -> None:
        """Show what a dialog did."""
        if line is not None:
            self.say(line)

    # ---- the filter

    def action_filter(self) -> None:
        """Open the filter line."""
        self.add_class("-filtering")
        self._filter_line.open(self.filtered)

    @takes("WORDS")
    def typed_filter(self, rest: str) -> Doing:
        """``filter refused !me``."""
        return partial(self.filter_by, rest)

    def filter_by(self, text: str) -> None:
        """Filter by this text, and remember it."""
        self.filters.used(text)
        self.use_filter(text)

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self._narrow(event.text)

    def use_filter(self, text: str) -> None:
        """Filter by this text."""
        self._narrow(text)

    def _narrow(self, text: str) -> None:
        self._filter_line.say(self.narrow(text), "quiet")
        self.table.reorder()
        self.show()

    @on(FilterLine.Kept)
    def _kept(self) -> None:
        self.filters.used(self.filtered)
        self._close_line()

    def _close_line(self) -> None:
        self.remove_class("-filtering")
        self.set_focus(self.table)
        self.show()

    @on(FilterLine.Cleared)
    def _cleared(self) -> None:
        self._close_line()
        self._narrow("")

    async def action_back(self) -> None:
        """Clear the filter; without one go back to the accounts."""
        if self.filtered:
            self._narrow("")
        else:
            await self.run_action("app.show_mode('accounts')")
