"""What all screens and dialogs of one console share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from textual.message import Message
from textual.screen import Screen

from mailquota.core.base.model import AccountRow

from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Context
from ..draw.sheet import Sheet
from .account_list import AccountList
from .command_log import CommandLog
from .examining import Examining
from .link import Link
from .memory import Memory
from .pace import Pace
from .session import Changes, Session, State
from .tiles import ConsoleKind

READ_ONLY = {  # why nothing can be changed; by whether it is a replay
    False: "Read-only: you may only look here, as a member of control.read_only_group",
    True: "A replay shows what was recorded: nothing can be changed in it",
}
LIMITS = frozenset({"edit_limit", "undo"})  # actions that set limits
CHANGING = LIMITS | {"recalculate", "empty_trash", "warn", "send_test"}  # actions of keys that change something


class ShowAccounts(Message):
    """Asks the app for the accounts screen, filtered by ``words``; Esc there leads back to the mode ``back_to``.

    ``step`` names these accounts in the trail.
    """

    def __init__(self, words: str, back_to: str, step: str) -> None:
        super().__init__()
        self.words = words
        self.back_to = back_to
        self.step = step


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
    """Asks the app to copy ``text``; ``what`` names it. ``again``: ``Y`` then shows this text once."""

    def __init__(self, what: str, text: str, *, again: bool = False) -> None:
        super().__init__()
        self.again = again
        self.what = what
        self.text = text


class ShowText(Message):
    """Asks the app to show a text on a plain screen, from which the mouse can select it."""

    def __init__(self, text: Copied) -> None:
        super().__init__()
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
    commands: CommandLog = field(default_factory=CommandLog)
    program: tuple[str, ...] = ("mailquota",)  # the words by which a command reaches the same engine
    memory: Memory = field(default_factory=Memory)
    pace: Pace = field(default_factory=Pace)

    def why_not(self, action: str) -> str:
        """Why the action of a key can't be used now; empty if it can. Others than those that change something can."""
        if action not in CHANGING:
            return ""
        welcome, session = self.session.welcome, self.session
        if self.kind.read_only:
            return "Read-only: this console was started with --read-only, so it changes nothing"
        if session.state is State.LOST:
            return f"No engine: {session.reason or 'the connection ended'}; trying again"
        if welcome is None:
            return "No engine is connected yet"
        return self._impossible(action) if welcome.may_change else READ_ONLY[welcome.replay]

    def _impossible(self, action: str) -> str:
        """What the engine says that it can't do at all."""
        status = self.session.status
        if status is None:
            return ""
        return status.limits_problem if action in LIMITS else status.recount_problem * (action == "recalculate")

    @property
    def is_replay(self) -> bool:
        """Whether the engine plays a recording."""
        return self.session.welcome is not None and self.session.welcome.replay

    @property
    def shadow(self) -> bool:
        """Whether the engine is in shadow mode, in which it notes refusals and refuses nothing."""
        return self.session.mode == "shadow"

    def hurry(self) -> None:
        """Have the effect of an order shown at once, whatever the pace is."""
        self.pace.hurry(self.steady())

    def context(self) -> Context:
        """The present time and the signs, for the pure functions that make text."""
        return Context(self.clock(), self.glyphs)


def is_seen(screen: Screen[Any]) -> bool:
    """Whether only dialogs are above the screen. Textual's ``is_current`` is also true beneath a whole screen."""
    stack = screen.app.screen_stack
    return screen in stack and all(above.is_modal for above in stack[stack.index(screen) + 1 :])


class LiveScreen:
    """A screen that is told of changes from the engine, and once a second."""

    desk: Desk

    @property
    def trail(self) -> tuple[str, ...]:
        """The names of the steps that led here, from a screen with a number on; this screen is the last."""
        return (str(getattr(self, "title", None) or getattr(self, "TITLE", None) or ""),)

    def refuses(self, action: str) -> bool:
        """Whether a key can't be used now; the reason is said."""
        reason = self.desk.why_not(action)
        if reason:
            self.say(((fmt.literal(reason, self.desk.glyphs), "near"),))
        return bool(reason)

    def arrived(self, changes: Changes) -> None:
        """Changes came from the engine, or its connection changed."""

    def tick(self) -> None:
        """A second has passed."""

    def say(self, line: Line) -> None:
        """Show a message for a while."""

    def to_copy(self) -> Copied | None:
        """What ``Y`` shows as plain text; None if there is nothing."""
        return None

    def sheet(self) -> Sheet[Any] | None:
        """What ``x`` exports: the marked rows, else those that are shown; None on a screen without a table."""
        return None

    @property
    def has_table(self) -> bool:
        """Whether ``x`` can export something here."""
        return type(self).sheet is not LiveScreen.sheet

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:  # noqa: ARG002
        """Lines for the help of this screen, below its keys."""
        return iter(())
