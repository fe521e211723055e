"""Clients that send too much, too little or too slowly: the others do not wait for them, and memory is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.policy import server as policy_server
from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.protocol import MAX_REQUEST, answer, question
from mailquota.core.policy.server import Connection, PolicyServer
from tests.core.loops import run, until
from tests.core.policy.clients import Client, request, serving
from tests.mailserver.fixture import temporary_folder

Work = Callable[["Table"], Awaitable[object]]
FLOOD = b"\n" * 262_144


class Table:
    """A server that answers at once and counts; ``most`` connections have room."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "policy"
        self.metrics = Metrics()
        self.server = PolicyServer(self.ask, self.metrics)
        self.clients: list[Client] = []

    def ask(self, request: bytes, _connection: Connection) -> bytes:
        self.metrics.answered(1)
        return answer(f"DUNNO {question(request).recipient.decode()}")

    async def connect(self) -> Client:
        client = await Client.connect(self.path)
        self.clients.append(client)
        return client


@pytest.fixture(params=["asyncio", "uvloop"])
def table(request: pytest.FixtureRequest) -> Iterator[Callable[[Work], None]]:
    """Runs a coroutine function with a table, on both kinds of loop."""

    async def main(work: Work, folder: Path) -> None:
        made = Table(folder)
        async with serving(made.server, made.path):
            try:
                await work(made)
            finally:
                for client in made.clients:
                    await client.close()
            await until(lambda: not made.server.connections)
            assert made.server.kept_bytes == 0

    with temporary_folder() as folder:
        yield lambda work: run(main(work, folder), request.param)


@contextlib.contextmanager
def flooding(path: Path, count: int, data: bytes) -> Iterator[None]:
    """Clients that send the same again and again, each with a thread that reads what comes back."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(count)]
    for client in clients:
        client.connect(str(path))

    def send(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client.sendall(data)

    def drain(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while client.recv(1 << 20):
                pass

    threads = [threading.Thread(target=work, args=(client,)) for client in clients for work in (send, drain)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for client in clients:
            client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    ("count", "data"),
    [(1, FLOOD), (10, FLOOD), (50, FLOOD), (10, request("a@x") * 1000), (10, b"\r\n" * 100_000)],
    ids=["one", "ten", "fifty", "whole requests", "CRLF"],
)
def test_clients_that_send_without_end_hold_up_nobody(table: Callable[[Work], None], count: int, data: bytes) -> None:
    """Between a question and its answer the others get some turns, and not all that they have sent."""

    async def work(made: Table) -> None:
        client = await made.connect()
        with flooding(made.path, count, data):
            await until(lambda: made.metrics.requests > 1000)
            for number in range(20):
                before = made.metrics.requests
                assert await client.ask(f"u{number}@x") == f"DUNNO u{number}@x"
                assert made.metrics.requests - before < 50_000
                await asyncio.sleep(0)

    table(work)


def test_half_requests_are_bounded_for_each_and_in_all(
    table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each up to its limit; beyond the limit of all the longest one ends, and a client with a short one goes on."""
    monkeypatch.setattr(policy_server, "_MOST_HELD", 10 * MAX_REQUEST)

    async def work(made: Table) -> None:
        short = await made.connect()
        short.send(request("short@x")[:-1])
        await until(lambda: made.server.kept_bytes)
        greedy = [await made.connect() for _ in range(40)]
        for client in greedy:
            client.send(b"x" * (MAX_REQUEST - 1))
        await until(lambda: made.metrics.malformed >= 30)
        assert made.server.kept_bytes <= 10 * MAX_REQUEST
        short.send(b"\n")
        assert await short.answer() == "DUNNO short@x"

    table(work)


def test_answers_that_nobody_reads_are_bounded(table: Callable[[Work], None]) -> None:
    async def work(made: Table) -> None:
        client = await made.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("a@x") * 100_000)
        await until(lambda: made.server.kept_bytes)
        for connection in made.server.connections:
            assert connection.kept_bytes < 400_000
        client.writer.transport.abort()

    table(work)


def test_the_one_that_was_idle_longest_makes_room(
    table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And not one that asked since; new ones always get in."""
    monkeypatch.setattr(policy_server, "most_connections", lambda: 5)

    async def work(made: Table) -> None:
        clients = [await made.connect() for _ in range(5)]
        await until(lambda: len(made.server.connections) == 5)
        for client in (*clients[1:], clients[0]):
            await client.ask("a@x")
        late = await made.connect()
        assert await late.ask("late@x") == "DUNNO late@x"
        assert await clients[1].ended()
        for client in (clients[0], *clients[2:]):
            assert await client.ask("b@x") == "DUNNO b@x"
        for number in range(50):  # idle ones alone
            client = await made.connect()
            assert await client.ask(f"c{number}@x") == f"DUNNO c{number}@x"
        assert len(made.server.connections) <= 5

    table(work)
    assert caplog.text.count("the longest idle ones are closed") == 1


def test_many_that_never_ask_keep_nobody_out(table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do half requests."""
    monkeypatch.setattr(policy_server, "most_connections", lambda: 20)

    async def work(made: Table) -> None:
        for number in range(60):
            client = await made.connect()
            client.send(b"recipient=x" if number % 2 else b"")
        client = await made.connect()
        assert await client.ask("a@x") == "DUNNO a@x"

    table(work)


def test_those_that_read_no_answers_keep_nobody_out(
    table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are never idle, as some answers wait for them here, but too few to be counted."""
    monkeypatch.setattr(policy_server, "most_connections", lambda: 10)

    async def work(made: Table) -> None:
        for _ in range(10):
            client = await made.connect()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            client.send(b"\n" * 3000)
        await until(lambda: sum(not connection.idle for connection in made.server.connections) == 10)
        for number in range(3):
            client = await made.connect()
            assert await client.ask(f"c{number}@x") == f"DUNNO c{number}@x"

    table(work)


def test_those_that_send_without_end_keep_nobody_out(
    table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are these ever idle."""
    monkeypatch.setattr(policy_server, "most_connections", lambda: 10)

    async def work(made: Table) -> None:
        with flooding(made.path, 10, FLOOD):
            await until(lambda: sum(not connection.idle for connection in made.server.connections) == 10)
            for number in range(3):
                client = await made.connect()
                assert await client.ask(f"c{number}@x") == f"DUNNO c{number}@x"

    table(work)


def test_those_that_never_ask_go_first(table: Callable[[Work], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago the others asked; also while those that never asked leave."""
    monkeypatch.setattr(policy_server, "most_connections", lambda: 10)

    async def work(made: Table) -> None:
        postfix = await made.connect()
        await postfix.ask("a@x")
        for number in range(50):
            client = await made.connect()
            if number % 2:
                client.writer.write_eof()
            while made.server.accepted < number + 2:  # noqa: ASYNC110 - nothing says it
                await asyncio.sleep(0)
        assert await postfix.ask("b@x") == "DUNNO b@x"

    table(work)
