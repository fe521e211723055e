"""The card of one account: all that a help desk needs, on one screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import GetDetails
from mailquota.core.control.results import Details

from ..acts.keys import ActingScreen
from ..desk import captions
from ..desk.desk import Copied, Desk, is_seen
from ..desk.session import Changes, State
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..frame import guide
from ..widgets.background import background
from ..widgets.foot import Foot
from ..widgets.head import Head
from ..widgets.note_line import NoteLine
from ..widgets.title_rule import TitleRule
from . import folders
from .folder_screen import FolderScreen
from .page import Card
from .text import CardText

SOON, LATER = 3.0, 30.0  # seconds until the engine is asked again: after a change of the account, and without


class CardScreen(ActingScreen):
    """Usage and limit follow the account at once; folders, history and lists are asked for every 3 to 30 seconds."""

    TITLE = "Card"
    AUTO_FOCUS = "CardText"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="copy the card as text for a ticket"),
        Binding("left_square_bracket", "turn_to(-1)", "Previous", False, tooltip="the account before it in the list"),
        Binding("right_square_bracket", "turn_to(1)", "Next", False, tooltip="the account after it in the list"),
        Binding("escape", "close", "Back", tooltip="back to where the card was opened", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, row: AccountRow, trail: tuple[str, ...] = ()) -> None:
        super().__init__(desk)
        self._before = trail
        self._names: list[str] = []  # of the folders, as they are on the card
        self._card = Card(row)
        self._gone = False
        self._changed = True
        self._asked_at = float("-inf")
        self._asking = ""  # the address whose details are awaited
        self._head = Head(desk.session, lambda: desk.kind, desk.context)
        self._title = TitleRule()
        self._text = CardText()
        self._note = NoteLine(desk.steady)
        self._foot = Foot(desk.glyphs)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._title
        yield self._text
        yield self._note
        yield self._foot

    def on_mount(self) -> None:
        """Give the keys to the text, so that it can be scrolled."""
        self._text.focus()

    def on_resize(self) -> None:
        """Draw the card for the new size."""
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        """Have the account measured each second, and ask for the rest, which comes while the screen is laid out."""
        self.desk.link.watch([self.address])
        self._changed = True
        self._ask_if_due()
        self.call_after_refresh(self.show)

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """What the plot shows."""
        return guide.card(glyphs)

    @property
    def trail(self) -> tuple[str, ...]:
        """Where the card was opened is the step before."""
        return (*self._before, self.address)

    @property
    def address(self) -> str:
        """The account that is shown now."""
        return self._card.row.address

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """Take the new row of the account."""
        row = changes.row(self.address)
        if row is not None:
            self._card, self._changed = replace(self._card, row=row), True
        if changes.snapshot is not None or changes.removed or row is not None:
            self._gone = self.address not in self.desk.accounts.rows
        if changes.state:
            self._changed = True
            self.refresh_bindings()
        self._show_if_seen()

    def tick(self) -> None:
        """Draw the ages, which grow, and ask again if it is time."""
        self._show_if_seen()

    def _show_if_seen(self) -> None:
        if self.is_mounted and is_seen(self):
            self.show()

    def show(self) -> None:
        """Draw what differs, and ask again if the details are old enough."""
        context, session, size = self.desk.context(), self.desk.session, self.size
        self._ask_if_due()
        self._head.show()
        name = fmt.literal(self.address, context.glyphs)
        place = [("is no account any more ", "over")] if self._gone else []
        name = fmt.fit(name, min(fmt.width_of([(name, "")]), max(8, size.width - 30)), context.glyphs)
        title = captions.heading(name, session, size.width, context, place=place, trail=self.trail)
        self._title.paint([title])
        problem = session.status.state_problem if session.status is not None else ""
        text = self._text.size
        card = replace(self._card, problem=problem, lost=session.state is State.LOST).laid_out(
            text.width - 1, text.height, context
        )
        self._text.show_card(card.lines, card.folders_from, self._names, self._card.chosen)
        self._note.show(())
        self._foot.show(())

    # ---- asking

    def _ask_if_due(self) -> None:
        due, now = self._card.details is None or self._changed, self.desk.steady()
        waited = now - self._asked_at >= (SOON if due else LATER)
        live = self.desk.session.state is State.LIVE and not self._gone
        if live and waited and self._asking != self.address:
            self._asked_at, self._asking, self._changed = now, self.address, False
            self._load(self.address)

    @background()
    async def _load(self, address: str) -> None:
        try:
            details: Details = await self.desk.link.ask(lambda number: GetDetails(number, address), Details)
        except MailquotaError as error:
            if address == self.address:
                self._note.say(((fmt.literal(str(error), self.desk.glyphs), "over"),))
            return
        finally:
            if address == self._asking:
                self._asking = ""
        if address != self.address:  # meanwhile another account was turned to
            return
        self._names = folders.names(details.folders)
        there = list(filter(None, self._names))
        chosen = self._card.chosen if self._card.chosen in there else next(iter(there), "")
        self._card = replace(self._card, row=details.row, details=details, chosen=chosen)
        self._show_if_seen()

    # ---- keys

    def targets(self) -> list[AccountRow]:
        """The account of the card, whichever accounts are marked."""
        return [self._card.row]

    def last_of(self) -> str:
        """The address of the card: its own last edit is undone, whatever was edited since."""
        return self.address

    def say(self, line: Line) -> None:
        """Show a message in place of the line below the card."""
        self._note.say(line)

    def done(self, line: Line | None) -> None:
        """Show what a dialog did, and ask for the details."""
        self._asked_at = float("-inf")
        if line is not None:
            self._note.say(line)
        self.show()

    def action_turn_to(self, step: int) -> None:
        """Show the account that is so many lines below this one in the list of accounts."""
        accounts = self.desk.accounts
        line = accounts.find(self.address)
        row = None if line is None else accounts.at(line + step)
        if row is None:
            why = "The list of accounts does not show it" if line is None else "No account is beyond it in the list"
            self._note.say(((why, "quiet"),))
            return
        self._card, self._gone, self._changed, self._asked_at = Card(row), False, True, float("-inf")
        self._names = []
        self._text.scroll_to(y=0, animate=False)
        self.desk.link.watch([self.address])
        self.show()

    @on(CardText.Chosen)
    def _chosen(self, event: CardText.Chosen) -> None:
        if event.place < len(self._names):
            self._card = replace(self._card, chosen=self._names[event.place])
            self.show()
            if event.opens:
                self.action_open_folder()

    def action_open_folder(self) -> None:
        """Show what is in the folder that is chosen."""
        names = list(filter(None, self._names))
        if not self._card.chosen:
            why = "The folders are not known yet" if self._card.details is None else "There are no folders here"
            self._note.say(((why, "quiet"),))
            return
        page = FolderScreen(self.desk, self._card.row, self._card.chosen, names, self.trail)
        self.app.push_screen(page, self._back_from)

    def _back_from(self, folder: str | None) -> None:
        """The folder that was shown last is the chosen one."""
        if folder and folder in self._names:
            self._card = replace(self._card, chosen=folder)
            self._text.bring_into_view(self._names.index(folder))
        self.show()

    def action_close(self) -> None:
        """Go back to the list."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the card as text."""
        self.post_message(self.to_copy())

    def to_copy(self) -> Copied:
        return Copied("The card as text", self._card.text(self.desk.context()))
