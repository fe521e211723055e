"""The client's end of the control socket: answers find whoever waits, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.version import build, version
from mailquota.core.control.client import Client, EngineGoneError, RequestFailedError, operator_origin
from mailquota.core.control.framing import OrderReader, Refused, encode, encode_result
from mailquota.core.control.messages import (
    VERSION,
    Delta,
    Event,
    Failed,
    GetDetails,
    GetStatus,
    Goodbye,
    Hello,
    Order,
    Progress,
    Recalc,
    Reply,
    Request,
    Subscribe,
    Welcome,
)

WELCOME = Welcome(VERSION, "0", "host", 1, "enforce", True)
Scene = Callable[[Client, "FakeEngine"], Awaitable[None]]


class FakeEngine:
    """The other end, played by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._orders = OrderReader()
        self._taken: list[Order] = []

    async def take(self) -> Order:
        """The next order that the client sent."""
        while not self._taken:
            data = await self._reader.read(65536)
            assert data, "the client has closed the connection"
            self._taken += [order for order in self._orders.feed(data) if not isinstance(order, Refused)]
        return self._taken.pop(0)

    def send(self, *events: Event) -> None:
        self.writer.write(b"".join(map(encode, events)))


def begin(client: Client, request: Request, progress: Callable[[Progress], None] | None = None) -> asyncio.Future[int]:
    """A request that is under way, for a number."""

    async def ask() -> int:
        number: int = await client.request(request, int, progress)
        return number

    return asyncio.ensure_future(ask())


def play(scene: Scene) -> None:
    """A client that has been welcomed, and its engine."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        engine = FakeEngine(*await asyncio.open_unix_connection(sock=theirs))
        engine.send(WELCOME)
        client, welcome = await Client.adopt(ours, "test")
        assert welcome == WELCOME
        assert isinstance(await engine.take(), Hello)
        async with asyncio.timeout(10):
            await scene(client, engine)
        await client.close()
        engine.writer.close()

    asyncio.run(main())


def test_answers_find_who_waits_for_them_in_any_order() -> None:
    async def scene(client: Client, engine: FakeEngine) -> None:
        first = begin(client, GetStatus(1))
        second = begin(client, GetStatus(2))
        await engine.take()
        engine.send(Reply(2, encode_result(20)), Reply(99, encode_result(0)), Reply(1, encode_result(10)))
        assert (await first, await second) == (10, 20)

    play(scene)


def test_a_refusal_carries_the_exit_code() -> None:
    async def scene(client: Client, engine: FakeEngine) -> None:
        request = begin(client, GetDetails(1, "x@y"))
        await engine.take()
        engine.send(Failed(1, 4, "no such account: x@y"))
        with pytest.raises(RequestFailedError, match="no such account") as caught:
            await request
        assert caught.value.exit_code == 4

    play(scene)


def test_progress_goes_to_its_request_and_news_to_everybody() -> None:
    async def scene(client: Client, engine: FakeEngine) -> None:
        told: list[Event] = []
        seen: list[Progress] = []
        client.on_event = told.append
        request = begin(client, Recalc(1, []), seen.append)
        await engine.take()
        engine.send(Progress(1, 1, 2, "a@b"), Progress(7, 1, 2), Delta([], ["gone@b"]), Reply(1, encode_result(0)))
        assert await request == 0
        assert [event.note for event in seen] == ["a@b"]
        assert told == [Delta([], ["gone@b"])]

    play(scene)


@pytest.mark.parametrize("last", [b"", encode(Goodbye("the engine was stopped")), b"\0\0\0\1\xc1"])
def test_requests_fail_when_the_engine_goes(last: bytes) -> None:
    """With or without a word, or with one that makes no sense; and later ones do not wait at all."""

    async def scene(client: Client, engine: FakeEngine) -> None:
        told: list[Event] = []
        client.on_event = told.append
        request = begin(client, GetStatus(1))
        await engine.take()
        engine.writer.write(last)
        engine.writer.close()
        with pytest.raises(EngineGoneError):
            await request
        assert len(told) == 1
        assert isinstance(told[0], Goodbye)
        with pytest.raises(EngineGoneError):
            await client.request(GetStatus(2), int)

    play(scene)


def test_a_fault_of_the_listener_does_not_leave_others_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """The connection ends, as what was not taken is lost."""

    async def scene(client: Client, engine: FakeEngine) -> None:
        def broken(event: Event) -> None:
            if isinstance(event, Delta):
                raise RuntimeError("a screen fell over")

        client.on_event = broken
        request = begin(client, GetStatus(1))
        await engine.take()
        engine.send(Delta([], []))
        with pytest.raises(EngineGoneError, match="a screen fell over"):
            await request

    play(scene)
    assert "a screen fell over" in caplog.text


def test_nothing_is_told_after_close() -> None:
    async def scene(client: Client, engine: FakeEngine) -> None:
        told: list[Event] = []
        client.on_event = told.append
        client.send(Subscribe())
        await engine.take()
        await client.close()
        engine.send(Delta([], []))
        await asyncio.sleep(0)
        assert not told

    play(scene)


def test_where_nobody_listens_there_is_no_engine(tmp_path: Path) -> None:
    with pytest.raises(EngineGoneError, match=r"no engine answers on .*: No such file"):
        asyncio.run(Client.connect(str(tmp_path / "no.sock"), "test"))


def test_an_engine_that_says_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that hangs, or another server on that path."""
    monkeypatch.setattr("mailquota.core.control.client.HELLO_SECONDS", 0.05)
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(EngineGoneError, match=r"did not answer within 0.05 s"):
        asyncio.run(Client.adopt(ours, "test"))


