"""How a console ends. The engine may live in this process, and it is then the only one that answers Postfix."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

from textual.app import App

from mailquota.core.base.errors import MailquotaError
from mailquota.tui.desk.desk import Desk
from mailquota.tui.frame.quit import QuitDialog

HAND_OVER_SECONDS = 30.0
QUIT = "quit; asks before it stops the policy server"  # what the key does


class Outcome(Enum):
    """For the caller of the console, who holds the embedded engine if there is one."""

    HANDED_OVER = "a detached engine has the sockets; the embedded one may end"
    STOP = "the embedded engine is to stop"
    DETACHED = "the engine elsewhere goes on"
    LOST = "the terminal is gone and nobody took over; the embedded engine must go on without a screen"


class ConsoleFailedError(MailquotaError):
    """A fault in the console itself; Textual has printed it. The engine is unharmed."""


class Leaving:
    """The question, and what happens where there is nobody to ask."""

    def __init__(self, app: App[Any], desk: Desk) -> None:
        self._app = app
        self._desk = desk
        self._lost = False

    @property
    def default(self) -> Outcome | None:
        """What happens without a question; None where there is one."""
        place = self._desk.place
        if not place.embedded:
            return Outcome.DETACHED
        return Outcome.STOP if place.demo else None

    def ask(self) -> None:
        """The key: leave at once where nothing ends by it."""
        if self.default is not None:
            self._app.exit(self.default)
        elif not any(isinstance(screen, QuitDialog) for screen in self._app.screen_stack):
            self._app.push_screen(QuitDialog(self._desk), self._answered)

    def _answered(self, keep: bool | None) -> None:
        if keep is not None:
            self._app.exit(Outcome.HANDED_OVER if keep else Outcome.STOP)

    def terminal_lost(self) -> None:
        """The key's default. May be called more than once, from the loop of the app."""
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
