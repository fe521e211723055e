"""Follows whether the helper answers, where the engine has a user of its own: for status, the head and the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..base.helper_calls import Helper
from ..base.threads import in_thread

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds


class HelperWatch:
    """``driver`` gives the name of the driver in force; ``problem`` is why the helper is of no use, "" while it is."""

    def __init__(self, helper: Helper | None, driver: Callable[[], str]) -> None:
        self._helper = helper
        self._driver = driver
        self.problem = ""

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        helper = self._helper
        while helper is not None:
            driver = self._driver()
            self.take(await in_thread(lambda: helper.ask(driver)))  # noqa: B023 - waited for at once
            await asyncio.sleep(EVERY)
        await asyncio.Event().wait()

    def take(self, problem: str) -> None:
        """This is how it is now."""
        if problem and problem != self.problem:
            log.error("%s; usage that changes is not known until it is back", problem)
        elif self.problem and not problem:
            log.warning("the helper answers again")
        self.problem = problem
