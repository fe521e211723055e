#!/usr/bin/env python3
"""Draws the README's pictures from the demo world: a real engine, real Maildirs, real answers.

Those that show a past of months are drawn from the made-up one of the tests, as a demo has none yet.

screenshots/make.py [--png FOLDER]     with PNGs into a folder, to look at (rsvg-convert, fonts-firacode)
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from textual.pilot import Pilot
from textual.theme import Theme

from mailquota.core.base.threads import in_thread
from mailquota.core.commands.serving import world_settings
from mailquota.core.control.client import Client
from mailquota.core.control.messages import Welcome
from mailquota.core.demo.traffic import Traffic
from mailquota.core.demo.world import World
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
from mailquota.tui.app import MailquotaApp
from mailquota.tui.desk.link import Connect
from mailquota.tui.frame.leaving import Outcome
from mailquota.tui.frame.theme import DARK, LIGHT
from screenshots.render import save
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.past import JOHN

HERE = Path(__file__).parent
SETTLE = 1.5  # seconds for figures and decisions to arrive

# name, columns, lines, theme, keys
Wanted = tuple[str, int, int, Theme, tuple[str, ...]]
PICTURES: tuple[Wanted, ...] = (
    ("filter-120x32", 120, 32, DARK, ("slash", *"trash>100M", "enter", "space", "space", "space")),
    ("edit-limit-120x32", 120, 32, DARK, ("e", *"used*1.2")),
    ("empty-trash-120x32", 120, 32, DARK, ("down", "t")),
    ("decisions-120x32", 120, 32, DARK, ("3",)),
    ("decisions-80x24", 80, 24, DARK, ("3",)),
    ("explain-120x32", 120, 32, DARK, ("3", "p", "slash", *"refused", "enter", "enter")),
    ("help-120x32", 120, 32, DARK, ("question_mark",)),
)
CARD = ("slash", *JOHN.address, "enter", "enter")
WITH_A_PAST: tuple[Wanted, ...] = (
    ("accounts-120x32", 120, 32, DARK, ()),
    ("accounts-80x24", 80, 24, DARK, ()),
    ("accounts-200x50", 200, 50, DARK, ()),
    ("accounts-light-120x32", 120, 32, LIGHT, ()),
    ("card-120x32", 120, 32, DARK, CARD),
    ("card-80x24", 80, 24, DARK, CARD),
    ("card-200x50", 200, 50, DARK, CARD),
    ("card-light-120x32", 120, 32, LIGHT, CARD),
    ("domains-120x32", 120, 32, DARK, ("2",)),
    ("warnings-120x32", 120, 32, DARK, ("4",)),
    ("journal-120x32", 120, 32, DARK, ("5",)),
    ("warn-120x32", 120, 32, DARK, ("w",)),
    ("doctor-120x32", 120, 32, DARK, ("6",)),
    ("doctor-80x24", 80, 24, DARK, ("6",)),
)


async def picture(connect: Connect, wanted: Wanted, folder: Path | None) -> None:
    """One picture."""
    name, columns, lines, theme, keys = wanted
    app = MailquotaApp(connect, embedded=True, demo=True, examine=past.findings)
    async with app.run_test(size=(columns, lines)) as pilot:
        app.theme = theme.name
        await _press(pilot, keys)
        save(app, name, HERE)
        if folder is not None:
            save(app, name, folder, png=True)


async def _press(pilot: Pilot[Outcome], keys: tuple[str, ...]) -> None:
    await pilot.pause(SETTLE)
    for key in keys:
        await pilot.press(key)
        await pilot.pause(0.2)
    await pilot.pause(SETTLE)


def connecting_to(engine: Embedded) -> Connect:
    async def connect() -> tuple[Client, Welcome]:
        return await Client.adopt(await in_thread(engine.connect), "screenshot")

    return connect


async def picture_of_the_past(wanted: Wanted, folder: Path | None) -> None:
    """The same over a made-up engine."""
    now = time.time()
    engine = FakeEngine(past.hosting(now), clock=time.time)
    engine.remembers, engine.journal, engine.warnings = True, past.journal(now), past.warnings(now)
    engine.status_changes.update(warnings_queued=2, warnings_failed=1)
    rng = random.Random(3)
    engine.backlog = [world.decision(rng, list(engine.rows.values()), now - age) for age in range(20, 0, -1)]
    engine.live(idle=True)
    await picture(engine.connect, wanted, folder)
    await engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, metavar="FOLDER")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()

    def chosen(pictures: tuple[Wanted, ...]) -> list[Wanted]:
        return [wanted for wanted in pictures if not options.names or wanted[0] in options.names]

    for wanted in chosen(WITH_A_PAST):
        asyncio.run(picture_of_the_past(wanted, options.png))
    if chosen(PICTURES):
        draw_demo(chosen(PICTURES), options.png)


def draw_demo(pictures: list[Wanted], folder: Path | None) -> None:
    rng = random.Random(7)
    with World.temporary(60) as world:
        load = world_settings(world)
        engine = Embedded(load(), Options(load, demo=True, embedded=True))
        engine.start()
        try:
            with Traffic(world, world.policy_socket, rng).running():
                asyncio.run(asyncio.sleep(12))  # some decisions to show
                for wanted in pictures:
                    asyncio.run(picture(connecting_to(engine), wanted, folder))
        finally:
            engine.stop()


if __name__ == "__main__":
    main()
