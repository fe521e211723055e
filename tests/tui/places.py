"""The console over a real engine in both of its places: in this process, or in one of its own.

``mailquota`` itself is run in this process: it looks for an engine, attaches or makes one, and ends as always. Only the
terminal is none: a scene plays on a Pilot instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mailquota.core.commands.options import Common
from mailquota.tui import command
from mailquota.tui.desk.link import Connect
from mailquota.tui.frame.leaving import Outcome
from tests.core.worlds import SmallWorld
from tests.tui.stage import Driven, make_app, start_tasks_as_textual_does

ScenePlay = Callable[[Driven], Awaitable[None]]


def play_on(connect: Connect, scene: ScenePlay, *, embedded: bool, **options: Any) -> Outcome | None:
    """A scene over any engine; how the console ended, None if it was still there. A fault of a screen is raised."""

    async def run() -> Outcome | None:
        app = make_app(connect, embedded=embedded, **options)
        start_tasks_as_textual_does()
        async with app.run_test(size=(120, 32)) as pilot:
            driven = Driven(app, pilot)
            await driven.loaded()
            await scene(driven)
        return app.return_value

    return asyncio.run(run())


@dataclass(frozen=True)
class Place:
    """``play`` runs the command, with the scene in place of a person."""

    world: SmallWorld
    attached: bool
    monkeypatch: pytest.MonkeyPatch

    def play(self, scene: ScenePlay, *, read_only: bool = False) -> None:
        """From the start of the command to its end; it is where it should be."""
        failed: list[AssertionError] = []

        async def guarded(driven: Driven) -> None:
            """What the scene finds wrong is no fault of the console."""
            try:
                assert driven.app.desk.kind.embedded is not self.attached
                await scene(driven)
            except AssertionError as error:
                failed.append(error)

        def run_console(connect: Connect, **options: Any) -> Outcome:
            return play_on(connect, guarded, **options) or Outcome.STOP

        with self.monkeypatch.context() as patch:
            patch.setattr("mailquota.tui.app.run_console", run_console)
            common = Common(command.open_console, config=self.world.config, read_only=read_only)
            assert command.open_console(common, None) == 0
        if failed:
            raise failed[0]
