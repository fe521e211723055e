"""What the helper does not do, whoever orders it: here an engine that is in the hands of somebody else."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailquota.core.base.helper_calls import LONGEST_ANSWER, LONGEST_ORDER, PROTOCOL, receive, send
from mailquota.core.helper import server as module
from mailquota.core.helper.server import Server
from mailquota.core.helper.verbs import Verbs
from tests.core.clients import until
from tests.core.others import STRANGER, as_root, code_of
from tests.core.own_users import helping, settle_users
from tests.core.worlds import JOHN, TRASH, SmallWorld

NAMES = [
    "../../etc@example.org", "john/..@example.org", "john@../..", "*@example.org", "?ohn@example.org", "-A@", "john",
    "", "@", "john@example.org\n", "john@example.org\0", "a" * 300 + "@example.org", "j@hn@example.org",
]  # fmt: skip


class Client:
    """Somebody with the rights of the engine, who sends what he likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(60)
        assert self.order("hello", PROTOCOL)[0] == ""

    def order(self, verb: str, *arguments: Any) -> Any:
        """The kind of the answer and its content."""
        send(self.sock, msgspec.msgpack.encode((verb, arguments)))
        return self.answer()

    def answer(self) -> Any:
        return msgspec.msgpack.decode(receive(self.sock, LONGEST_ANSWER))


class Place:
    """A server of this process, and clients of it."""

    def __init__(self, world: SmallWorld) -> None:
        self.server = Server(Verbs(world.load()), frozenset({os.geteuid()}))
        self.open: list[socket.socket] = []

    def connected(self) -> socket.socket:
        """A connection before its greeting, closed after the test."""
        ours, theirs = socket.socketpair()
        ours.settimeout(60)
        self.open.append(ours)
        self.server.accept(theirs)
        return ours

    def client(self) -> Client:
        return Client(self.connected())


@pytest.fixture
def place(small_world: SmallWorld) -> Iterator[Place]:
    found = Place(small_world)
    yield found
    for sock in found.open:
        sock.close()
    until(lambda: found.server._places._value == module.MOST_CONNECTIONS, "all connections have ended", 60)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_of_no_account(place: Place, small_world: SmallWorld, name: str) -> None:
    client = place.client()
    orders: list[tuple[Any, ...]] = [
        ("measure", "maildir", name, None, None, None), ("count", "maildir", name, None, None, None),
        ("folders", "maildir", name), ("recorded", "maildir", name), ("compare", name), ("quota", name),
        ("sizes", name), ("quotas_of", [name]), ("recount", "maildir", name, None, None),
        ("recount_by_doveadm", name, True), ("empty", name, None, False), ("empty_by_doveadm", name, None, False),
        ("deliver", name, b"Subject: x\n\nx\n"),
    ]  # fmt: skip
    for order in orders:
        kind, content = client.order(*order)
        assert kind in {"error", "unreachable"}, (order, content)
    send(client.sock, msgspec.msgpack.encode(("probe", [("maildir", name, None, None, None)])))
    ((watch, found, *_),) = client.answer()
    assert (watch, found) == (-1, 3)
    assert client.order("was_delivered", name, "<x@y>")[0] in {"", "error"}


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd", "relative", "", "{base}/../x", "{base}x", "{base}/a/../../b"])
def test_paths_elsewhere(place: Place, small_world: SmallWorld, path: str) -> None:
    client, given = place.client(), path.format(base=small_world.mailstore)
    for verb in ("is_mailbox", "is_folder", "real", "times"):
        assert client.order(verb, given) == ["error", "the helper looks at nothing but mailboxes"]


def test_mailboxes_below(place: Place, small_world: SmallWorld) -> None:
    client = place.client()
    assert client.order("is_mailbox", str(small_world.maildir(JOHN))) == ["", True]
    assert client.order("is_folder", str(small_world.mailstore)) == ["", True]


def test_only_trash_is_emptied(place: Place, small_world: SmallWorld) -> None:
    kept = sorted((small_world.maildir(TRASH) / "cur").iterdir())
    kind, found = place.client().order("empty", TRASH, None, False)
    assert (kind, found["messages"]) == ("", 3)
    assert sorted((small_world.maildir(TRASH) / "cur").iterdir()) == kept


