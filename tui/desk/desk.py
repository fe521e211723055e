"""What every screen and dialog of one console shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from textual.app import SystemCommand
from textual.message import Message
from textual.screen import Screen

from mailquota.core.base.model import AccountRow
from mailquota.tui.desk.account_list import AccountList
from mailquota.tui.desk.examining import Examining
from mailquota.tui.desk.link import Link
from mailquota.tui.desk.session import Changes, Session
from mailquota.tui.desk.tiles import Place
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.glyphs import Glyphs
from mailquota.tui.draw.grid import Look


class ShowAccounts(Message):
    """The accounts are wanted, those that a filter finds."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class ShowCard(Message):
    """The card of an account is wanted."""

    def __init__(self, account: AccountRow) -> None:
        super().__init__()
        self.account = account


@dataclass
class Desk:
    """What the screens know, how they speak to the engine, and how they draw."""

    session: Session
    link: Link
    glyphs: Glyphs
    clock: Callable[[], float]  # seconds since the epoch, for what is shown
    steady: Callable[[], float]  # never goes back, for ages
    place: Place
    doctor: Examining = field(default_factory=lambda: Examining(list))
    accounts: AccountList = field(default_factory=AccountList)

    @property
    def may_change(self) -> bool:
        """Whether keys that change something are there at all."""
        welcome = self.session.welcome
        return not self.place.read_only and (welcome is None or welcome.may_change)

    @property
    def shadow(self) -> bool:
        """Refusals are only said, not done."""
        return self.session.mode == "shadow"

    def look(self) -> Look:
        """For the pure functions that make text."""
        return Look(self.clock(), self.glyphs)


def is_seen(screen: Screen[Any]) -> bool:
    """Whether nothing but dialogs is over it. Textual's ``is_current`` is true beneath a whole screen, too."""
    stack = screen.app.screen_stack
    return screen in stack and all(above.is_modal for above in stack[stack.index(screen) + 1 :])


class LiveScreen:
    """A screen that wants to hear of changes and of each second."""

    def arrived(self, changes: Changes) -> None:
        """News from the engine."""

    def tick(self) -> None:
        """A second passed."""

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:  # noqa: ARG002
        """What its help says beside the keys."""
        return iter(())

    def commands(self) -> Iterator[SystemCommand]:
        """What the palette has of it beside the keys."""
        return iter(())