def test_an_engine_may_decline() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(encode(Goodbye("you may not use this socket")))
    with theirs, pytest.raises(EngineGoneError, match="you may not use this socket"):
        asyncio.run(Client.adopt(ours, "test"))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"SUDO_USER": "mary"}, "sudo:mary"),
        ({"SSH_CONNECTION": "10.0.0.9 51512 10.0.0.1 22"}, "ssh:10.0.0.9"),
        ({"SUDO_USER": "mary", "SSH_CONNECTION": "2001:db8::9 51512 2001:db8::1 22"}, "sudo:mary ssh:2001:db8::9"),
    ],
)
def test_the_origin_says_who_became_us_and_from_where(environ: dict[str, str], expected: str) -> None:
    assert operator_origin(environ) == expected


@pytest.mark.parametrize(
    "answer",
    [
        encode(Goodbye("not an order: Invalid value 'plan_undo' - at `$.type`")),
        encode(Failed(1, 1, "PlanUndo is no order")),
        encode(Reply(1, encode_result({"a": "newer form"}))),
        b"\0\0\0\1\xc1",
    ],
)
def test_an_engine_of_another_version_is_named_as_the_cause(answer: bytes) -> None:
    """Both versions, and what to do; not the name of a message."""

    async def scene(client: Client, engine: FakeEngine) -> None:
        request = begin(client, GetStatus(1))
        await engine.take()
        engine.writer.write(answer)
        with pytest.raises(MailquotaError) as caught:
            await request
        text = str(caught.value)
        assert f"it is mailquota 0, this is mailquota {version()}" in text or version() == "0"
        assert "mailquota reload --restart" in text
        assert "PlanUndo" not in text
        assert "plan_undo" not in text

    play(scene)


@pytest.mark.parametrize(
    ("theirs", "cause"),
    [
        ("", "it was started before mailquota was updated"),
        ("same", "it was started before mailquota was updated"),
        ("1.0+deadbeef", f"it is another build of this version (1.0+deadbeef, this is {build()})"),
    ],
)
def test_an_engine_of_another_build_is_named_as_the_cause(theirs: str, cause: str) -> None:
    """Where the versions are the same."""

    async def scene(client: Client, engine: FakeEngine) -> None:
        own = build() if theirs == "same" else theirs
        engine.send(Welcome(VERSION, version(), "host", 1, "enforce", may_change=True, build=own))
        request = begin(client, GetStatus(1))
        await engine.take()
        engine.send(Failed(1, 1, "PlanUndo is no order"))
        with pytest.raises(MailquotaError) as caught:
            await request
        assert cause in str(caught.value)
        assert "mailquota reload --restart" in str(caught.value)

    play(scene)
