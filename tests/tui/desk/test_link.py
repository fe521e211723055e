"""The connection to the engine inside the console's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.client import Client, EngineGoneError, RequestFailedError
from mailquota.core.control.messages import Delta, Explain, GetStatus, Welcome
from mailquota.core.control.results import Status
from mailquota.tui.desk import link as link_module
from mailquota.tui.desk.link import Link
from mailquota.tui.desk.session import Session, State
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.world import FIVE


async def until(true: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + 45
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def linked(scene: Callable[[Link, Session, FakeEngine, list[int]], Awaitable[None]]) -> None:
    """Run a scene with a link to a fake engine; the list counts the doorbell."""

    async def run() -> None:
        engine, session, rings = FakeEngine(FIVE), Session(), list[int]()
        link = Link(engine.connect, session, lambda: rings.append(1), lambda: world.NOW)
        task = asyncio.create_task(link.run())
        try:
            await scene(link, session, engine, rings)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await engine.close()

    asyncio.run(run())


def test_it_connects_and_subscribes() -> None:
    """The first snapshot comes by itself."""

    async def scene(link: Link, session: Session, engine: FakeEngine, rings: list[int]) -> None:
        await until(lambda: session.state is State.LIVE and rings)
        assert session.drain().snapshot == FIVE
        assert engine.hello is not None
        assert engine.hello.client == "console"

    linked(scene)


def test_it_reconnects_and_watches_again() -> None:
    """When the engine went away and came back."""

    async def scene(link: Link, session: Session, engine: FakeEngine, rings: list[int]) -> None:
        await until(lambda: session.state is State.LIVE)
        link.watch(["a@example.org"])
        await until(lambda: engine.watched)
        engine.watched = []
        engine.drop("restarting")
        await until(lambda: engine.watched == ["a@example.org"])
        await until(lambda: session.state is State.LIVE)

    linked(scene)


def test_it_goes_on_trying_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """But never waits longer than five seconds."""
    waits: list[float] = []
    tries: list[int] = []

    async def no_sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 8:
            raise asyncio.CancelledError

    async def refuse() -> tuple[Client, Welcome]:
        tries.append(1)
        raise EngineGoneError("no engine answers")

    async def run() -> None:
        link = Link(refuse, Session(), lambda: None, lambda: world.NOW)
        monkeypatch.setattr(asyncio, "sleep", no_sleep)
        with pytest.raises(asyncio.CancelledError):
            await link.run()

    asyncio.run(run())
    assert waits[0] < waits[1] < 1
    assert max(waits) == waits[-1] == link_module.LAST_RETRY <= 5


def test_a_storm_rings_few_times() -> None:
    """A thousand changes are one or two rings, and merge."""

    async def scene(link: Link, session: Session, engine: FakeEngine, rings: list[int]) -> None:
        await until(lambda: session.state is State.LIVE)
        session.drain()
        before = len(rings)
        for number in range(1000):
            engine.tell(Delta([AccountRow("a@example.org", 1000, number)], []))
        merged: list[AccountRow] = []

        def last_came() -> bool:
            merged.extend(session.drain().rows.values())
            return bool(merged) and merged[-1].used_bytes == 999

        await until(last_came)
        assert len(rings) - before < 10

    linked(scene)


def test_requests_are_answered_or_fail() -> None:
    """By the engine, or because there is none."""

    async def scene(link: Link, session: Session, engine: FakeEngine, rings: list[int]) -> None:
        with pytest.raises(EngineGoneError):
            await link.ask(GetStatus, Status)
        await until(lambda: session.state is State.LIVE)
        status: Status = await link.ask(GetStatus, Status)
        assert status.accounts == 5
        engine.failing[Explain] = "not today"
        with pytest.raises(RequestFailedError, match="not today"):
            await link.ask(lambda number: Explain(number, "a@example.org"), None)

    linked(scene)
