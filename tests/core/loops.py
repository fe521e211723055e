"""Event loops for tests: run something on one, wait there until something is so, and step its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

SECONDS = 60.0  # that nothing here takes, unless it hangs


class SteppedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward, so that what waits for a time need not be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
    "stepped": SteppedLoop,
}


def run(work: Coroutine[Any, Any, T], loop: str = "asyncio") -> T:
    """The result of ``work`` on a loop of its own; TimeoutError where it hangs (a stepped clock can't tell)."""

    async def limited() -> T:
        async with asyncio.timeout(None if loop == "stepped" else 2 * SECONDS):
            return await work

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(limited())


async def until(condition: Callable[[], object], *, step: float = 0.0) -> None:
    """Come back when it holds, putting the clock forward by ``step`` each time it does not. TimeoutError if never."""
    deadline = time.monotonic() + SECONDS
    loop = asyncio.get_running_loop()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        if step:
            assert isinstance(loop, SteppedLoop)
            loop.ahead += step
        await asyncio.sleep(0.001)
