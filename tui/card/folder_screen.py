"""The page of one folder of a mailbox: what came when, and which messages are the largest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import AccountRow
from mailquota.core.control.contents import FolderContents
from mailquota.core.control.messages import GetFolder

from ..desk import captions
from ..desk.desk import Copied, Desk, LiveScreen, is_seen
from ..desk.session import Changes, State
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..frame import guide
from ..widgets.background import background
from ..widgets.foot import Foot
from ..widgets.head import Head
from ..widgets.note_line import NoteLine
from ..widgets.painted import SCREEN_LOOKS
from ..widgets.text_list import TextList
from ..widgets.title_rule import TitleRule
from .folder_page import FolderPage


class FolderScreen(Screen[str], LiveScreen):
    """The engine looks through the folder once, as that may take seconds. Closing it gives the last folder shown."""

    TITLE = "Folder"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    AUTO_FOCUS = "TextList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "look_again", "Look again", tooltip="look through the folder again"),
        Binding("y", "copy", "Copy", tooltip="copy the page as text for a ticket"),
        Binding("left_square_bracket", "turn_to(-1)", "Previous", False, tooltip="the folder before it on the card"),
        Binding("right_square_bracket", "turn_to(1)", "Next", False, tooltip="the folder after it on the card"),
        Binding("escape", "close", "Back", tooltip="back to the card", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, row: AccountRow, folder: str, names: Sequence[str], trail: tuple[str, ...]) -> None:
        super().__init__()
        self.desk = desk
        self._page = FolderPage(row, folder)
        self._names = names
        self._before = trail
        self._asking = ""  # the folder whose contents are awaited
        self._head = Head(desk.session, lambda: desk.kind, desk.context)
        self._title = TitleRule()
        self._text = TextList(id="card", fit=False)
        self._note = NoteLine(desk.steady)
        self._foot = Foot(desk.glyphs)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._title
        yield self._text
        yield self._note
        yield self._foot

    def on_mount(self) -> None:
        """Give the keys to the text, and ask."""
        self._text.focus()
        self._ask()

    def on_resize(self) -> None:
        """Draw the page for the new size."""
        self.call_after_refresh(self.show)

    def on_screen_resume(self) -> None:
        """Have the account measured each second, as on its card."""
        self.desk.link.watch([self._page.row.address])
        self.call_after_refresh(self.show)

    @property
    def trail(self) -> tuple[str, ...]:
        """The card is the step before."""
        return (*self._before, self._page.folder)

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:  # noqa: ARG002
        """What is told, and what is not."""
        return guide.folder()

    # ---- drawing

    def arrived(self, changes: Changes) -> None:
        """Take the new row of the account; an engine that is back is asked what the lost one did not answer."""
        row = changes.row(self._page.row.address)
        if row is not None:
            self._page = replace(self._page, row=row)
        if changes.state:
            self.refresh_bindings()
            if self._page.contents is None and self.desk.session.state is State.LIVE:
                self._ask()
        self.tick()

    def tick(self) -> None:
        """Draw the ages, which grow."""
        if self.is_mounted and is_seen(self):
            self.show()

    def show(self) -> None:
        """Draw what differs."""
        context, session, width = self.desk.context(), self.desk.session, self.size.width
        self._head.show()
        self._title.paint([captions.heading(self._page.folder, session, width, context, trail=self.trail)])
        self._text.show(self._page.lines(self._text.size.width - 1, context))
        self._note.show(())
        self._foot.show(())

    def say(self, line: Line) -> None:
        """Show a message below the page."""
        self._note.say(line)

    # ---- asking

    @background()
    async def _ask(self) -> None:
        address, folder = self._page.row.address, self._page.folder
        if self._asking == folder:
            return
        self._asking = folder
        try:
            found: FolderContents = await self.desk.link.ask(
                lambda number: GetFolder(number, address, folder), FolderContents
            )
        except MailquotaError as error:
            self._failed(folder, str(error))
        else:
            if folder == self._page.folder:  # else another one was turned to meanwhile
                self._page = replace(self._page, contents=found, error="")
        finally:
            if self._asking == folder:
                self._asking = ""
        self.tick()

    def _failed(self, folder: str, why: str) -> None:
        """Say why; the last good contents stay."""
        if folder != self._page.folder:
            return
        self._page = replace(self._page, error=why)
        if self._page.contents is not None:
            self._note.say(((fmt.literal(why, self.desk.glyphs), "over"),))

    # ---- keys

    def action_look_again(self) -> None:
        """Ask the engine to look through the folder again."""
        self._note.say(((f"Looking through the folder again {self.desk.glyphs.ellipsis}", "quiet"),))
        self._ask()

    def action_turn_to(self, step: int) -> None:
        """Show the folder that is so many lines below this one on the card."""
        names, name = self._names, self._page.folder
        line = names.index(name) + step if name in names else -1
        if not 0 <= line < len(names):
            self._note.say((("No folder is beyond it on the card", "quiet"),))
            return
        self._page = FolderPage(self._page.row, names[line])
        self._text.scroll_to(y=0, animate=False)
        self._ask()
        self.show()

    def action_close(self) -> None:
        """Back to the card, to the folder that was shown last."""
        self.dismiss(self._page.folder)

    def action_copy(self) -> None:
        """Copy the page as text."""
        self.post_message(self.to_copy())

    def to_copy(self) -> Copied:
        return Copied("The page as text", self._page.text(self.desk.context()))
