"""A program for test_wheel.py: the console over a demo world, without a terminal. Imports nothing of the tests.

Prints its screen, a dialog and what is said of both, with form feeds between.
"""

from __future__ import annotations

import asyncio
import sys

import mailquota.tui.app
from mailquota.core.base.threads import in_thread
from mailquota.core.commands.serving import world_settings
from mailquota.core.control.client import Client
from mailquota.core.control.messages import Welcome
from mailquota.core.demo.world import World
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
from mailquota.tui.app import MailquotaApp

SECONDS = 90.0


def drawn(app: MailquotaApp) -> str:
    """What is on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def show(engine: Embedded) -> None:
    """Wait for the accounts, open a dialog."""

    async def connect() -> tuple[Client, Welcome]:
        return await Client.adopt(await in_thread(engine.connect), "console")

    app = MailquotaApp(connect, embedded=True, demo=True)
    if sys.version_info >= (3, 12):  # as App.run does
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    async with app.run_test(size=(120, 32)) as pilot, asyncio.timeout(SECONDS):
        for key, wanted in (("", "john@example.org"), ("e", "Edit limit ")):
            await pilot.press(*key)
            while wanted not in drawn(app):
                await pilot.pause(0.02)
            print(drawn(app), end="\f")
        print(mailquota.tui.app.__file__)
        print(f"the dialog is in the {app.screen.styles.align_vertical}")


def main() -> None:
    """The world goes away with the program."""
    with World.temporary(5) as world:
        load = world_settings(world)
        engine = Embedded(load(), Options(load, demo=True, embedded=True))
        engine.start()
        asyncio.run(show(engine))
        engine.stop()


if __name__ == "__main__":
    main()
