"""The console's Textual app. It is always a client of an engine, in this process or in another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from textual import on, work
from textual.app import ScreenStackError
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from mailquota.core.base.errors import MailquotaError

from .accounts.screen import AccountsScreen
from .card.screen import CardScreen
from .decisions.screen import DecisionsScreen
from .desk.desk import Copied, Desk, LiveScreen, ShowAccounts, ShowCard, ShowText, Tell
from .desk.examining import Examine, Examining
from .desk.link import Connect, Link
from .desk.memory import Memory
from .desk.modes import MODES
from .desk.pace import Pace
from .desk.session import Session, State
from .desk.tiles import ConsoleKind
from .doctor.screen import DoctorScreen
from .domains.screen import DomainsScreen
from .draw.format import Line
from .draw.glyphs import ASCII, UNICODE
from .frame import copying, terminal
from .frame import theme as themes
from .frame.commanding import CommandingApp
from .frame.driver import ConsoleDriver
from .frame.export import Export, Wanted
from .frame.help import HelpScreen
from .frame.leaving import QUIT, SUSPEND, ConsoleFailedError, Leaving, Outcome
from .frame.replaying import ACTIONS, REPLAY_KEYS
from .journal.screen import JournalScreen
from .warnings.screen import WarningsScreen
from .widgets.scrollbar import thin_scrollbar

SCREENS: dict[str, Callable[[Desk], Screen[Any]]] = {
    "accounts": AccountsScreen,
    "domains": DomainsScreen,
    "decisions": DecisionsScreen,
    "warnings": WarningsScreen,
    "journal": JournalScreen,
    "doctor": DoctorScreen,
}

EXAMINED_AFTER = 2.0  # seconds; the accounts come first


class MailquotaApp(CommandingApp[Outcome], inherit_bindings=False):
    """Screens, themes, and the keys that work on every screen."""

    DEFAULT_MODE = "accounts"
    BINDINGS: ClassVar[list[BindingType]] = [
        # Not in the foot: the title rule of each screen has these keys.
        *(Binding(mode.key, f"show_mode('{mode.name}')", mode.title, show=False, tooltip=mode.about) for mode in MODES),
        Binding("question_mark", "help", "Help", tooltip="all keys and the filter language"),
        Binding("f1", "help", "Help", show=False, tooltip="all keys and the filter language"),
        Binding("ctrl+p", "command_palette", "Palette", priority=True, tooltip="every action by name"),
        Binding("colon", "command_line", "Command", show=False, tooltip="type an action by its name, with arguments"),
        Binding("T", "next_theme", "Theme", show=False, tooltip=f"the next theme: {', '.join(themes.NAMES)}"),
        Binding(
            "Y", "show_text", "Text", show=False, tooltip="show on a plain screen what y copies, to select it there"
        ),
        Binding("L", "command_log", "Log", show=False, tooltip="the commands that do what was done here, to copy them"),
        Binding(
            "x",
            "export",
            "Export",
            show=False,
            tooltip="export what is shown, or marked, to a file or the clipboard",
        ),
        Binding(
            "M", "mouse", "Mouse", show=False, tooltip="leave the mouse to the terminal, to select text; or take it"
        ),
        *REPLAY_KEYS,
        Binding("p", "pause", "Pause", show=False, tooltip="hold all screens still, or let them go on"),
        Binding("plus", "pace(1)", "Slower", False, id="pace", tooltip="draw less often: every 2, 5, 10 or 30 seconds"),
        Binding("minus", "pace(-1)", "Faster", show=False, tooltip="draw more often"),
        Binding("ctrl+l", "repaint", "Repaint", show=False, priority=True, tooltip="draw the whole screen anew"),
        Binding("ctrl+z", "suspend", "Suspend", show=False, priority=True, tooltip=SUSPEND),
        Binding("q", "leave", "Quit", tooltip=QUIT),
        Binding("f10", "leave", "Quit", show=False, tooltip=QUIT),
        Binding("ctrl+c,ctrl+q", "leave", "Quit", show=False, priority=True, tooltip=QUIT),
    ]

    _copied: Copied | None = None  # what was exported last, which Y shows once

    def __init__(
        self,
        connect: Connect,
        *,
        embedded: bool,
        examine: Examine = list,
        demo: bool = False,
        read_only: bool = False,
        no_color: bool = False,
        ascii_only: bool = False,
        mouse: bool = True,
        theme: str = "auto",
        memory: Memory | None = None,
        program: tuple[str, ...] = ("mailquota",),
        environ: Mapping[str, str] = MappingProxyType({}),
        shown: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        with terminal.environment("NO_COLOR", "1" if no_color else None):  # read by Textual's constructor
            super().__init__(ConsoleDriver, themes.styles(), ansi_color=True if no_color else None)
        self.animation_level = "none"
        self._many_colours = not no_color and self.console.color_system != "standard"
        self._add_themes(themes.at_start(theme, environ, colours=self._many_colours))
        glyphs = ASCII if ascii_only else UNICODE
        ScrollBar.renderer = thin_scrollbar(glyphs)
        session = Session()
        # By call_later, so that an exception in a screen ends the app; in a callback of the loop it is only logged.
        link = Link(connect, session, lambda: self.call_later(self._changed), clock, steady)
        memory = memory or Memory()
        pace = Pace(memory.kept.pace)
        kind = ConsoleKind(embedded=embedded, demo=demo, read_only=read_only, pace=pace.words)
        doctor = Examining(examine, clock)
        self.desk = Desk(session, link, glyphs, clock, steady, kind, doctor=doctor, memory=memory, pace=pace)
        self.desk.program = program
        self.leaving = Leaving(self, self.desk)
        self.mouse_on, self._environ = mouse, environ
        self._shown, self._is_shown = shown, False
        self._homes: list[Screen[Any]] = []  # the list screens that were shown so far
        self._add_modes()

    def _add_themes(self, first: str) -> None:
        for each in themes.THEMES:
            self.register_theme(each)
        self.theme = first

    def _add_modes(self) -> None:
        for name, make in SCREENS.items():
            self.add_mode(name, partial(self._home, make))

    def on_mount(self) -> None:
        """Connect to the engine, start the clock, and watch for the end of the terminal."""
        self.run_worker(self.desk.link.run(), name="link")
        self.set_interval(1.0, self._tick)
        self.set_timer(EXAMINED_AFTER, self._examine)
        if not self.is_headless:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self.leaving.terminal_lost)

    def on_ready(self) -> None:
        """Tell the caller once the first screen was drawn."""
        self._is_shown = True
        self.call_after_refresh(self.tell_memory)
        self.call_after_refresh(self._shown)

    def clear_selection(self) -> None:
        """Do nothing while there is no screen yet.

        From Python 3.12 on Textual starts tasks eagerly. The field of the first screen is then mounted, and calls this,
        before that screen is on the stack (Textual's issue 6444).
        """
        with contextlib.suppress(ScreenStackError):
            super().clear_selection()

    @work(name="doctor")
    async def _examine(self) -> None:
        """Show the number of failed checks beside the name of the Doctor screen, without waiting for its key."""
        with contextlib.suppress(MailquotaError):  # the Doctor screen shows the reason
            await self.desk.doctor.once()
            self.desk.session.faults = self.desk.doctor.failed

    def _home(self, make: Callable[[Desk], Screen[Any]]) -> Screen[Any]:
        screen = make(self.desk)
        self._homes.append(screen)
        return screen

    def live_screens(self) -> list[LiveScreen]:
        """All screens that follow the engine; none while the app ends, as screens lose their widgets then."""
        screens = dict.fromkeys([*self._homes, *self.screen_stack]) if self.is_running else {}
        return [screen for screen in screens if isinstance(screen, LiveScreen)]

    def _changed(self) -> None:
        """Something came from the engine: draw it, unless it is not its turn yet."""
        if self.desk.session.urgent or self.desk.pace.due(self.desk.steady()):
            self.draw_changes()

    def draw_changes(self) -> None:
        """Draw what came from the engine."""
        changes = self.desk.session.drain()
        for screen in self.live_screens():
            screen.arrived(changes)

    def _tick(self) -> None:
        self.desk.link.listen()
        if self.desk.memory.pending:
            self.write_memory()
        self.follow_replay()
        now = self.desk.steady()
        if self.desk.session.state is not State.LIVE or self.desk.pace.due(now):
            self.desk.pace.drawn(now)
            if self.desk.pace.words:  # else they were drawn as they came
                self.draw_changes()
            for screen in self.live_screens():
                screen.tick()
        if not self.is_headless and terminal.stdin_hung_up():
            self.leaving.terminal_lost()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Turn off the theme key without colours, and the key of the screen that is shown."""
        if action in ACTIONS or action == "pause":
            return (action == "pause") != self.is_replay
        if action == "show_mode":
            return parameters != (self.current_mode,) or sum(not screen.is_modal for screen in self.screen_stack) > 1
        if action == "export":
            return any(isinstance(screen, LiveScreen) and screen.has_table for screen in self.screen_stack[-1:])
        return not (action == "next_theme" and self.no_color)

    async def action_show_mode(self, mode: str) -> None:
        """Show a screen; if it is shown already, close what was opened above its list."""
        if mode == self.current_mode:
            await self._back_to_list()
        else:
            await self.switch_mode(mode)

    async def _back_to_list(self) -> None:
        while len(self.screen_stack) > 1:
            await self.pop_screen()

    @on(ShowAccounts)
    async def _show_accounts(self, event: ShowAccounts) -> None:
        await self.switch_mode("accounts")
        await self._back_to_list()
        assert isinstance(self.screen, AccountsScreen)
        self.screen.pane.narrow(event.words, back_to=event.back_to, step=event.step)

    @on(ShowCard)
    def _show_card(self, event: ShowCard) -> None:
        here = self.screen
        trail = here.trail if isinstance(here, LiveScreen) else ()
        self.push_screen(CardScreen(self.desk, event.account, trail))

    def action_help(self) -> None:
        """Show the keys of this screen."""
        self.push_screen(HelpScreen(self.desk, self.screen))

    def action_next_theme(self) -> None:
        """Change to the next theme."""
        self.use_theme(themes.after(self.theme))

    def use_theme(self, name: str) -> None:
        """Use this theme from now on, also in later runs; but not one that was chosen where there are few colours."""
        self.theme = name
        if self._many_colours:
            self.desk.memory.keep(theme=name)
        self.tell(((f"Theme: {name}", "quiet"),))

    def action_repaint(self) -> None:
        """Draw the whole screen anew: another program may have written on it."""
        self.repaint()

    def action_suspend(self) -> None:
        """Stop this process until the shell goes on with it; asks first if the engine is in it."""
        self.suspend_console()

    def suspend_console(self) -> None:
        """The same, by the key or by SIGTSTP. Nothing happens before the first screen was drawn."""
        driver = self.console_driver
        if self._is_shown and driver is not None and self.leaving.may_stand_still():
            driver.stop_process()
            self.repaint()

    def action_mouse(self) -> None:
        """Leave the mouse to the terminal, or take it again."""
        self.mouse_on = not self.mouse_on
        self.desk.memory.keep(mouse=self.mouse_on)
        if self.console_driver is not None:
            self.console_driver.use_mouse(self.mouse_on)
        if self.mouse_on:
            self.tell((("The mouse moves and clicks here again", "quiet"),))
        else:
            self.tell((("The mouse is the terminal's: it selects text. M takes it again", "quiet"),))

    @on(Tell)
    def _told(self, event: Tell) -> None:
        self.tell(event.line)

    @on(Copied)
    async def _copy(self, event: Copied) -> None:
        self._copied = event if event.again else None
        way = await copying.copy(self, event.text, self._environ)
        line = copying.said(event.what, way)
        self.tell(line)
        if self.screen.is_modal and isinstance(self.screen, LiveScreen):
            self.screen.say(line)

    def action_show_text(self) -> None:
        """Show what ``y`` copies on a plain screen, with the mouse left to the terminal."""
        screen, (last, self._copied) = self.screen, (self._copied, None)
        found = last or (screen.to_copy() if isinstance(screen, LiveScreen) else None)
        if found is not None:
            self._show_plain(ShowText(found))

    @on(ShowText)
    def _show_plain(self, event: ShowText) -> None:
        self.push_screen(copying.PlainText(self.desk, event.text, self._give_mouse))

    def action_export(self) -> None:
        """Export what the screen shows."""
        self.open_export(Wanted())

    def open_export(self, wanted: Wanted) -> None:
        """Show the dialog that exports, with what is wanted filled in."""
        sheet = self.screen.sheet() if isinstance(self.screen, LiveScreen) else None
        if sheet is not None and sheet.rows:
            self.push_screen(Export(self.desk, sheet, wanted), self.tell_done)
        elif sheet is not None:
            self.tell((("Nothing is shown here that could be exported", "quiet"),))

    def action_command_log(self) -> None:
        """Show the commands that do what was done in this console, to copy them or to select them."""
        text = self.desk.commands.text()
        if text:
            self.push_screen(copying.PlainText(self.desk, Copied("The commands", text), self._give_mouse))
        else:
            self.tell((("Nothing was changed in this console yet", "quiet"),))

    def _give_mouse(self, given: bool) -> None:
        """Leave the mouse to the terminal, or take it again if it is wanted."""
        if self.console_driver is not None and self.mouse_on:
            self.console_driver.use_mouse(not given)

    def tell(self, line: Line) -> None:
        """Show a message on the screen below all dialogs."""
        for screen in reversed(self.screen_stack):
            if not screen.is_modal and isinstance(screen, LiveScreen):
                screen.say(line)
                return

    def action_leave(self) -> None:
        """Quit, after a question if the engine is in this process."""
        self.leaving.ask()


def run_console(
    connect: Connect,
    *,
    embedded: bool,
    examine: Examine,
    demo: bool = False,
    read_only: bool = False,
    no_color: bool = False,
    ascii_only: bool = False,
    mouse: bool = True,
    theme: str = "auto",
    memory: Memory | None = None,
    program: tuple[str, ...] = ("mailquota",),
    shown: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Run the console until it is quit; ``shown`` is called at its first screen. Raises ConsoleFailedError."""
    app = MailquotaApp(
        connect,
        embedded=embedded,
        examine=examine,
        demo=demo,
        read_only=read_only,
        no_color=no_color or terminal.wants_no_color(os.environ),
        ascii_only=ascii_only or terminal.wants_ascii(os.environ, terminal.codeset()),
        mouse=mouse,
        theme=theme,
        memory=memory,
        program=program,
        environ=os.environ,
        shown=shown,
        clock=clock,
    )
    try:
        outcome = app.run(mouse=mouse)
    finally:
        app.desk.memory.finish()
    if outcome is None:
        raise ConsoleFailedError("the console failed; the engine was not harmed by it")
    return outcome
