"""How the console ends. If the engine is in this process, no other one answers Postfix."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from textual.app import App

from mailquota.core.base.errors import MailquotaError

from ..desk.desk import Desk
from .quit import QuitDialog

HAND_OVER_SECONDS = 30.0
SUSPEND = "stop until the shell's fg; asks first if the policy server is in this console"
QUIT = "quit; asks before it stops the policy server"  # what the key does


class Outcome(Enum):
    """How the console ended, for the caller, which holds the embedded engine if there is one."""

    HANDED_OVER = "a detached engine has the sockets; the embedded one may end"
    STOP = "the embedded engine is to stop"
    DETACHED = "the engine elsewhere goes on"
    LOST = "the terminal is gone and nobody took over; the embedded engine must go on without a screen"


class ConsoleFailedError(MailquotaError):
    """A fault in the console itself, which Textual has printed. The engine is not affected."""


class Leaving:
    """Quitting: the question, and what is done without it when the terminal is lost."""

    def __init__(self, app: App[Any], desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._lost = False

    @property
    def default(self) -> Outcome | None:
        """What quitting does without a question; None if it has to ask."""
        kind = self._desk.kind
        if not kind.embedded:
            return Outcome.DETACHED
        return Outcome.STOP if kind.demo else None

    def ask(self) -> None:
        """Quit; asks first if the engine is in this process and enforces limits."""
        if self.default is not None:
            self._app.exit(self.default)
        elif not any(isinstance(screen, QuitDialog) for screen in self._app.screen_stack):
            self._app.push_screen(QuitDialog(self._desk), self._answered)

    def may_stand_still(self) -> bool:
        """Whether this process may be stopped; if the engine in it enforces limits, the operator is asked instead."""
        if self.default is not None:
            return True
        if not any(isinstance(screen, QuitDialog) for screen in self._app.screen_stack):
            self._app.push_screen(QuitDialog(self._desk, suspends=True), self._answered)
        return False

    def _answered(self, keep: bool | None) -> None:
        if keep is not None:
            self._app.exit(Outcome.HANDED_OVER if keep else Outcome.STOP)

    def terminal_lost(self) -> None:
        """Hand the engine over, or quit without a question. May be called several times, from the loop of the app."""
        if not self._lost:
            self._lost = True
            self._app.call_later(self._leave)

    async def _leave(self) -> None:
        if self.default is not None:
            self._app.exit(self.default)
            return
        try:
            await asyncio.wait_for(self._desk.link.hand_over(), HAND_OVER_SECONDS)
        except (MailquotaError, TimeoutError):
            self._app.exit(Outcome.LOST)
        else:
            self._app.exit(Outcome.HANDED_OVER)
