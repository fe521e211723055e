"""What goes on for ever: started again whatever it ends by, after a growing pause, counted; and ended by its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from mailquota.core.base import restarts
from tests.core.loops import SteppedLoop, run, until


class Work:
    """Notes when it is started; ``end`` says how."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.begun: list[float] = []
        self.undone = 0  # ends that were had time for
        self._end = end

    async def __call__(self) -> None:
        loop = asyncio.get_running_loop()
        self.begun.append(loop.time())
        try:
            await asyncio.sleep(0)
            self._end()
        finally:
            await asyncio.sleep(0)
            self.undone += 1


def fault() -> None:
    raise ValueError("a fault")


def counted(part: str) -> int:
    return restarts.counts().get(part, 0)


@pytest.mark.parametrize("end", [fault, lambda: None], ids=["by a fault", "by itself"])
def test_what_ends_comes_back_later_and_later(end: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    """Counted, with its cause in the log; never more than a minute later."""
    before, work = counted("that ends"), Work(end)

    async def scene() -> None:
        task = restarts.start("that ends", work)
        await until(lambda: len(work.begun) == 10, step=0.1)
        task.cancel()
        await asyncio.wait([task])

    with caplog.at_level(logging.ERROR):
        run(scene(), "stepped")
    pauses = [later - earlier for earlier, later in zip(work.begun, work.begun[1:], strict=False)]
    for pause, wanted in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert wanted <= pause < wanted + 5
    times = counted("that ends") - before
    assert times in {9, 10}
    told = [record for record in caplog.records if record.name == "mailquota.core.base.restarts"]
    assert len(told) == times
    assert all("that ends: ended" in record.getMessage() and bool(record.exc_info) == (end is fault) for record in told)


def test_what_ran_for_long_is_started_again_soon() -> None:
    """It is a new fault then."""
    loops: list[SteppedLoop] = []

    def after_an_hour() -> None:
        loops[0].ahead += 3600
        fault()

    work = Work(after_an_hour)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        loops.append(loop)
        task = restarts.start("for long", work)
        await until(lambda: len(work.begun) == 8, step=0.1)
        task.cancel()
        await asyncio.wait([task])

    run(scene(), "stepped")
    assert all(later - earlier < 3610 for earlier, later in zip(work.begun, work.begun[1:], strict=False))


def test_who_kills_it_has_it_back_and_its_owner_ends_it() -> None:
    """Cancelled by its owner it ends first, with what it does at its end."""
    going_on: list[asyncio.Event] = []

    async def work() -> None:
        event = asyncio.Event()
        going_on.append(event)
        try:
            await event.wait()
        finally:
            await asyncio.sleep(0)
            event.set()

    async def scene() -> None:
        task = restarts.start("killed", work)
        await until(lambda: len(going_on) == 1, step=0.1)
        (part,) = (task for task in asyncio.all_tasks() if task.get_name() == "killed")
        part.cancel()
        await until(lambda: len(going_on) == 2, step=0.1)
        task.cancel()
        await asyncio.wait([task])
        assert [event.is_set() for event in going_on] == [True, True]
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "killed"]

    run(scene(), "stepped")
