"""How a command finds its engine, and how it is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from mailquota.core.base.errors import MailquotaError, UnreachableError
from mailquota.core.commands.session import Session, find_engine
from mailquota.core.control.client import Client
from mailquota.core.control.messages import VERSION, Cancel, Order, Recalc, Welcome
from mailquota.core.control.results import RecalcResult
from tests.core.worlds import SmallWorld

WELCOME = Welcome(VERSION, "0", "host", 1, "enforce", may_change=True)


def found(world: SmallWorld) -> Any:
    """The result of ``find_engine``."""
    return asyncio.run(find_engine(world.load(), "test", read_only=False))


def test_nobody_listens(small_world: SmallWorld) -> None:
    """No file, or one that no process listens on."""
    assert found(small_world) is None
    import socket

    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(small_world.control_socket))
    assert found(small_world) is None


def test_no_right_to_connect_is_no_reason_to_act_alone(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine may listen there: exit code 5, and the message names who may connect."""

    async def refuse(*_args: object, **_more: object) -> None:
        raise PermissionError(13, "Permission denied")

    small_world.settings["control"]["group"] = "mailquota"
    small_world.write_settings()
    monkeypatch.setattr(asyncio, "open_unix_connection", refuse)
    with pytest.raises(UnreachableError, match="permission denied; root and members of the group mailquota"):
        found(small_world)


def test_a_server_that_says_nothing(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that hangs is still one: unreachable, not absent."""
    import socket

    monkeypatch.setattr("mailquota.core.control.client.HELLO_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(small_world.control_socket))
        silent.listen()
        with pytest.raises(UnreachableError, match="did not answer"):
            found(small_world)


class FakeClient:
    """An engine that works on a request until it is cancelled; Ctrl-C comes while it does."""

    def __init__(self) -> None:
        self.sent: list[Order] = []
        self.requests: list[Order] = []
        self._cancelled = asyncio.Event()

    def next_id(self) -> int:
        return len(self.sent) + len(self.requests) + 1

    def send(self, order: Order) -> None:
        self.sent.append(order)
        self._cancelled.set()

    async def request(self, order: Recalc, _answer: object, _progress: Callable[..., None]) -> list[RecalcResult]:
        self.requests.append(order)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(self._cancelled.wait(), 10)
        return [RecalcResult(order.addresses[0], 1, 1, 1, 1, "rewrite")]


def test_interrupted_work_shows_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first Ctrl-C cancels the request that runs; those behind it are not sent."""
    monkeypatch.setattr("mailquota.core.commands.session._ORDER_BYTES", 20)
    client = FakeClientHolder()

    async def work() -> tuple[list[RecalcResult], Session]:
        client.fake = FakeClient()
        session = Session(cast("Client", client.fake), WELCOME)

        def order(number: int, addresses: list[str]) -> Recalc:
            return Recalc(number, addresses)

        addresses = ["a@example.org", "b@example.org", "c@example.org"]
        return await session.work(addresses, order, list[RecalcResult], "recounting"), session

    results, session = asyncio.run(work())
    assert [result.address for result in results] == ["a@example.org"]
    assert session.interrupted
    assert [type(order) for order in client.fake.sent] == [Cancel]
    assert len(client.fake.requests) == 1
    with pytest.raises(MailquotaError, match="nothing was changed"):
        session.require_no_interrupt()


class FakeClientHolder:
    """For what is made on the loop."""

    fake: FakeClient
