"""The server's connections: answers in order, none closed for an answer, nobody held by another."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.protocol import MAX_REQUEST, answer, question
from mailquota.core.policy.server import Connection, PolicyServer
from tests.core.loops import run, until
from tests.core.policy.clients import Client, request, serving
from tests.mailserver.fixture import temporary_folder

Work = Callable[["Bench"], Awaitable[object]]


class Bench:
    """A server that answers DUNNO and the recipient; recipients that begin with "late" are answered when told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "policy"
        self.metrics = Metrics()
        self.server = PolicyServer(self.ask, self.metrics)
        self.asked: list[str] = []
        self.late: list[tuple[Connection, str]] = []
        self.clients: list[Client] = []
        self.socket: socket.socket | None = None

    def ask(self, request: bytes, connection: Connection) -> bytes | None:
        name = question(request).recipient.decode()
        self.asked.append(name)
        if name.startswith("late"):
            self.late.append((connection, name))
            return None
        return answer(f"DUNNO {name}")

    def complete(self) -> None:
        """Answer the oldest of the late ones."""
        connection, name = self.late.pop(0)
        connection.complete(answer(f"DUNNO {name}"))

    async def connect(self) -> Client:
        client = await Client.connect(self.path)
        self.clients.append(client)
        return client


@pytest.fixture(params=["asyncio", "uvloop"])
def bench(request: pytest.FixtureRequest) -> Iterator[Callable[[Work], None]]:
    """Runs a coroutine function with a bench, on both kinds of loop."""

    async def main(work: Work, folder: Path) -> None:
        table = Bench(folder)
        async with serving(table.server, table.path) as table.socket:
            await work(table)
            for client in table.clients:
                await client.close()
            await until(lambda: not table.server.connections)

    with temporary_folder() as folder:
        yield lambda work: run(main(work, folder), request.param)


def test_questions_one_by_one(bench: Callable[[Work], None]) -> None:
    """A connection stays open for any number of them."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        for number in range(100):
            assert await client.ask(f"u{number}@x") == f"DUNNO u{number}@x"
        assert not client.reader.at_eof()
        assert len(table.server.connections) == 1

    bench(work)


def test_pipelined(bench: Callable[[Work], None]) -> None:
    """Answers come in the order of the requests, one at a time, also where one takes its time."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.send(*(request(name) for name in ("a@x", "late1@x", "b@x", "late2@x", "c@x")))
        assert await client.answer() == "DUNNO a@x"
        await until(lambda: table.late)
        assert table.asked == ["a@x", "late1@x"]
        table.complete()
        assert [await client.answer(), await client.answer()] == ["DUNNO late1@x", "DUNNO b@x"]
        await until(lambda: table.late)
        table.complete()
        assert [await client.answer(), await client.answer()] == ["DUNNO late2@x", "DUNNO c@x"]

    bench(work)


def test_thousands_in_one_write(bench: Callable[[Work], None]) -> None:
    """All are answered."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.send(*(request(f"u{number}@x") for number in range(5000)))
        for number in range(5000):
            assert await client.answer() == f"DUNNO u{number}@x"

    bench(work)


def test_byte_by_byte(bench: Callable[[Work], None]) -> None:
    """A request may come in as many pieces as it has bytes, and nothing is said before its end."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for byte in request("slow@x", 5):
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert await client.answer() == "DUNNO slow@x"
        assert table.asked == ["slow@x"]

    bench(work)


def test_half_close(bench: Callable[[Work], None]) -> None:
    """Who says that no more will come gets the answers to what came, and then the end."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.send(request("a@x"), request("late@x"), request("b@x"))
        client.writer.write_eof()
        assert await client.answer() == "DUNNO a@x"
        await until(lambda: table.late)
        assert table.server.connections
        table.complete()
        assert [await client.answer(), await client.answer()] == ["DUNNO late@x", "DUNNO b@x"]
        assert await client.ended()

    bench(work)


@pytest.mark.parametrize("piece", [b"", b"recipient=a@x\n", b"r"])
def test_gone_without_a_whole_request(bench: Callable[[Work], None], piece: bytes) -> None:
    """No answer, no fault."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.send(piece)
        client.writer.write_eof()
        assert await client.ended()
        assert table.asked == []
        assert table.metrics.malformed == 0

    bench(work)


def test_gone_while_its_request_is_decided(bench: Callable[[Work], None]) -> None:
    """The answer is dropped, others go on."""

    async def work(table: Bench) -> None:
        client, other = await table.connect(), await table.connect()
        client.send(request("late@x"), request("a@x"))
        await until(lambda: table.late)
        client.writer.transport.abort()
        assert await other.ask("b@x") == "DUNNO b@x"
        table.complete()
        await until(lambda: len(table.server.connections) == 1)
        assert await other.ask("c@x") == "DUNNO c@x"

    bench(work)


def test_idle(bench: Callable[[Work], None]) -> None:
    """A connection without requests is neither spoken to nor closed."""

    async def work(table: Bench) -> None:
        idle = await table.connect()
        others = [await table.connect() for _ in range(5)]
        for number in range(50):
            assert await others[number % 5].ask("a@x") == "DUNNO a@x"
        assert not idle.reader.at_eof()
        with pytest.raises(BlockingIOError):
            os.read(idle.writer.get_extra_info("socket").fileno(), 1)
        assert await idle.ask("now@x") == "DUNNO now@x"

    bench(work)


