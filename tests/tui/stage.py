"""A console driven by a Pilot, with its screen as plain lines; on a fake engine, or on any."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input

from mailquota.core.base.model import AccountRow
from mailquota.tui.accounts.screen import AccountsScreen
from mailquota.tui.app import MailquotaApp
from mailquota.tui.desk.link import Connect
from mailquota.tui.frame.leaving import Outcome
from mailquota.tui.frame.terminal import environment
from tests.tui import world
from tests.tui.fake_engine import FakeEngine

DEADLINE = 45.0  # seconds that a condition may take to come true


def screen_lines(app: MailquotaApp) -> list[str]:
    """The lines of the screen. Textual has no public call for them; only this function reaches inside."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


def start_tasks_as_textual_does() -> None:
    """Eagerly, from Python 3.12 on. ``App.run`` asks the loop for it, ``App.run_test`` does not."""
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


class Driven:
    """A running console, on any engine, with its Pilot."""

    def __init__(self, app: MailquotaApp, pilot: Pilot[Outcome]) -> None:
        self.app = app
        self.pilot = pilot

    async def loaded(self) -> None:
        """Wait until the accounts are there."""
        await self.until(lambda: self.home.pane.accounts.rows and self.home.desk.session.status, "loads")
        await self.pilot.pause()

    @property
    def home(self) -> AccountsScreen:
        """The accounts screen, also beneath a dialog."""
        return next(screen for screen in self.app.screen_stack if isinstance(screen, AccountsScreen))

    def lines(self) -> list[str]:
        """The screen."""
        return screen_lines(self.app)

    def text(self) -> str:
        """The screen, as one text."""
        return "\n".join(self.lines())

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until they were handled."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Put a text into the focused field key by key, for tests that are about typing; ``paste`` takes less time."""
        await self.press(*("space" if char == " " else char for char in text))

    async def paste(self, text: str) -> None:
        """Put a text into the focused field as one event; it replaces what is selected there.

        Unlike a key, the event does not wait for the keys before it, nor for a dialog that they open.
        """
        app = self.app
        await self.until(lambda: not app.keys_wait and app.is_free and isinstance(app.focused, Input), "has a field")
        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def until(self, true: Callable[[], object], what: str = "") -> None:
        """Wait for a condition, with a deadline."""
        end = time.monotonic() + DEADLINE
        while not true():
            if time.monotonic() > end:
                raise AssertionError(f"never: {what}\n{self.text()}")
            await asyncio.sleep(0.01)

    async def sees(self, *words: str) -> None:
        """Wait until all of these are on the screen."""
        await self.until(lambda: all(word in self.text() for word in words), f"sees {words}")

    async def loses(self, *words: str) -> None:
        """Wait until none of these is on the screen."""
        await self.until(lambda: not any(word in self.text() for word in words), f"loses {words}")

    @property
    def order(self) -> list[str]:
        """The addresses that are shown, in their order."""
        return self.home.pane.accounts.order

    @property
    def row(self) -> AccountRow:
        """The account under the cursor."""
        row = self.home.pane.table.row
        assert row is not None
        return row


class Stage(Driven):
    """A running console on a fake engine, with clocks that only the test moves."""

    def __init__(self, app: MailquotaApp, engine: FakeEngine, pilot: Pilot[Outcome], time_now: list[float]) -> None:
        super().__init__(app, pilot)
        self.engine = engine
        self._time = time_now

    def set_back(self, seconds: float) -> None:
        """Set the wall clock of console and engine back; the steady clock stays."""
        self._time[1] += seconds
        self.app._tick()

    def pass_time(self, seconds: float) -> None:
        """Move both clocks on, and let the console notice."""
        self._time[0] += seconds
        self.app._tick()


def make_app(connect: Connect, **options: Any) -> MailquotaApp:
    """A console as on a terminal with Unicode and all colours."""
    with environment("TERM", "xterm-256color"), environment("COLORTERM", "truecolor"):
        return MailquotaApp(connect, **options)


Scene = Callable[[Stage], Awaitable[None]]


def play(
    scene: Scene,
    *,
    rows: list[AccountRow] | int = 60,
    size: tuple[int, int] = (120, 32),
    embedded: bool = True,
    prepare: Callable[[FakeEngine], None] = lambda _engine: None,
    loaded: bool = True,
    **options: Any,
) -> Outcome | None:
    """Run a scene; returns how the console ended, None if it was still there."""

    async def run() -> Outcome | None:
        now = [world.NOW, 0.0]  # and how far the clock on the wall was set back
        engine = FakeEngine(world.accounts(rows) if isinstance(rows, int) else rows, clock=lambda: now[0] - now[1])
        prepare(engine)
        clocks = {"clock": lambda: now[0] - now[1], "steady": lambda: now[0]}
        app = make_app(engine.connect, embedded=embedded, **clocks, **options)
        start_tasks_as_textual_does()
        async with app.run_test(size=size) as pilot:
            stage = Stage(app, engine, pilot, now)
            if loaded:
                await stage.loaded()
            await scene(stage)
        await engine.close()
        return app.return_value

    return asyncio.run(run())
