"""An engine hands its sockets to another process, and nobody who asks notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import GetStatus, HandOver
from mailquota.core.control.results import Status
from mailquota.core.engine import handover
from mailquota.core.engine.handover import VARIABLE, Message, Predecessor, receive, send
from mailquota.core.engine.serve import Embedded
from tests.core.clients import Console, PolicyClient, ask, request, until
from tests.core.engines import ROOT, console, embedded, ended, inner, is_answering, on_loop
from tests.core.traffic import Traffic
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld


@contextlib.contextmanager
def successor(pid: int) -> Iterator[None]:
    """The engine in the background, ended with the block."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        assert ended(pid)


# ---- messages


def test_a_message_comes_through_with_its_descriptors() -> None:
    """They lead to the same socket, and programs that are started later do not get them."""
    ours, theirs = socket.socketpair()
    left, right = socket.socketpair()
    with ours, theirs, left, right:
        send(ours, Message("connections", received=[b"request=smtp", b""]), [left.fileno(), right.fileno()])
        message, handles = receive(theirs)
        assert (message.kind, message.received) == ("connections", [b"request=smtp", b""])
        copies = [socket.socket(fileno=handle) for handle in handles]
        copies[0].sendall(b"hello")
        assert right.recv(10) == b"hello"
        for copy in copies:
            assert not copy.get_inheritable()
            copy.close()


def test_many_connections_go_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes some two hundred at a time."""
    monkeypatch.setattr(handover, "_start", lambda *_, **__: subprocess.Popen(["true"]))
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("mailquota.core.engine.handover.socket.socketpair", lambda: (ours, theirs.dup()))
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(250)]
        for sock in [theirs, *(sock for pair in pairs for sock in pair)]:
            stack.enter_context(sock)
        new = handover.Successor([], {}, [], detached=True)
        child = new._process
        message, _ = receive(theirs)
        assert message == Message("listen")
        new.give([(pair[0].fileno(), b"%d" % number) for number, pair in enumerate(pairs)])
        old = Predecessor(theirs.dup())
        arrived = list(old.connections())
        assert [received for _, received in arrived] == [b"%d" % number for number in range(250)]
        for sock, received in arrived:
            sock.sendall(received)
            assert pairs[int(received)][1].recv(10) == received
            sock.close()
        os.waitpid(child.pid, 0)


def test_the_end_of_the_other_side_is_no_crash() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b"\0\0\0\x09half")
        ours.close()
        with pytest.raises(EOFError):
            receive(theirs)


def test_a_predecessor_that_dies_leaves_what_it_sent() -> None:
    """And one that dies before is needed no less: the new engine serves."""
    ours, theirs = socket.socketpair()
    left, right = socket.socketpair()
    with left, right:
        old = Predecessor(theirs)
        send(ours, Message("connections", received=[b"x"]), [left.fileno()])
        ours.close()
        old.say_ready()
        ((sock, received),) = old.connections()
        sock.close()
        assert received == b"x"


def test_a_predecessor_that_is_gone_at_once_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, pytest.raises(MailquotaError, match="is gone"):
        Predecessor(theirs.dup()).listeners()


@pytest.mark.parametrize("value", [None, "", "seven", "99", "-1", "²", "9" * 30, "file", "alone", "inet"])
def test_an_engine_that_nobody_handed_to_starts_by_itself(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    handles: dict[str | None, IO[bytes] | socket.socket] = {
        "file": tempfile.TemporaryFile(),  # noqa: SIM115 - closed below
        "alone": socket.socket(socket.AF_UNIX),
        "inet": socket.socket(),
    }
    if value in handles:
        value = str(handles[value].fileno())
    if value is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, value)
    assert Predecessor.from_environment() is None
    assert VARIABLE not in os.environ
    for handle in handles.values():
        os.fstat(handle.fileno())  # what is no channel stays open
        handle.close()


# ---- the whole way


@pytest.mark.usefixtures("patient")
def test_busy_connections_notice_nothing(small_world: SmallWorld) -> None:
    """Twenty that ask without a pause: every answer is right and no connection is closed."""
    with embedded(small_world) as engine, Traffic(small_world, 20) as traffic:
        traffic.wait_for_more()
        with successor(engine.hand_over()):
            assert engine.handed_over
            engine.stop()
            traffic.wait_for_more()
            with Console(small_world.control_socket) as client:
                status = client.ask(GetStatus, Status)
                assert (status.connections, status.pid) == (20, client_pid(small_world))
            traffic.stop()
    assert not traffic.wrong
    assert not small_world.policy_socket.exists()
    assert not small_world.control_socket.exists()


def client_pid(world: SmallWorld) -> int:
    with Console(world.control_socket) as client:
        return client.welcome().pid


def test_a_request_that_was_half_sent_is_completed(engine: Embedded, small_world: SmallWorld) -> None:
    """Whatever had arrived of it, also between CR and LF, and with an answered one before it."""
    whole = request(FULL).replace(b"\n", b"\r\n")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(PolicyClient(small_world.policy_socket)) for _ in range(len(whole))]
        for cut, client in enumerate(clients):
            client.socket.sendall(request(JOHN) + whole[:cut])
            assert client.read() == "DUNNO"
        with successor(engine.hand_over()):
            for cut, client in enumerate(clients):
                client.socket.sendall(whole[cut:])
            assert [client.read() for client in clients] == [OVERQUOTA] * len(clients)


def test_what_is_sent_during_the_hand_over_is_answered_after_it(engine: Embedded, small_world: SmallWorld) -> None:
    """It waits in the kernel; so do new connections."""
    with PolicyClient(small_world.policy_socket) as old, successor(engine.hand_over()):
        old.socket.sendall(request(FULL))
        with PolicyClient(small_world.policy_socket) as new:
            assert old.read() == new.ask(FULL) == OVERQUOTA


def test_a_connection_that_came_last_is_not_read_any_more(engine: Embedded, small_world: SmallWorld) -> None:
    """What it sends is for the new engine; here it is as if the hand-over were called off then."""
    policy = inner(engine).policy
    on_loop(engine, lambda _: setattr(policy, "resting", True))
    with PolicyClient(small_world.policy_socket) as late, console(engine) as client:
        until(lambda: [connection for connection in policy.connections if connection._paused], "it is at rest")
        late.socket.sendall(request("nobody@example.org") + request(FULL))
        for _ in range(3):
            assert client.ask(GetStatus, Status).requests == 0
        on_loop(engine, lambda _: policy.go_on())
        assert (late.read(), late.read()) == ("DUNNO", OVERQUOTA)


def test_a_connection_that_is_being_accepted_goes_along(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop has taken it from the listening socket, and tells of it only on its next turns."""
    ours, theirs = socket.socketpair()
    policy = inner(engine).policy
    accepted: list[asyncio.Task[None]] = []
    stop_accepting = policy.stop_accepting

    def accept_one_more() -> None:
        stop_accepting()
        if not accepted:
            accepted.append(asyncio.get_running_loop().create_task(policy.adopt(theirs, b"")))

    monkeypatch.setattr(policy, "stop_accepting", accept_one_more)
    with PolicyClient(ours) as late, successor(engine.hand_over()):
        engine.stop()
        assert late.ask(FULL) == OVERQUOTA