@pytest.mark.parametrize(
    "order",
    [
        ("nothing",), ("_measure", JOHN), ("__class__",), ("driver", "maildir"), ("config",), ("follow", 1),
        ("measure", "maildir", JOHN), ("measure", "sql", JOHN, None, None, None),
        ("measure", 1, JOHN, None, None, None),
        ("empty", [JOHN], None, False), ("deliver", JOHN, "text"), ("is_folder", None), ("quotas_of", JOHN),
        ("measure", "maildir", JOHN, "x", None, None),
    ],
)  # fmt: skip
def test_orders_that_are_none(place: Place, order: tuple[Any, ...]) -> None:
    client = place.client()
    kind, _ = client.order(*order)
    assert kind == "error"
    assert client.order("ping")[0] == ""  # it goes on


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 40, struct.pack("!I", LONGEST_ORDER + 1), struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        struct.pack("!I", 9) + msgspec.msgpack.encode(("probe", 1)), struct.pack("!I", 1) + b"\x90",
    ],
)  # fmt: skip
def test_bytes_that_are_no_orders(place: Place, data: bytes) -> None:
    """They end their own connection."""
    client, other = place.client(), place.client()
    client.sock.sendall(data)
    client.sock.shutdown(socket.SHUT_WR)
    with pytest.raises((EOFError, ConnectionResetError)):
        receive(client.sock, LONGEST_ANSWER)
    assert other.order("ping")[0] == ""


def test_an_engine_of_another_version(place: Place) -> None:
    ours = place.connected()
    send(ours, msgspec.msgpack.encode(("hello", (PROTOCOL + 1,))))
    kind, text = msgspec.msgpack.decode(receive(ours, LONGEST_ANSWER))
    assert (kind, text) == ("error", "engine and helper are of different versions: start both anew")


def test_descriptors_beside_the_greeting_are_closed(place: Place) -> None:
    """One is taken: the helper can use it for nothing but watches, and closes it with the connection."""
    read, write = os.pipe()
    ours = place.connected()
    greeting = msgspec.msgpack.encode(("hello", (PROTOCOL,)))
    socket.send_fds(ours, [struct.pack("!I", len(greeting)) + greeting], [write])
    os.close(write)
    receive(ours, LONGEST_ANSWER)
    send(ours, msgspec.msgpack.encode(("probe", [("maildir", JOHN, 10_000, None, None)])))
    ((watch, kind, used, *_),) = msgspec.msgpack.decode(receive(ours, LONGEST_ANSWER))
    assert (watch, kind, used) == (-1, 0, 4000)
    ours.close()
    assert os.read(read, 1) == b""
    os.close(read)


def test_more_connections_than_it_serves(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place.server, "_places", threading.Semaphore(2))
    first, second = place.client(), place.client()
    ours = place.connected()
    assert ours.recv(1) == b""
    first.sock.close()
    until(lambda: place.server._places._value > 0, "a place is free", 60)
    assert place.client().order("ping")[0] == ""
    assert second.order("ping")[0] == ""
    for sock in place.open:
        sock.close()
    until(lambda: place.server._places._value == 2, "all connections have ended", 60)


CONNECT = """
import socket
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect(sys.argv[1])
try:
    print(len(client.recv(1)))
except ConnectionError:
    print(0)
"""


@as_root
def test_a_stranger_is_turned_away(small_world: SmallWorld) -> None:
    path: Path = settle_users(small_world)
    with helping(small_world), code_of(STRANGER, CONNECT, path) as stranger:
        assert stranger.communicate()[0] == "0\n"


@pytest.mark.parametrize(
    "order",
    [b"\x92\xa7measure" + b"\x91" * 100_000 + b"\xc0", b"\x92\xa3\xff\xff\xff\x90", b"\x92\xa5probe\x91" * 30_000],
)
def test_orders_that_can_not_be_read_are_no_fault(place: Place, caplog: pytest.LogCaptureFixture, order: bytes) -> None:
    client, other = place.client(), place.client()
    send(client.sock, order)
    with pytest.raises((EOFError, ConnectionResetError)):
        client.answer()
    assert other.order("ping")[0] == ""
    assert caplog.text == ""


@pytest.mark.parametrize("before", [float("inf"), float("nan"), 1e300])
def test_times_that_are_none(place: Place, before: float) -> None:
    client = place.client()
    client.order("empty", TRASH, before, True)
    client.order("empty_by_doveadm", TRASH, before, True)
    assert client.order("ping")[0] == ""


def test_large_orders_wait_for_each_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of large orders, on as many connections as one likes, take the memory of a few."""
    monkeypatch.setattr(place.server, "_large", threading.Semaphore(1))
    first, second, small = place.client(), place.client(), place.client()
    first.sock.sendall(struct.pack("!I", 1_000_000) + b"x")
    until(lambda: place.server._large._value == 0, "it is read", 60)
    order = msgspec.msgpack.encode(("deliver", ("no name", b"x" * 100_000)))
    send(second.sock, order)
    assert small.order("ping")[0] == ""
    assert select.select([second.sock], [], [], 0)[0] == []
    first.sock.close()
    assert second.answer()[0] in {"error", "unreachable", "delivery"}
    until(lambda: place.server._large._value == 1, "the place is free", 60)
