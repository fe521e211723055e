"""The keys that act on accounts: the same on the list and on the card of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from mailquota.core.base.model import AccountRow

from ..desk.desk import Desk, LiveScreen
from ..desk.typed import Doing, takes
from ..draw import format as fmt
from ..frame.dialog import Dialog
from ..journal.undo import Undo, number_of_entry
from ..warnings.warn import Warn
from ..widgets.painted import SCREEN_LOOKS
from . import typed
from .edit_limit import EditLimit
from .empty_trash import EmptyTrash
from .recalculate import Recalculate
from .typed import Line


class ActingScreen(Screen[None], LiveScreen):
    """A subclass says which accounts the keys act on, and shows what was done."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit_limit", "Edit limit", tooltip="edit the limit, for good or until a day", id="set"),
        Binding("r", "recalculate", "Recalculate", tooltip="recount the mailbox", id="recalc"),
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

    def done(self, line: fmt.Line | None) -> None:
        """Show what a dialog did; None if it did nothing."""
        raise NotImplementedError

    def _ask(self, action: str, dialog: Callable[[list[AccountRow]], Dialog[Any]], line: Line | None = None) -> None:
        """Open the dialog of an action for the accounts that are named, else for those that the keys act on."""
        named = line is not None and line.rows
        if not self.refuses(action) and (targets := named or self.targets()):
            self.app.push_screen(dialog(targets), self.done)

    def _read(self, text: str, *options: str, last: bool = False) -> Line:
        return typed.read(text, options, self.desk.accounts.rows, last=last)

    def action_edit_limit(self) -> None:
        """Ask for the new limit."""
        self._ask("edit_limit", partial(EditLimit, self.desk))

    @takes("[ADDRESS...] SIZE [until DATE] [REASON]", typed.edit_choices)
    def typed_set(self, rest: str) -> Doing:
        """``set +2G until friday "ticket 4711"``."""
        line = self._read(rest, "until", "reason")
        start = typed.edit(line, self.desk.clock())
        return lambda: self._ask("edit_limit", lambda rows: EditLimit(self.desk, rows, start), line)

    def action_recalculate(self) -> None:
        """Recount the mailboxes."""
        self._ask("recalculate", partial(Recalculate, self.desk))

    @takes("[ADDRESS...]", typed.addresses)
    def typed_recalc(self, rest: str) -> Doing:
        """``recalc john@example.org``."""
        line = self._read(rest)
        typed.no_more(line.words)
        return lambda: self._ask("recalculate", partial(Recalculate, self.desk), line)

    def action_empty_trash(self) -> None:
        """Show what would be removed, and ask."""
        self._ask("empty_trash", partial(EmptyTrash, self.desk))

    @takes("[ADDRESS...] [older-than AGE]", typed.trash_choices)
    def typed_empty_trash(self, rest: str) -> Doing:
        """``empty-trash older-than 30d``."""
        line = self._read(rest, "older-than")
        age = typed.age(line)
        return lambda: self._ask("empty_trash", lambda rows: EmptyTrash(self.desk, rows, age), line)

    def action_warn(self) -> None:
        """Show the mail that would be sent, and ask."""
        self._ask("warn", partial(Warn, self.desk))

    @takes("[PERCENT | below | now] [ADDRESS...]", typed.warn_choices)
    def typed_warn(self, rest: str) -> Doing:
        """``warn 95 john@example.org``."""
        line = self._read(rest, last=True)
        mark = typed.threshold(line)
        return lambda: self._ask("warn", lambda rows: Warn(self.desk, rows, mark=mark), line)

    def action_undo(self) -> None:
        """Show the last edit of a limit, and ask."""
        if not self.refuses("undo"):
            self.app.push_screen(Undo(self.desk, address=self.last_of()), self.done)

    @takes("[ID]", about="take back this entry of the journal; without ID as the key does")
    def typed_undo(self, rest: str) -> Doing:
        """``undo 17``: an entry of the journal."""
        entry = number_of_entry(rest)
        return lambda: self.app.push_screen(Undo(self.desk, number=entry), self.done)
