"""Accounts, the home screen: the table, the account under the cursor, the newest decisions."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer

from core.errors import UsageError
from core.filters import parse_filter
from core.model import AccountRow
from tui import captions
from tui import format as fmt
from tui.columns import Column
from tui.desk import Desk, Informed
from tui.dialogs.details import Details
from tui.dialogs.edit_limit import EditLimit
from tui.dialogs.empty_trash import EmptyTrash
from tui.dialogs.recalculate import Recalculate
from tui.format import Line
from tui.model import AccountList
from tui.session import Changes
from tui.widgets.account_table import AccountTable
from tui.widgets.decisions import DecisionStrip
from tui.widgets.filter_line import FilterLine
from tui.widgets.foot import Foot
from tui.widgets.head import Head
from tui.widgets.painted import Painted
from tui.widgets.table_header import TableHeader

SLICE = 10_000  # accounts that a filter looks at before it lets keys through
WATCH_SECONDS = 0.3
NOTE_SECONDS = 10.0
CHANGING = frozenset({"edit_limit", "recalculate", "empty_trash"})


class AccountsScreen(Screen[None], Informed):
    """Keys act on the marked accounts, else on the one under the cursor."""

    CSS_PATH = "accounts.tcss"
    TITLE = "Accounts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit_limit", "Edit limit", tooltip="edit the limit"),
        Binding("r", "recalculate", "Recalculate", tooltip="count again what the mailbox holds"),
        Binding("t", "empty_trash", "Empty Trash", tooltip="remove what lies in Trash, after a question"),
        Binding("enter", "open", "Details", tooltip="everything about the account under the cursor", key_display="⏎"),
        Binding("space", "mark", "Mark", tooltip="mark the account, or unmark it"),
        Binding("slash", "filter", "Filter", tooltip="show only some accounts"),
        Binding("greater_than_sign,f6", "sort(1)", "Sort", tooltip="sort by the next column", key_display="< >"),
        Binding("less_than_sign", "sort(-1)", "Sort back", show=False, tooltip="sort by the column before"),
        Binding("I", "invert", "Invert", tooltip="sort the other way round"),
        Binding("asterisk", "mark_all", "Mark all", tooltip="mark everything that the filter shows"),
        Binding("u", "clear_marks", "Unmark", tooltip="clear all marks"),
        Binding("y", "copy", "Copy", tooltip="copy the address to the clipboard"),
        Binding("escape", "back", "Back", show=False, tooltip="clear the filter"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.accounts = AccountList()
        self._note: tuple[Line, float] | None = None
        self._watch_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """From the top down."""
        desk = self.desk
        yield Head(desk.session, lambda: desk.place, desk.look)
        yield Painted(id="title")
        yield FilterLine(id="filter")
        yield TableHeader(desk.glyphs)
        yield AccountTable(self.accounts, desk.look, id="accounts")
        yield Painted(id="detail")
        yield Painted(id="decisions-rule")
        yield DecisionStrip(desk.session, desk.look)
        yield Foot(desk.glyphs)

    @property
    def table(self) -> AccountTable:
        """The accounts."""
        return self.query_one(AccountTable)

    def on_mount(self) -> None:
        """The table has the keys."""
        self.table.focus()

    def on_resize(self) -> None:
        """Short terminals have no strip of decisions."""
        height = self.app.size.height
        lines = 0 if height < 18 else 3 if height < 30 else 5 if height < 45 else 9
        self.set_class(lines == 0, "-short")
        self.query_one(DecisionStrip).styles.height = lines
        self.call_after_refresh(self.show)

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """News from the engine."""
        if not self.is_mounted:
            return
        now = self.desk.clock()
        if changes.snapshot is not None:
            self.accounts.replace(changes.snapshot, now)
        if changes.rows or changes.removed:
            self.accounts.update(changes.rows.values(), changes.removed, now)
        if changes.snapshot is not None or changes.rows or changes.removed:
            self.table.reload()
        if changes.state:
            self.refresh_bindings()
        self.show()

    def tick(self) -> None:
        """Ages grow."""
        if self._note is not None and self.desk.clock() > self._note[1]:
            self._note = None
        self.show()

    def show(self) -> None:
        """Draw what differs, everywhere."""
        look, width, accounts = self.desk.look(), self.size.width, self.accounts
        self.query_one(Head).show()
        self.query_one("#title", Painted).paint([captions.title(accounts, self.desk.session, width, look)])
        self.query_one("#decisions-rule", Painted).paint([captions.decisions_rule(self.desk.session, width, look)])
        self.query_one(DecisionStrip).show()
        self.query_one(Foot).show(captions.marks(accounts))
        table = self.table
        self.query_one(TableHeader).show(table.placed, accounts.column.key, inverted=accounts.inverted)
        table.notice = captions.notice(accounts, self.desk.session, table.cells, look)
        table.redraw()
        self._show_detail()

    def _show_detail(self) -> None:
        line = self._note[0] if self._note is not None else None
        if line is None:
            line = captions.detail(self.table.row, self.size.width, self.desk.look())
        self.query_one("#detail", Painted).paint([line])

    def say(self, line: Line) -> None:
        """A message where the account's line is, for a while."""
        self._note = (((" ", "plain"), *line), self.desk.clock() + NOTE_SECONDS)
        self._show_detail()

    @on(AccountTable.Moved)
    def _moved(self) -> None:
        self._note = None
        self._show_detail()
        if self._watch_timer is None:
            self._watch_timer = self.set_timer(WATCH_SECONDS, self._tell_visible)

    def _tell_visible(self) -> None:
        self._watch_timer = None
        self.desk.link.watch(self.table.on_screen())

    # ---- filter

    def action_filter(self) -> None:
        """Open the filter line."""
        self.add_class("-filtering")
        self.query_one(FilterLine).open(self.accounts.filter.text if self.accounts.filter is not None else "")

    def action_back(self) -> None:
        """Esc: first the filter goes."""
        self._cleared()

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        self._sieve(event.text)

    @work(exclusive=True, group="filter")
    async def _sieve(self, text: str) -> None:
        """Filter in slices, so that the next key need not wait; a text that can't be read changes nothing."""
        try:
            found = parse_filter(text)
        except UsageError as error:
            self._say_found(((f" {fmt.literal(str(error), self.desk.glyphs)}", "over"),))
            return
        accounts, now = self.accounts, self.desk.clock()
        accounts.touched.clear()
        rows, kept = list(accounts.rows.values()), list[AccountRow]()
        for start in range(0, len(rows), SLICE):
            kept += found.select(rows[start : start + SLICE], now)
            await asyncio.sleep(0)
        accounts.filter_by(found if found.words else None, kept)
        self._say_found(((f" {fmt.plural(len(accounts), 'account')} ", "quiet"),))
        self.table.reorder()
        self.show()

    def _say_found(self, line: Line) -> None:
        self.query_one(FilterLine).say(line, min(fmt.width_of(line), self.size.width * 2 // 3))

    @on(FilterLine.Kept)
    def _kept(self) -> None:
        self.remove_class("-filtering")
        self.table.focus()
        self.show()

    @on(FilterLine.Cleared)
    def _cleared(self) -> None:
        self._kept()
        if self.accounts.filter is not None:
            self._sieve("")

    # ---- order

    def action_sort(self, step: int) -> None:
        """By the next column that is on the screen."""
        shown = [place.column for place in self.table.placed]
        at = shown.index(self.accounts.column) if self.accounts.column in shown else 0
        self.sort_by(shown[(at + step) % len(shown)])

    def sort_by(self, column: Column, *, inverted: bool = False) -> None:
        """Show in another order."""
        self.accounts.sort_by(column, inverted=inverted)
        self.table.reorder()
        self.show()

    def action_invert(self) -> None:
        """The other way round."""
        self.sort_by(self.accounts.column, inverted=not self.accounts.inverted)

    @on(TableHeader.Clicked)
    def _header_clicked(self, event: TableHeader.Clicked) -> None:
        same = event.column is self.accounts.column
        self.sort_by(event.column, inverted=same and not self.accounts.inverted)

    # ---- marks

    def action_mark(self) -> None:
        """Mark, and on to the next."""
        row = self.table.row
        if row is not None:
            self.accounts.toggle(row.address)
            self.table.action_move(1)
            self.show()

    def action_mark_all(self) -> None:
        """Everything shown."""
        self.accounts.mark_all()
        self.show()

    def action_clear_marks(self) -> None:
        """Nothing marked."""
        self.accounts.clear_marks()
        self.show()

    # ---- what acts on accounts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Who may only look has no keys that change anything."""
        return self.desk.may_change or action not in CHANGING

    def _targets(self) -> list[AccountRow]:
        """The marked accounts, else the one under the cursor."""
        row = self.table.row
        return self.accounts.marked() or ([row] if row is not None else [])

    def action_edit_limit(self) -> None:
        """Ask for the new limit."""
        if targets := self._targets():
            self.app.push_screen(EditLimit(self.desk, targets), self._done)

    def action_recalculate(self) -> None:
        """Count again."""
        if targets := self._targets():
            self.app.push_screen(Recalculate(self.desk, targets))

    def action_empty_trash(self) -> None:
        """Show what lies there, and ask."""
        if targets := self._targets():
            self.app.push_screen(EmptyTrash(self.desk, targets), self._done)

    def action_open(self) -> None:
        """Details."""
        self.table.action_open()

    def _done(self, line: Line | None) -> None:
        if line is not None:
            self.say(line)

    @on(AccountTable.Opened)
    def _opened(self, event: AccountTable.Opened) -> None:
        self.app.push_screen(Details(self.desk, event.row))

    def action_copy(self) -> None:
        """The address, by the terminal's own clipboard (OSC 52)."""
        row = self.table.row
        if row is not None:
            self.app.copy_to_clipboard(row.address)
            self.say(((f"Copied {fmt.literal(row.address, self.desk.glyphs)}", "good"),))