def test_a_client_that_does_not_take_its_answers_is_closed_and_nobody_waits_for_ever(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer can't travel along; a closed connection makes Postfix ask again."""
    monkeypatch.setattr("mailquota.core.engine.engine._STOP_SECONDS", 10_000.0)
    with PolicyClient(small_world.policy_socket) as deaf, PolicyClient(small_world.policy_socket) as good:
        deaf.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.socket.send(request(FULL) * 100)
        assert good.ask(FULL) == OVERQUOTA
        with successor(engine.hand_over()):
            assert good.ask(JOHN) == "DUNNO"
            deaf.socket.settimeout(10)
            with contextlib.suppress(EOFError, ConnectionResetError):
                while deaf.read() == OVERQUOTA:
                    continue


def test_a_console_orders_it_and_is_told_the_process(engine: Embedded, small_world: SmallWorld) -> None:
    """Its connection ends then, as the engine behind it does."""
    with console(engine) as client:
        with successor(client.ask(HandOver, int)):
            assert client.goodbye() == "the engine was handed over"
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        assert inner(engine).listeners.handed_over


# ---- when it fails


def unharmed(engine: Embedded, world: SmallWorld, client: PolicyClient) -> None:
    """Old and new connections are served by the old engine."""
    assert client.ask(FULL) == ask(world.policy_socket, FULL) == OVERQUOTA
    assert not engine.handed_over
    with Console(world.control_socket) as visitor:
        assert visitor.welcome().pid == os.getpid()


def test_an_engine_that_does_not_get_ready_changes_nothing(engine: Embedded, small_world: SmallWorld) -> None:
    """Here for a settings file that was broken meanwhile."""
    with PolicyClient(small_world.policy_socket) as postfix, console(engine) as client:
        good = small_world.config.read_text()
        small_world.config.write_text("[policy\n")
        with pytest.raises(RequestFailedError, match=r"did not get ready.*everything stays as it was") as caught:
            client.ask(HandOver, int)
        assert caught.value.exit_code == 1
        unharmed(engine, small_world, postfix)
        small_world.config.write_text(good)
        with successor(client.ask(HandOver, int)):
            assert postfix.ask(FULL) == OVERQUOTA


def test_one_that_takes_too_long_is_ended(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "READY_SECONDS", 0.1)
    small_world.database.rename(small_world.folder / "aside.db")  # so it can't be ready
    started: list[subprocess.Popen[bytes]] = []
    start = handover._start

    def noting(arguments: Sequence[str], channel: int, *, detached: bool) -> subprocess.Popen[bytes]:
        started.append(start(arguments, channel, detached=detached))
        return started[-1]

    monkeypatch.setattr(handover, "_start", noting)
    with PolicyClient(small_world.policy_socket) as postfix:
        with pytest.raises(MailquotaError, match="did not get ready"):
            engine.hand_over()
        assert started[0].returncode is not None
        unharmed(engine, small_world, postfix)


def test_a_python_that_is_gone_changes_nothing(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade of the system."""
    with PolicyClient(small_world.policy_socket) as postfix:
        monkeypatch.setattr("mailquota.core.engine.handover.sys.executable", "/no/such/python")
        with pytest.raises(MailquotaError, match=r"no engine could be started.*No such file"):
            engine.hand_over()
        unharmed(engine, small_world, postfix)


def test_one_that_dies_on_the_last_steps_gives_everything_back(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it said that it was ready; the half-sent request is still there."""
    wait_ready = handover.Successor.wait_ready

    def ready_and_dead(new: handover.Successor) -> None:
        wait_ready(new)
        new._process.kill()
        new._process.wait()

    monkeypatch.setattr(handover.Successor, "wait_ready", ready_and_dead)
    with PolicyClient(small_world.policy_socket) as postfix:
        postfix.socket.sendall(request(JOHN) + request(FULL)[:20])
        assert postfix.read() == "DUNNO"
        with pytest.raises(MailquotaError, match="went away"):
            engine.hand_over()
        postfix.socket.sendall(request(FULL)[20:])
        assert postfix.read() == OVERQUOTA
        unharmed(engine, small_world, postfix)


OLD = """
import os, sys
from pathlib import Path
from mailquota.core.engine.engine import handover
from mailquota.core.settings.config import load
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
config = Path(sys.argv[1])
engine = Embedded(load(config, {}), Options(lambda: load(config, {}), embedded=True))
engine.start()
new = handover.Successor(["--serve", "--config", sys.argv[1]], engine._engine.listeners.all(), [], detached=True)
print(new.pid, flush=True)
new.wait_ready()
os._exit(9)
"""


def test_where_the_old_engine_dies_half_way_the_new_one_serves(small_world: SmallWorld) -> None:
    """After READY there is one to take over, and its sockets listen all the time."""
    old = subprocess.Popen(
        [sys.executable, "-c", OLD, str(small_world.config)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    out, _ = old.communicate(timeout=20)
    assert old.returncode == 9
    with successor(int(out)):
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        assert is_answering(small_world)


# ---- how it is started


def test_the_new_engine_runs_our_code_whatever_the_current_folder_holds(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder that anybody may write must not decide what root runs."""
    for package in ("tui", "core"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('a trap')")
    monkeypatch.chdir(tmp_path)
    with successor(engine.hand_over()):
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_the_new_engine_holds_no_terminal_and_no_folder(engine: Embedded) -> None:
    pid = engine.hand_over()
    with successor(pid):
        process = Path(f"/proc/{pid}")
        assert os.getsid(pid) == pid
        assert (process / "cwd").readlink() == Path("/")
        assert {(process / f"fd/{number}").readlink() for number in (0, 1, 2)} == {Path(os.devnull)}
