"""The accounts screen: the table, the account under the cursor, the newest decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_count

from ..acts.keys import ActingScreen
from ..card.screen import CardScreen
from ..desk import captions
from ..desk.desk import Copied, Desk, is_seen
from ..desk.session import Changes
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.sheet import Sheet
from ..frame import guide
from ..widgets.foot import Foot
from ..widgets.head import Head
from ..widgets.note_line import NoteLine
from ..widgets.painted import Painted
from . import exported
from .pane import AccountsPane
from .strip import DecisionStrip
from .table import AccountTable


class AccountsScreen(ActingScreen):
    """Keys act on the marked accounts; if none is marked, on the one under the cursor."""

    TITLE = "Accounts"
    AUTO_FOCUS = "AccountTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False, tooltip="copy the address, or those of the marked accounts"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.pane = AccountsPane(desk)
        self._head = Head(desk.session, lambda: desk.kind, desk.context)
        self._detail = NoteLine(desk.steady)
        self._rule = Painted(id="decisions-rule")
        self._decisions = DecisionStrip(desk.session, desk.context)
        self._foot = Foot(desk.glyphs)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self.pane
        yield self._detail
        yield self._rule
        yield self._decisions
        yield self._foot

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self.pane.table.focus()

    def on_resize(self) -> None:
        """Leave out the newest decisions on low terminals."""
        height = self.app.size.height
        lines = 0 if height < 18 else 3 if height < 30 else 5 if height < 45 else 9
        self.set_class(lines == 0, "-short")
        self._decisions.styles.height = lines
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        """Draw the screen. Changes that came meanwhile are in the list already."""
        self.pane.tell_visible()
        self.call_after_refresh(self.show)

    @property
    def trail(self) -> tuple[str, ...]:
        """The screen that led here, if one did."""
        return self.pane.trail

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """The filter language, limits, levels."""
        return guide.accounts(glyphs)

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """Take the changes into the list, and draw them if the screen is visible."""
        if not self.is_mounted:
            return
        self.pane.take(changes)
        if changes.state:
            self.refresh_bindings()
        if is_seen(self):
            self.show()

    def tick(self) -> None:
        """Draw the ages, which grow."""
        if is_seen(self):
            self.show()

    def show(self) -> None:
        """Draw all parts; each sends only the lines that differ."""
        self._head.show()
        self.pane.show()
        self._rule.paint([captions.decisions_rule(self.desk.session, self.size.width, self.desk.context())])
        self._decisions.show()
        self._show_lower()

    @on(AccountsPane.Changed)
    def _show_lower(self) -> None:
        self._foot.show(captions.marks(self.pane.accounts, ranging=self.pane.table.ranging))
        self._detail.show(captions.detail(self.pane.table.row, self.size.width, self.desk.context()))

    def say(self, line: Line) -> None:
        """Show a message in place of the line about the account, for ten seconds or until the cursor moves."""
        self._detail.say(line)

    @on(AccountTable.Moved)
    def _moved(self) -> None:
        self._detail.forget()
        self._show_lower()

    # ---- what acts on accounts

    def targets(self) -> list[AccountRow]:
        """The marked accounts; if none is marked, the one under the cursor."""
        targets = self.pane.targets()
        if not targets:
            self.say((("No account here", "quiet"),))
        return targets

    def done(self, line: Line | None) -> None:
        """Show what a dialog did."""
        if line is not None:
            self.say(line)

    @on(AccountTable.Opened)
    def _opened(self, event: AccountTable.Opened) -> None:
        card = CardScreen(self.desk, event.row, self.trail)
        self.app.push_screen(card, lambda _: self._back_from(card.address))

    def _back_from(self, address: str) -> None:
        """The cursor goes to the account that the card showed last."""
        line = self.pane.accounts.find(address)
        if line is not None and not self.pane.table.ranging:
            self.pane.table.go_to(line)

    def action_copy(self) -> None:
        """Copy the address, or those of the marked accounts, one a line."""
        if found := self.to_copy():
            self.post_message(found)

    def sheet(self) -> Sheet[AccountRow]:
        """The marked accounts, else all that are shown."""
        return exported.sheet(self.pane.accounts, self.pane.table.placed)

    def to_copy(self) -> Copied | None:
        rows = self.targets()
        if not rows:
            return None
        name = (
            fmt.literal(rows[0].address, self.desk.glyphs) if len(rows) == 1 else f"{format_count(len(rows))} addresses"
        )
        return Copied(name, "\n".join(row.address for row in rows))