def test_a_request_without_end(bench: Callable[[Work], None], caplog: pytest.LogCaptureFixture) -> None:
    """Ends that connection alone; it is counted and logged."""

    async def work(table: Bench) -> None:
        client, other = await table.connect(), await table.connect()
        client.send(b"x" * (MAX_REQUEST + 1))
        assert await client.ended()
        assert table.metrics.malformed == 1
        assert "a policy client was disconnected: no end of a request" in caplog.text
        assert await other.ask("b@x") == "DUNNO b@x"

    bench(work)


def test_a_client_that_never_reads(bench: Callable[[Work], None]) -> None:
    """It is not read any more either, so that it takes no memory; others do not notice; what it has sent is answered.

    In the order of its requests, however slowly it reads then.
    """

    async def work(table: Bench) -> None:
        other = await table.connect()
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        with sock:
            sock.connect(str(table.path))
            sent = await _send_until_full(sock, table)
            assert len(table.asked) < sent
            assert await other.ask("other@x") == "DUNNO other@x"
            table.asked.remove("other@x")
            received = b""
            loop = asyncio.get_running_loop()
            while received.count(b"\n\n") < sent:
                received += await loop.sock_recv(sock, 1000)
        assert received == b"".join(answer(f"DUNNO u{number}@x") for number in range(sent))
        assert len(table.asked) == sent

    bench(work)


def test_who_does_not_read_holds_up_no_hand_over(bench: Callable[[Work], None]) -> None:
    """Rest comes without it: it is closed, and the others can go."""

    async def work(table: Bench) -> None:
        other = await table.connect()
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        with sock:
            sock.connect(str(table.path))
            await _send_until_full(sock, table)
            assert await other.ask("other@x") == "DUNNO other@x"
            await asyncio.wait_for(table.server.come_to_rest(10_000.0), 20)
            assert len(table.server.parcels()) == 1
            await until(lambda: len(table.server.connections) == 1)
        table.server.go_on()
        assert await other.ask("other@x") == "DUNNO other@x"

    bench(work)


async def _send_until_full(sock: socket.socket, table: Bench) -> int:
    """Whole requests, until nothing is taken any more; how many went."""
    sent = refused = 0
    while refused < 100:
        try:
            written = sock.send(request(f"u{sent}@x"))
        except BlockingIOError:
            refused += 1
            await asyncio.sleep(0.001)
            continue
        assert written == len(request(f"u{sent}@x"))
        sent, refused = sent + 1, 0
        assert sent < 1_000_000
    return sent


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of 500 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("this process may not open 1,000 sockets")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_500_connections(bench: Callable[[Work], None], many_files: None) -> None:
    """All at once, each gets its answers."""

    async def work(table: Bench) -> None:
        clients = await asyncio.gather(*(table.connect() for _ in range(500)))
        await until(lambda: len(table.server.connections) == 500)
        for turn in range(2):
            names = [f"c{number}.{turn}@x" for number in range(500)]
            answers = await asyncio.gather(*(client.ask(name) for client, name in zip(clients, names, strict=True)))
            assert answers == [f"DUNNO {name}" for name in names]

    bench(work)


def test_close_answers_what_was_received(bench: Callable[[Work], None]) -> None:
    """Then it ends all connections."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        client.send(request("late@x"))
        await until(lambda: table.late)
        closing = asyncio.ensure_future(table.server.close(20))
        await until(lambda: table.server.resting)
        table.complete()
        await closing
        assert await client.answer() == "DUNNO late@x"
        assert await client.ended()

    bench(work)


def test_rest_and_go_on(bench: Callable[[Work], None]) -> None:
    """At rest nothing is read; what came meanwhile is answered afterwards."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        assert await client.ask("a@x") == "DUNNO a@x"
        await table.server.come_to_rest(20)
        client.send(request("b@x"))
        await client.writer.drain()
        assert table.asked == ["a@x"]
        table.server.go_on()
        assert await client.answer() == "DUNNO b@x"

    bench(work)


def test_hand_over(bench: Callable[[Work], None]) -> None:
    """A connection goes on at another server, in the middle of a request, and its client sees nothing of it."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        assert await client.ask("a@x") == "DUNNO a@x"
        half = request("b@x")
        client.send(half[:30])
        (connection,) = table.server.connections
        await until(connection._reader.pending)
        await table.server.come_to_rest(20)
        ((handle, received),) = table.server.parcels()
        copy = os.dup(handle)  # as sending it makes one
        connection.abort()
        await until(lambda: not table.server.connections)
        successor = PolicyServer(lambda asked, _: answer(f"DUNNO new {question(asked).recipient.decode()}"), Metrics())
        await successor.adopt(socket.socket(fileno=copy), received)
        client.send(half[30:], request("c@x"))
        assert [await client.answer(), await client.answer()] == ["DUNNO new b@x", "DUNNO new c@x"]
        await successor.close()
        assert await client.ended()

    bench(work)


def test_listening_ends_but_the_socket_stays(bench: Callable[[Work], None]) -> None:
    """Who stops accepting leaves file and socket to their owner; who comes then waits for the next one that listens."""

    async def work(table: Bench) -> None:
        client = await table.connect()
        await until(lambda: table.server.connections)
        table.server.stop_accepting()
        waiting = await table.connect()
        waiting.send(request("b@x"))
        assert await client.ask("a@x") == "DUNNO a@x"
        assert table.asked == ["a@x"]
        assert table.socket is not None
        await table.server.listen(table.socket)
        assert await waiting.answer() == "DUNNO b@x"

    bench(work)
