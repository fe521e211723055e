"""Crowds at the policy socket: connections that are left, clients that write or read slowly, no descriptor free."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mailquota.core.control.messages import GetStatus, HandOver
from mailquota.core.control.results import Status
from tests.core.clients import Console, PolicyClient, connected, request, until
from tests.core.engines import ROOT, ended, is_answering, serving
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld
from tests.truth.scale import count

FEW = 64  # descriptors


@pytest.fixture
def room() -> Iterator[None]:
    """Descriptors for a crowd in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def status(world: SmallWorld) -> Status:
    with Console(world.control_socket) as client:
        found: Status = client.ask(GetStatus, Status)
        return found


def test_connections_that_are_opened_and_left(small_world: SmallWorld, room: None) -> None:
    """Idle, in the middle of a request, or with an answer that nobody reads; all forgotten when they go."""
    left = [b"", b"request=smtpd_access_policy\nrecip", request(FULL)]
    with serving(small_world), PolicyClient(small_world.policy_socket) as postfix, contextlib.ExitStack() as crowd:
        for number in range(count(500, 5000)):
            sock = crowd.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(str(small_world.policy_socket))  # waits while the backlog is full
            sock.sendall(left[number % len(left)])
            if number % 100 == 0:
                assert postfix.ask(FULL) == OVERQUOTA
        until(lambda: status(small_world).connections >= count(500, 5000), "all are there", 60)
        assert postfix.ask(JOHN) == "DUNNO"
        crowd.close()
        until(lambda: status(small_world).connections == 1, "all are gone", 60)
        assert postfix.ask(FULL) == OVERQUOTA
        assert status(small_world).malformed == 0


def test_slow_writers_and_readers(small_world: SmallWorld) -> None:
    """Bytes one by one, and answers that pile up: each gets what it asked for, and nobody else waits."""
    with serving(small_world) as running, contextlib.ExitStack() as stack:
        writers = [stack.enter_context(PolicyClient(small_world.policy_socket)) for _ in range(40)]
        deaf = [stack.enter_context(connected(small_world.policy_socket)) for _ in range(10)]
        for sock in deaf:
            _send_until_full(sock)
        before = psutil.Process(running.pid).memory_info().rss
        with PolicyClient(small_world.policy_socket) as postfix:
            for number, byte in enumerate(request(FULL)):
                for writer in writers:
                    writer.socket.sendall(bytes([byte]))
                if number % 10 == 0:
                    assert postfix.ask(FULL) == OVERQUOTA
            assert [writer.read() for writer in writers] == [OVERQUOTA] * len(writers)
            for sock in deaf:
                _send_until_full(sock)
            assert postfix.ask(JOHN) == "DUNNO"
        assert psutil.Process(running.pid).memory_info().rss - before < 20 * 2**20


def _send_until_full(sock: socket.socket) -> None:
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(request(FULL) * 50)


@contextlib.contextmanager
def poor(world: SmallWorld, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An engine that gets few descriptors."""
    mailquota = [sys.executable, "-m", "mailquota", "--serve", "--config", str(world.config)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            ["bash", "-c", f'ulimit -n {FEW}; exec "$@"', "-", *mailquota], cwd=ROOT, stderr=log
        ) as running,
    ):
        try:
            until(lambda: is_answering(world), "it answers")
            yield running
        finally:
            if running.poll() is None:
                running.terminate()
            assert running.wait(10) == 0


def test_no_descriptor_free(small_world: SmallWorld, tmp_path: Path) -> None:
    """Those who are connected are answered as ever, and when others go, new ones are let in."""
    with poor(small_world, tmp_path), PolicyClient(small_world.policy_socket) as postfix:
        assert postfix.ask(FULL) == OVERQUOTA
        with contextlib.ExitStack() as crowd:
            for _ in range(3 * FEW):
                crowd.enter_context(connected(small_world.policy_socket))
            for _ in range(20):
                assert postfix.ask(FULL) == OVERQUOTA
                assert postfix.ask(JOHN) == "DUNNO"
        until(lambda: _is_let_in(small_world), "somebody new is let in")
        assert postfix.ask(FULL) == OVERQUOTA
    assert (tmp_path / "log").stat().st_size < 100_000


def test_a_hand_over_with_no_descriptor_to_spare(small_world: SmallWorld, tmp_path: Path) -> None:
    """As many connections as there may be: all go along, the last one too."""
    with poor(small_world, tmp_path) as engine, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(PolicyClient(small_world.policy_socket)) for _ in range(FEW // 2)]
        assert [client.ask(FULL) for client in clients] == [OVERQUOTA] * len(clients)
        with Console(small_world.control_socket) as console:
            pid = console.ask(HandOver, int)
        try:
            assert [client.ask(FULL) for client in clients] == [OVERQUOTA] * len(clients)
            assert engine.wait(10) == 0
        finally:
            os.kill(pid, signal.SIGTERM)
            assert ended(pid)


def _is_let_in(world: SmallWorld) -> bool:
    try:
        with PolicyClient(world.policy_socket) as client:
            client.socket.settimeout(1)
            return client.ask(FULL) == OVERQUOTA
    except (OSError, EOFError):
        return False
