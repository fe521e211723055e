"""The keys that act on accounts: the same on the list and on the card of one."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from mailquota.core.base.model import AccountRow

from ..desk.desk import Desk, LiveScreen
from ..draw.format import Line
from ..journal.undo import Undo
from ..warnings.warn import Warn
from ..widgets.painted import SCREEN_LOOKS
from .edit_limit import EditLimit
from .empty_trash import EmptyTrash
from .recalculate import Recalculate


class ActingScreen(Screen[None], LiveScreen):
    """A subclass says which accounts the keys act on, and shows what was done."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit_limit", "Edit limit", tooltip="edit the limit, for good or until a day"),
        Binding("r", "recalculate", "Recalculate", tooltip="recount the mailbox"),
        Binding("t", "empty_trash", "Empty Trash", tooltip="remove messages from Trash, after a question"),
        Binding("w", "warn", "Warn", tooltip="send a warning now; shows it first"),
        Binding("U", "undo", "Undo", tooltip="take back the last edit of a limit, after a question"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def targets(self) -> list[AccountRow]:
        """The accounts that the keys act on; if there are none, the screen says so."""
        raise NotImplementedError

    def last_of(self) -> str:
        """The address whose last edit is undone; empty for the last edit of all."""
        return ""

    def done(self, line: Line | None) -> None:
        """Show what a dialog did; None if it did nothing."""
        raise NotImplementedError

    def _usable(self, action: str) -> list[AccountRow]:
        """The accounts; none if the key can't be used now, which is said."""
        return [] if self.refuses(action) else self.targets()

    def action_edit_limit(self) -> None:
        """Ask for the new limit."""
        if targets := self._usable("edit_limit"):
            self.app.push_screen(EditLimit(self.desk, targets), self.done)

    def action_recalculate(self) -> None:
        """Recount the mailboxes."""
        if targets := self._usable("recalculate"):
            self.app.push_screen(Recalculate(self.desk, targets), self.done)

    def action_empty_trash(self) -> None:
        """Show what would be removed, and ask."""
        if targets := self._usable("empty_trash"):
            self.app.push_screen(EmptyTrash(self.desk, targets), self.done)

    def action_warn(self) -> None:
        """Show the mail that would be sent, and ask."""
        if targets := self._usable("warn"):
            self.app.push_screen(Warn(self.desk, targets), self.done)

    def action_undo(self) -> None:
        """Show the last edit of a limit, and ask."""
        if not self.refuses("undo"):
            self.app.push_screen(Undo(self.desk, address=self.last_of()), self.done)
