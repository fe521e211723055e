"""The accounts with their title, filter line and header: which are shown, in what order, which are marked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer

from mailquota.core.base.errors import UsageError
from mailquota.core.base.filters import DOCS, Filter, parse_filter
from mailquota.core.base.model import AccountRow

from ..desk import account_columns, captions
from ..desk.account_columns import BY_KEY, COLUMNS
from ..desk.account_list import SLICE, View
from ..desk.desk import Desk, Tell, is_seen
from ..desk.modes import NAMES
from ..desk.screen_memory import ACCOUNTS, ScreenMemory
from ..desk.session import Changes
from ..desk.typed import Choice, Doing, takes
from ..draw import format as fmt
from ..draw.grid import Column
from ..frame.saved_filters import SAVING, SavesFilters
from ..frame.sort_menu import SortMenu
from ..frame.sorted_screen import SORTING, called, named, sort_choices, sorted_by
from ..widgets.background import background
from ..widgets.filter_line import FilterLine
from ..widgets.table_header import TableHeader
from ..widgets.title_rule import TitleRule
from .choose_columns import ChooseColumns
from .table import AccountTable
from .way_back import WayBack

FRAME_SECONDS = 0.03  # until the header that a key changed is on the screen
TURN_SECONDS = 0.008  # of work, then keys are handled
PAUSE_SECONDS = 0.002  # a key takes about ten turns of the loop, so one turn (0 s) is not enough
WATCH_SECONDS = 0.3
FORMS = "text  @domain  >80%  over|near  days<14  /regex/  !word"


def _filters(_pane: AccountsPane, _words: Sequence[str]) -> Iterator[Choice]:
    """The words that stand for themselves."""
    yield from (Choice(form, meaning) for form, meaning in DOCS if form.isalpha() and form != "text")


def _columns(_pane: AccountsPane, _words: Sequence[str]) -> Iterator[Choice]:
    yield from (Choice(called(column), column.about or column.title) for column in COLUMNS)


class AccountsPane(SavesFilters, Vertical):
    """Another order or filter is made in slices, so that keys are handled meanwhile, even with 100,000 accounts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", tooltip="show only some accounts"),
        Binding("f4", "filter", "Filter", show=False, tooltip="show only some accounts"),
        *SAVING,
        Binding("space", "mark", "Mark", tooltip="mark the account, or unmark it"),
        *SORTING,
        Binding("v", "range", "Range", show=False, tooltip="mark all that the cursor passes; v again ends it"),
        Binding("shift+up", "extend(-1)", "Mark up", show=False, tooltip="mark, and one line up"),
        Binding("shift+down", "extend(1)", "Mark down", show=False, tooltip="mark, and one line down"),
        Binding("c", "columns", "Columns", show=False, tooltip="choose the columns, and their order"),
        Binding("asterisk", "mark_all", "Mark all", tooltip="mark everything that the filter shows"),
        Binding("tilde", "turn_marks", "Turn marks", show=False, tooltip="turn the marks of what is shown round"),
        Binding("u", "clear_marks", "Unmark", tooltip="clear all marks"),
        Binding("escape", "clear_filter", "Clear filter", show=False, tooltip="show all accounts again"),
    ]

    class Changed(Message):
        """Other accounts are shown or marked."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="pane")
        self.desk = desk
        self.accounts = desk.accounts
        self.columns = COLUMNS
        self.filters = ScreenMemory(desk.memory, ACCOUNTS)
        self.table = AccountTable(self.accounts, desk.context)
        self._recall()
        self._title = TitleRule()
        self._filter_line = FilterLine(FORMS, desk.glyphs, id="filter", history=lambda: self.filters.last)
        self._header = TableHeader(desk.glyphs)
        self._watch_timer: Timer | None = None
        self._way_back: WayBack | None = None
        self._returning: WayBack | None = None  # on the way back, until the filter of before is in force again

    def _recall(self) -> None:
        """Columns and order as they were in the last run."""
        kept = self.desk.memory.kept
        self.table.columns = account_columns.chosen(kept.columns)
        if kept.sort in BY_KEY:
            self.accounts.wanted = View(BY_KEY[kept.sort], inverted=kept.inverted)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._filter_line
        yield self._header
        yield self.table

    def targets(self) -> list[AccountRow]:
        """The marked accounts; if none is marked, the one under the cursor."""
        row = self.table.row
        self.table.hold()
        return self.accounts.marked() or ([row] if row is not None else [])

    # ---- drawing

    def take(self, changes: Changes) -> None:
        """Take the changes into the list."""
        now = self.desk.clock()
        if changes.snapshot is not None:
            self.accounts.replace(changes.snapshot, now)
        if changes.rows or changes.removed:
            self.accounts.update(changes.rows.values(), changes.removed, now)
        if changes.snapshot is not None or changes.rows or changes.removed:
            self.table.reload()

    def show(self) -> None:
        """Draw all parts; each sends only the lines that differ."""
        context, session = self.desk.context(), self.desk.session
        within = self._way_back.words if self._way_back is not None else ""
        title = captions.title(self.accounts, session, self.size.width, context, trail=self.trail, within=within)
        self._title.paint([title])
        self._show_header()
        self.table.notice = captions.notice(self.accounts, session, self.table.cells, context)
        self.table.redraw()

    def _show_header(self) -> None:
        wanted = self.accounts.wanted
        self._header.show(self.table.placed, wanted.column.key, inverted=wanted.inverted, more=self.table.more)

    @on(AccountTable.LaidOut)
    def _laid_out(self) -> None:
        self._show_header()

    def _changed(self) -> None:
        self.show()
        self.post_message(self.Changed())

    @on(AccountTable.Scrolled)
    def _scrolled(self) -> None:
        if self._watch_timer is None:
            self._watch_timer = self.set_timer(WATCH_SECONDS, self.tell_visible)

    def tell_visible(self) -> None:
        """Have the engine measure the accounts on the screen each second."""
        self._watch_timer = None
        if is_seen(self.screen):  # else the accounts of another screen are watched
            self.desk.link.watch(self.table.on_screen())

    # ---- which and in what order

    def _want(self, **changes: Any) -> None:
        self.accounts.wanted = replace(self.accounts.wanted, **changes)
        self._show_header()
        self._arrange()

    @background(exclusive=True, group="arrange")
    async def _arrange(self) -> None:
        """Make the wanted view slice by slice. Keys are handled between the slices, and before the first."""
        if len(self.accounts.rows) > SLICE:
            await asyncio.sleep(FRAME_SECONDS)
        now = asyncio.get_running_loop().time
        until = now() + TURN_SECONDS
        for _slice in self.accounts.arrange(self.desk.clock()):
            if now() >= until:
                await asyncio.sleep(PAUSE_SECONDS)
                until = now() + TURN_SECONDS
        self._say_found()
        self.table.reorder()
        if self._returning is not None:
            self.table.go_back(self._returning.key, self._returning.top)
            self._returning = None
        self._changed()

    def action_filter(self) -> None:
        """Open the filter line."""
        self.add_class("-filtering")
        self._filter_line.open(self.filtered)
        self._say_found()

    def _read(self, text: str) -> Filter | None:
        """The filter; None if the text is not valid, and the line then says why."""
        try:
            return parse_filter(text)
        except UsageError as error:
            self._filter_line.say(fmt.literal(str(error), self.desk.glyphs), "over")
            return None

    def _say_found(self) -> None:
        """Show how many accounts match, unless the text was changed meanwhile to one that is not valid."""
        if not self.has_class("-filtering") or self._read(self._filter_line.text) is not None:
            self._filter_line.say(fmt.plural(len(self.accounts), "account"), "quiet")

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        """Filter by the text; one that is not valid changes nothing."""
        found = self._read(event.text)
        if found is not None:
            way = self._way_back
            if way is not None and not f"{found.text} ".startswith(f"{way.words} "):
                self._way_back = None
            self._want(filter=found if found.words else None)

    def narrow(self, text: str, back_to: str, step: str) -> None:
        """Filter by this text, as if it had been typed; Esc then leads back to the screen it comes from.

        ``step`` names these accounts in the trail.
        """
        found, way, table = self._read(text), self._way_back, self.table
        if found is None:
            return
        before = way[3:] if way is not None else (self.accounts.wanted.filter, table.held, table.scroll_offset.y)
        self._close_line()
        self._way_back = WayBack(back_to, step, found.text, *before)
        table.go_back(None, 0)
        self._typed(FilterLine.Typed(text))

    @property
    def trail(self) -> tuple[str, ...]:
        """The mode that led to these accounts, and their name; else the name of the screen alone."""
        way = self._way_back
        return ("Accounts",) if way is None else (NAMES[way.mode], way.step)

    @on(FilterLine.Kept)
    def _kept(self) -> None:
        """Close the line. It stays open with a text that is not valid: the list would not match it."""
        found = self._read(self._filter_line.text)
        if found is not None:
            if found.words:
                self.filters.used(found.text)
            self._close_line()

    @takes("WORDS", _filters)
    def typed_filter(self, rest: str) -> Doing:
        """``filter over|near @example.org``."""
        parse_filter(rest)
        return partial(self._filter_by, rest)

    def _filter_by(self, text: str) -> None:
        self.filters.used(text)
        self.use_filter(text)

    @property
    def filtered(self) -> str:
        found = self.accounts.wanted.filter
        return "" if found is None else found.text

    def use_filter(self, text: str) -> None:
        """Filter by this text; one that is not valid, as by another version or by hand, is told."""
        try:
            parse_filter(text)
        except UsageError as error:
            self.post_message(Tell(((fmt.literal(str(error), self.desk.glyphs), "over"),)))
        else:
            self._typed(FilterLine.Typed(text))

    def _close_line(self) -> None:
        self.remove_class("-filtering")
        self.screen.set_focus(self.table)
        self.show()

    @on(FilterLine.Cleared)
    async def action_clear_filter(self) -> None:
        """Show all accounts; or go back to the screen that led here, and leave the filter as it was before.

        A range that is being marked is taken back first.
        """
        typing, now = self.has_class("-filtering"), self.accounts.wanted.filter
        self._close_line()
        if self.table.ranging:
            self.table.end_range(keep=False)
            self._changed()
            return
        way = self._way_back
        if way is not None and (now is None or now.text != way.words):
            self._want(filter=parse_filter(way.words))
        elif way is not None and not typing:
            self._way_back, self._returning = None, way
            self._want(filter=way.filter)
            await self.run_action(f"app.show_mode('{way.mode}')")
        elif way is None and now is not None:
            self._want(filter=None)

    @takes("COLUMN", sort_choices, listed=True, about="sort by this column; with - before it the other way round")
    def typed_sort(self, rest: str) -> Doing:
        """``sort used``; ``sort -used`` the other way round."""
        column, inverted = sorted_by(self.columns, rest)
        return partial(self.sort_by, column, inverted=inverted)

    def action_sort(self, step: int) -> None:
        """Sort by the next (1) or the previous (-1) column that is shown."""
        shown = [place.column for place in self.table.placed]
        now = self.accounts.wanted.column
        at = shown.index(now) if now in shown else 0
        self.sort_by(shown[(at + step) % len(shown)])

    def sort_by(self, column: Column[AccountRow], *, inverted: bool = False) -> None:
        """Sort by this column."""
        self.desk.memory.keep(sort=column.key, inverted=inverted)
        self._want(column=column, inverted=inverted)

    def action_invert(self) -> None:
        """Invert the order."""
        wanted = self.accounts.wanted
        self.sort_by(wanted.column, inverted=not wanted.inverted)

    def action_columns(self) -> None:
        """Choose which columns are shown."""
        self.app.push_screen(ChooseColumns(self.desk, self.table.columns, self._choose))

    @takes("COLUMN... | usual", _columns, about="show these columns, in this order")
    def typed_columns(self, rest: str) -> Doing:
        """``columns used limit``: the address, and these."""
        keys = [] if rest == "usual" else [named(COLUMNS, word).key for word in rest.replace(",", " ").split()]
        return partial(self._choose, account_columns.chosen(keys))

    def _choose(self, columns: account_columns.Columns) -> None:
        self.table.choose(columns)
        keys = tuple(column.key for column in columns) if columns != account_columns.USUAL else ()
        self.desk.memory.keep(columns=keys)

    def action_sort_menu(self) -> None:
        """Choose the column from a list."""
        wanted = self.accounts.wanted
        self.app.push_screen(SortMenu(self.desk, COLUMNS, wanted.column, inverted=wanted.inverted), self._chosen)

    def _chosen(self, column: Column[AccountRow] | None) -> None:
        wanted = self.accounts.wanted
        if column is not None:
            self.sort_by(column, inverted=column is wanted.column and not wanted.inverted)

    @on(TableHeader.Clicked)
    def _header_clicked(self, event: TableHeader.Clicked) -> None:
        self._chosen(event.column)

    # ---- marks

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer Unmark only while accounts are marked."""
        return bool(self.accounts.marks) or None if action == "clear_marks" else True

    def action_mark(self) -> None:
        """Mark the account, or unmark it, and move to the next."""
        row = self.table.row
        if row is not None:
            self.table.end_range()
            self.accounts.toggle(row.address)
            self.table.action_move(1)
            self._changed()

    def action_range(self) -> None:
        """Begin a range of marks, or end it."""
        if self.table.ranging:
            self.table.end_range()
        else:
            self.table.begin_range()
        self._changed()

    def action_extend(self, step: int) -> None:
        """Mark from where this was begun to the next line, and move there."""
        self.table.extend(self.table.index + step)
        self._changed()

    @on(AccountTable.Ranged)
    def _ranged(self) -> None:
        self._changed()

    def action_turn_marks(self) -> None:
        """Turn the marks of the accounts that are shown round; those that are not shown stay as they are."""
        self.table.end_range()
        self.accounts.turn_marks()
        self._changed()

    def action_mark_all(self) -> None:
        """Mark all accounts that match the filter."""
        self.table.end_range()
        self.accounts.mark_all()
        self._changed()

    def action_clear_marks(self) -> None:
        """Unmark all accounts."""
        self.table.end_range()
        self.accounts.clear_marks()
        self._changed()
