"""Blocking work beside the loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mailquota.core.base.threads import gently, in_thread
from tests.core.loops import SteppedLoop, run


def test_the_result_comes_back() -> None:
    assert asyncio.run(in_thread(lambda: 6 * 7)) == 42


def test_an_exception_comes_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_thread(fail))


def test_the_loop_goes_on_meanwhile() -> None:
    async def main() -> str:
        go_on = threading.Event()
        work = asyncio.ensure_future(in_thread(lambda: go_on.wait(10)))
        await asyncio.sleep(0)
        go_on.set()
        return "in time" if await work else "too late"

    assert asyncio.run(main()) == "in time"


def test_work_that_hangs_holds_nobody() -> None:
    """Who waited may give up, the loop may end, and what the work says then is lost without a trace."""
    go_on, done = threading.Event(), threading.Event()

    def hang() -> None:
        go_on.wait(10)
        done.set()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(hang), 0.01)

    asyncio.run(main())
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "mailquota-work")
    go_on.set()
    assert done.wait(10)


def test_who_is_gentle_rests_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a share of a tenth nine times as long as the work took, up to a limit; with all of it not at all."""
    rests: list[float] = []

    async def resting(seconds: float) -> None:
        rests.append(seconds)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)

        def work(seconds: float, *, answer: int) -> int:
            loop.ahead += seconds
            return answer

        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "sleep", resting)
            assert await gently(0.1, work, 0.1, answer=42) == 42
            await gently(1.0, work, 30.0, answer=1)
            await gently(0.1, work, 30.0, answer=1)

    run(main(), "stepped")
    assert rests == pytest.approx([0.9, 0.0, 2.0], abs=0.5)
