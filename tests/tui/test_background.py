"""Work of a screen that is closed before its work is done."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Label
from textual.worker import WorkerFailed

from mailquota.tui.widgets.background import background


class Slow(ModalScreen[None]):
    """Looks for its label after a while, also when that while is cut short."""

    wanted = "label"

    def compose(self) -> ComposeResult:
        yield Label("here", id="label")

    def on_mount(self) -> None:
        self.look()

    @background()
    async def look(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60 if self.wanted == "label" else 0)
        self.query_one(f"#{self.wanted}")


class Wrong(Slow):
    """Looks for what it never had."""

    wanted = "nothing"


async def show(screen: Slow, *, close: bool) -> None:
    app = App[None]()
    async with app.run_test() as pilot:
        await app.push_screen(screen)
        if close:
            await app.pop_screen()
        await app.workers.wait_for_complete()
        await pilot.pause()


def test_a_closed_screen_has_lost_its_parts() -> None:
    """Which is no fault."""
    asyncio.run(show(Slow(), close=True))


def test_on_an_open_screen_a_missing_part_is_a_fault() -> None:
    """And is not hidden."""
    with pytest.raises(WorkerFailed, match="No nodes match"):
        asyncio.run(show(Wrong(), close=False))
