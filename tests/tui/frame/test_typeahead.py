"""Keys that come while another one is being handled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual import events
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from mailquota.tui.frame.typeahead import TypeAheadApp


class Slow(Widget, can_focus=True):
    """Gives the focus away on a key, after a while; another key removes it."""

    async def on_key(self, event: events.Key) -> None:
        """The keys ``s`` and ``r``."""
        if event.key == "s":
            await asyncio.sleep(0.8)
            self.app.query_one(Input).focus()
        elif event.key == "r":
            self.app.query_one(Input).focus()
            self.remove()  # not awaited: what is in its queue behind the key is lost


class Desk(TypeAheadApp[None]):
    """A widget and a field."""

    def compose(self) -> ComposeResult:
        yield Slow()
        yield Input()


def drive(scene: Callable[[Desk, Pilot[None]], Awaitable[None]]) -> None:
    """Run a scene with the focus on the widget."""

    async def run() -> None:
        app = Desk()
        async with app.run_test() as pilot:
            app.query_one(Slow).focus()
            await pilot.pause()
            await scene(app, pilot)

    asyncio.run(run())


def send(app: Desk, keys: str) -> None:
    """All keys at once, as a slow line brings them."""
    for key in keys:
        app.post_message(events.Key(key, key))


async def until_typed(app: Desk, text: str) -> None:
    """Wait until the field has the text."""
    async with asyncio.timeout(45):
        while app.query_one(Input).value != text:  # noqa: ASYNC110  there is nothing to be told by
            await asyncio.sleep(0.01)


def test_a_key_that_takes_long_holds_back_the_others() -> None:
    """However long: on a busy machine the next key would else go to the wrong widget, and be lost there."""

    async def scene(app: Desk, _: Pilot[None]) -> None:
        send(app, "sabc")
        await until_typed(app, "abc")

    drive(scene)


def test_a_widget_that_is_removed_holds_back_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never says that its key was handled."""
    monkeypatch.setattr("mailquota.tui.frame.typeahead.LOST_SECONDS", 600.0)

    async def scene(app: Desk, _: Pilot[None]) -> None:
        send(app, "rabc")
        await until_typed(app, "abc")

    drive(scene)
