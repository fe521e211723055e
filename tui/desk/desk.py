"""What all screens and dialogs of one console share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from textual.app import SystemCommand
from textual.message import Message
from textual.screen import Screen

from mailquota.core.base.model import AccountRow

from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Context
from .account_list import AccountList
from .examining import Examining
from .link import Link
from .memory import Memory
from .session import Changes, Session
from .tiles import ConsoleKind


class ShowAccounts(Message):
    """Asks the app for the accounts screen, filtered by ``words``; Esc there leads back to the mode ``back_to``."""

    def __init__(self, words: str, back_to: str) -> None:
        super().__init__()
        self.words = words
        self.back_to = back_to


class ShowCard(Message):
    """Asks the app for the card of an account."""

    def __init__(self, account: AccountRow) -> None:
        super().__init__()
        self.account = account


class Tell(Message):
    """Asks the app to show ``line`` on the screen: the dialog that it is about is closed already."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line


class Copied(Message):
    """Asks the app to copy ``text``; ``what`` names it."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__()
        self.what = what
        self.text = text


@dataclass
class Desk:
    """The state of the engine, the connection to it, and the settings of this console."""

    session: Session
    link: Link
    glyphs: Glyphs
    clock: Callable[[], float]  # seconds since the epoch, for what is shown
    steady: Callable[[], float]  # never goes back, for ages
    kind: ConsoleKind
    doctor: Examining = field(default_factory=lambda: Examining(list))
    accounts: AccountList = field(default_factory=AccountList)
    memory: Memory = field(default_factory=Memory)

    @property
    def may_change(self) -> bool:
        """Whether the operator may change anything; if not, such keys are not offered."""
        welcome = self.session.welcome
        return not self.kind.read_only and (welcome is None or welcome.may_change)

    @property
    def shadow(self) -> bool:
        """Whether the engine is in shadow mode, in which it notes refusals and refuses nothing."""
        return self.session.mode == "shadow"

    def context(self) -> Context:
        """The present time and the signs, for the pure functions that make text."""
        return Context(self.clock(), self.glyphs)


def is_seen(screen: Screen[Any]) -> bool:
    """Whether only dialogs are above the screen. Textual's ``is_current`` is also true beneath a whole screen."""
    stack = screen.app.screen_stack
    return screen in stack and all(above.is_modal for above in stack[stack.index(screen) + 1 :])


class LiveScreen:
    """A screen that is told of changes from the engine, and once a second."""

    def arrived(self, changes: Changes) -> None:
        """Changes came from the engine, or its connection changed."""

    def tick(self) -> None:
        """A second has passed."""

    def say(self, line: Line) -> None:
        """Show a message for a while."""

    def to_copy(self) -> Copied | None:
        """What ``Y`` shows as plain text; None if there is nothing."""
        return None

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:  # noqa: ARG002
        """Lines for the help of this screen, below its keys."""
        return iter(())

    def commands(self) -> Iterator[SystemCommand]:
        """Commands for the palette that have no key."""
        return iter(())
