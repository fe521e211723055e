"""The console: always a client of an engine, embedded in this process or attached to one elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from core.errors import MailquotaError
from tui import terminal, theme
from tui.desk import Desk, Informed
from tui.dialogs.quit import QuitDialog
from tui.glyphs import ASCII, UNICODE
from tui.link import Connect, Link
from tui.palette import commands_of
from tui.screens.accounts import AccountsScreen
from tui.screens.help import HelpScreen
from tui.session import Session
from tui.tiles import Place
from tui.widgets.scrollbar import thin_scrollbar

HAND_OVER_SECONDS = 30.0


class Outcome(Enum):
    """How the console ended, for the caller that may hold the engine."""

    HANDED_OVER = "a detached engine has the sockets; the embedded one may end"
    STOP = "the embedded engine is to stop"
    DETACHED = "the engine elsewhere goes on"
    LOST = "the terminal is gone and nobody took over; the embedded engine must go on without a screen"


class ConsoleFailedError(MailquotaError):
    """A fault in the console itself; Textual has printed it. The engine is unharmed."""


class MailquotaApp(App[Outcome], inherit_bindings=False):
    """Modes, theme and the keys that work everywhere."""

    CSS_PATH = "app.tcss"
    TITLE = "mailquota"
    DEFAULT_MODE = "accounts"
    NOTIFICATION_TIMEOUT = 8
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "accounts", "Accounts", show=False, tooltip="the accounts"),
        Binding("question_mark", "help", "Help", tooltip="all keys and the filter language"),
        Binding("ctrl+p", "command_palette", "Palette", priority=True, tooltip="every action by name"),
        Binding("T", "next_theme", "Theme", show=False, tooltip="dark, light, the terminal's own colours"),
        Binding("q", "leave", "Quit", tooltip="quit; asks before it stops the policy server"),
        Binding("ctrl+c,ctrl+q", "leave", "Quit", show=False, priority=True, tooltip="quit, as q"),
    ]

    def __init__(
        self,
        connect: Connect,
        *,
        embedded: bool,
        demo: bool = False,
        read_only: bool = False,
        no_color: bool = False,
        ascii_only: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        before = os.environ.get("NO_COLOR")
        terminal.restore_environment("NO_COLOR", "1" if no_color else None)  # read by Textual while it is made
        super().__init__(driver_class=terminal.ConsoleDriver, ansi_color=True if no_color else None)
        terminal.restore_environment("NO_COLOR", before)
        self.animation_level = "none"
        for each in theme.THEMES:
            self.register_theme(each)
        self.theme = theme.PLAIN.name if no_color or self.console.color_system == "standard" else theme.DARK.name
        glyphs = ASCII if ascii_only else UNICODE
        ScrollBar.renderer = thin_scrollbar(glyphs)
        session = Session()
        link = Link(connect, session, self._news, clock)
        self.desk = Desk(session, link, glyphs, clock, Place(embedded, demo, read_only), not self.current_theme.ansi)
        self.add_mode("accounts", lambda: AccountsScreen(self.desk))
        self._leaving = False

    # ---- news

    def on_mount(self) -> None:
        """Connect, and let time pass."""
        self.run_worker(self.desk.link.run(), name="link")
        self.set_interval(1.0, self._tick)

    def _news(self) -> None:
        changes = self.desk.session.drain()
        for screen in self.screen_stack:
            if isinstance(screen, Informed):
                screen.arrived(changes)

    def _tick(self) -> None:
        self.desk.session.check_silence(self.desk.clock())
        for screen in self.screen_stack:
            if isinstance(screen, Informed):
                screen.tick()
        if not self.is_headless and terminal.stdin_hung_up():
            self.terminal_lost()

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """No palette over a dialog: its actions are not for there."""
        return not (action == "command_palette" and self.screen.is_modal)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the screen by name, and the themes."""
        yield from commands_of(self, screen)

    def action_accounts(self) -> None:
        """The home screen."""

    def action_help(self) -> None:
        """All keys."""
        self.push_screen(HelpScreen(self.desk, self.screen))

    def action_next_theme(self) -> None:
        """Dark, light, the terminal's own."""
        names = [each.name for each in theme.THEMES]
        self.use_theme(names[(names.index(self.theme) + 1) % len(names)])

    def use_theme(self, name: str) -> None:
        """Without colours there is only one."""
        if not self.no_color:
            self.theme = name
            self.desk.tracks = not self.current_theme.ansi

    # ---- the end

    def action_leave(self) -> None:
        """Leave at once where nothing ends by it, else ask."""
        place = self.desk.place
        if place.demo or not place.embedded:
            self.exit(Outcome.STOP if place.embedded else Outcome.DETACHED)
        elif not any(isinstance(screen, QuitDialog) for screen in self.screen_stack):
            self.push_screen(QuitDialog(self.desk), self._leave)

    def _leave(self, keep: bool | None) -> None:
        if keep is not None:
            self.exit(Outcome.HANDED_OVER if keep else Outcome.STOP)

    def terminal_lost(self) -> None:
        """What q does by default, without asking: there is nobody to ask."""
        if not self._leaving:
            self._leaving = True
            self.run_worker(self._leave_lost(), name="terminal lost")

    async def _leave_lost(self) -> None:
        place = self.desk.place
        if place.demo or not place.embedded:
            self.exit(Outcome.STOP if place.embedded else Outcome.DETACHED)
            return
        try:
            await asyncio.wait_for(self.desk.link.hand_over(), HAND_OVER_SECONDS)
        except (MailquotaError, TimeoutError):
            self.exit(Outcome.LOST)
        else:
            self.exit(Outcome.HANDED_OVER)
