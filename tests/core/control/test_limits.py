"""Clients of the control socket that say nothing, too much, or come in too great a number."""

from __future__ import annotations

import contextlib
import grp
from collections.abc import Iterator

import pytest

from mailquota.core.control import server, turns
from mailquota.core.control.framing import encode
from mailquota.core.control.messages import VERSION, Explain, GetStatus, Goodbye, Hello
from mailquota.core.control.peers import Rights
from mailquota.core.control.results import Status
from mailquota.core.engine.serve import Embedded
from tests.core.clients import Console, PolicyClient, connected, until
from tests.core.engines import embedded, inner
from tests.core.others import OWNER, STRANGER, as_root, code_of
from tests.core.worlds import JOHN, SmallWorld


class Mute(Console):
    """A client that says no Hello."""

    def send(self, order: object) -> None:
        """Nothing."""


def goodbye(client: Console) -> str:
    return client.wait_for(Goodbye).reason


def test_a_client_without_a_hello_is_disconnected(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds; one that said it stays."""
    monkeypatch.setattr(server, "HELLO_SECONDS", 0.2)
    with embedded(small_world) as engine, Console(engine.connect()) as other:
        other.welcome()
        with Mute(engine.connect()) as client:
            assert goodbye(client) == "no Hello within 0.2 s"
        with Mute(engine.connect()) as client:
            client.socket.sendall(b"\x00\x00")
            assert goodbye(client) == "no Hello within 0.2 s"
        assert other.ask(GetStatus, Status).accounts == 5


def test_before_the_hello_little_is_kept(small_world: SmallWorld) -> None:
    """Though a later order may have 4 MiB."""
    with embedded(small_world) as engine, Mute(engine.connect()) as client:
        with contextlib.suppress(OSError):
            client.socket.sendall((4 << 20).to_bytes(4, "big") + b"x" * 1_000_000)
        assert goodbye(client) == "no Hello within 65536 bytes"


def test_the_longest_idle_one_makes_room(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A console that follows the engine stays, and what is new gets in."""
    monkeypatch.setattr(server, "_MOST_CLIENTS", 6)
    with embedded(small_world) as engine, contextlib.ExitStack() as stack:
        follower = stack.enter_context(Console(engine.connect()))
        follower.welcome()
        follower.subscribe()
        follower.ask(GetStatus, Status)
        idle = [stack.enter_context(Console(connected(small_world.control_socket))) for _ in range(20)]
        for client in idle[-5:]:
            assert client.ask(GetStatus, Status).accounts == 5
        assert goodbye(idle[0]) == "a newer connection of the same user took its place"
        until(lambda: len(inner(engine).control.connections) <= 6)
        assert follower.ask(GetStatus, Status).accounts == 5


# Connects many times, and keeps all it gets; the last line that it prints is when it has done so.
CROWD = """
import resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    clients.append(client)
print("there", flush=True)
time.sleep(60)
"""
# Sends what it gets on standard input again and again, and reads all that comes back.
FLOOD = """
import socket, threading
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
data = bytes.fromhex(sys.argv[2])
client.sendall(bytes.fromhex(sys.argv[3]))
def drain():
    while client.recv(65536):
        pass
threading.Thread(target=drain, daemon=True).start()
while True:
    client.sendall(data)
"""


TELL = """
import socket
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(bytes.fromhex(sys.argv[2]))
while data := client.recv(65536):
    print(data.decode("ascii", "replace"))
"""


@pytest.fixture
def open_engine(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[Embedded]:
    """Everybody on the machine reaches its control socket; users with the group of STRANGER may look."""
    monkeypatch.setattr(server, "HELLO_SECONDS", 600.0)
    group = grp.struct_group(("lookers", "x", OWNER, []))
    monkeypatch.setattr("mailquota.core.control.peers.grp.getgrnam", lambda _name: group)
    small_world.settings["control"]["read_only_group"] = "lookers"
    small_world.write_settings()
    small_world.folder.chmod(0o755)
    with embedded(small_world) as engine:
        yield engine


@as_root
def test_users_who_may_not_connect_take_few_descriptors(small_world: SmallWorld, open_engine: Embedded) -> None:
    """However often they connect; others get in."""
    with code_of(STRANGER, CROWD, small_world.control_socket, 500) as crowd:
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == "there\n"
        until(lambda: inner(open_engine).control.accepted >= 500)
        until(lambda: len(inner(open_engine).control.connections) <= server._MOST_OF_A_STRANGER)
        with Console(connected(small_world.control_socket)) as console:
            assert console.ask(GetStatus, Status).accounts == 5


@as_root
def test_of_all_such_users_few_connections_are_kept(
    small_world: SmallWorld, open_engine: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest makes room."""
    monkeypatch.setattr(server, "_MOST_STRANGERS", 20)
    with contextlib.ExitStack() as stack:
        for number in range(4):
            crowd = stack.enter_context(code_of(STRANGER + 100 + number, CROWD, small_world.control_socket, 10))
            assert crowd.stdout is not None
            assert crowd.stdout.readline() == "there\n"
        until(lambda: inner(open_engine).control.accepted >= 40)
        until(lambda: len(inner(open_engine).control.connections) <= 20)


@as_root
def test_those_who_may_only_look_hold_up_no_answer(small_world: SmallWorld, open_engine: Embedded) -> None:
    """Few of their orders run at a time, and the rest is not even read."""
    hello = encode(Hello(VERSION, "test"))
    orders = b"".join(encode(Explain(number, JOHN, 1)) for number in range(500))
    connections = inner(open_engine).control.connections
    with (
        code_of(OWNER, FLOOD, small_world.control_socket, orders.hex(), hello.hex()) as flood,
        PolicyClient(small_world.policy_socket) as postfix,
    ):
        until(lambda: any(one.uid == OWNER and one.hello for one in connections))
        looker = next(one for one in connections if one.uid == OWNER)
        for _ in range(50):
            assert postfix.ask(JOHN)
            assert len(looker._tasks) <= turns._MOST_LOOKING
            assert len(looker._reader.frames._buffer) < 1_000_000
        assert flood.poll() is None


@as_root
@pytest.mark.parametrize(("owns", "most"), [(False, 128 * 1024), (True, 4 * 1024)])
def test_those_who_may_change_nothing_send_no_large_order(
    small_world: SmallWorld, open_engine: Embedded, owns: bool, most: int
) -> None:
    """It would take long to read; the owner of the mailboxes orders single warnings."""
    if owns:
        until(lambda: inner(open_engine).control.rights.mailbox_owner is not None)
        inner(open_engine).control.rights = Rights("", "lookers", OWNER)
    order = encode(Hello(VERSION, "test")) + (most + 1).to_bytes(4, "big")
    with code_of(OWNER, TELL, small_world.control_socket, order.hex()) as client:
        told, _ = client.communicate(timeout=30)
    assert f"a frame of {most + 1} bytes, at most {most} are taken" in told


def test_clients_that_read_nothing_are_bounded_in_all(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one for which most waits is dropped."""
    monkeypatch.setattr(server, "_MUCH_UNREAD", 1000)
    monkeypatch.setattr(server, "_ALL_BEHIND", 1_000_000)
    with embedded(small_world) as engine, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Console(engine.connect())) for _ in range(8)]
        for client in clients:
            client.welcome()
        connections = inner(engine).control.connections

        async def send() -> int:
            for connection in list(connections):
                connection.send_frame(b"x" * 400_000)
            return sum(connection.unread for connection in connections)

        engine.call(send())
        until(lambda: len(connections) < 8)
        assert sum(connection.unread for connection in connections) <= 1_400_000
