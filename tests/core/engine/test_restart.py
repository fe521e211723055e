"""A service is replaced by a new process, or stopped and started behind a held socket; nobody who asks is failed."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import Decisions, GetDetails, GetRefusals, GetStatus, HandOver
from mailquota.core.control.results import Details, Refusals, Status
from mailquota.core.engine.serve import Embedded
from tests.core.base.test_systemd import manager
from tests.core.clients import Console, PolicyClient, ask, until
from tests.core.engines import ROOT, ended, process, serving
from tests.core.smtpds import Smtpds
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld
from tests.truth.scale import LONG, count

EXPECTED = {FULL: OVERQUOTA, JOHN: "DUNNO"}
MOST = 1.0  # seconds that a request may take during a hand-over, and
MOST_RESTART = 5.0  # during a stop and a start


@contextlib.contextmanager
def last_one_ended(world: SmallWorld) -> Iterator[None]:
    """The engine that serves at the end of the block is stopped and waited for."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            pid = serving_pid(world)
            os.kill(pid, signal.SIGTERM)
            assert ended(pid)


def serving_pid(world: SmallWorld) -> int:
    with Console(world.control_socket) as client:
        return client.welcome().pid


def restart(world: SmallWorld) -> int:
    """As ``mailquota reload --restart``; the new process."""
    with Console(world.control_socket) as client:
        pid: int = client.ask(HandOver, int)
        assert client.goodbye() == "the engine was handed over"
        return pid


@pytest.mark.timeout(600)
def test_requests_across_hand_overs(small_world: SmallWorld) -> None:
    """From one service to the next while connections ask without a pause: each request gets its answer, in time."""
    requests, rounds = count(1000, 20_000), count(2, 20)
    with serving(small_world), last_one_ended(small_world), Smtpds(small_world.policy_socket, EXPECTED, 10) as smtpds:
        pids = set()
        for number in range(1, rounds + 1):
            pids.add(restart(small_world))
            smtpds.wait_for(requests * number // rounds)
    print(f"{rounds} hand-overs, {smtpds.answers} requests, slowest {smtpds.slowest:.3f} s, {smtpds.retries} retries")
    assert len(pids) == rounds
    assert smtpds.answers >= requests
    assert (smtpds.wrong, smtpds.retries) == ([], 0)
    assert not LONG or smtpds.slowest < MOST


def test_the_command(small_world: SmallWorld) -> None:
    """It prints the process that took over; the old one ends with 0, the new one writes to the same log."""
    command = [sys.executable, "-m", "mailquota", "--config", str(small_world.config), "reload", "--restart"]
    with serving(small_world) as old, last_one_ended(small_world), PolicyClient(small_world.policy_socket) as postfix:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        assert done.stdout == f"process {serving_pid(small_world)} has taken over\n"
        assert old.wait(60) == 0
        assert postfix.ask(FULL) == OVERQUOTA
        refused = subprocess.run([*command, "--read-only"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (refused.returncode, "read-only" in refused.stderr) == (1, True)
        os.kill(serving_pid(small_world), signal.SIGTERM)
        assert old.stderr is not None
        log = old.stderr.read()
    assert log.index("another process has the sockets now") < log.index("INFO stopping")
    assert not small_world.policy_socket.exists()


def known(world: SmallWorld) -> tuple[Status, AccountRow, Details, Refusals]:
    """What people see of refusals: head, column, card and report."""
    with Console(world.control_socket) as client:
        status = client.ask(GetStatus, Status)
        details = client.ask(lambda number: GetDetails(number, FULL), Details)
        return status, details.row, details, client.ask(lambda number: GetRefusals(number, 10), Refusals)


def test_what_was_counted_goes_on_after_a_hand_over(small_world: SmallWorld) -> None:
    """Counters with the time from when on they count, refusals by account, the last ones, and the decisions."""
    with serving(small_world), last_one_ended(small_world):
        began = known(small_world)[0].counted_since
        for address in (FULL, FULL, JOHN):
            ask(small_world.policy_socket, address)
        before = known(small_world)
        restart(small_world)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        status, row, details, refusals = known(small_world)
        assert (status.requests, status.refused, status.refused_last_hour) == (4, 3, 3)
        assert status.counted_since == began
        assert [len(details.refusals), len(before[2].refusals)] == [3, 2]
        assert [(one.address, one.last_hour, one.last_day) for one in refusals.accounts] == [(FULL, 3, 3)]
        assert before[1].refused_at is not None
        assert row.refused_at is not None
        assert row.refused_at > before[1].refused_at
        assert row.refused_day == 2  # those from before; the new one is told within ten seconds
        until(lambda: known(small_world)[1].refused_day == 3, "the new one is told")
        pid = restart(small_world)  # and once more, without a refusal in between
        assert known(small_world)[1].refused_at == pytest.approx(row.refused_at)
        with Console(small_world.control_socket) as client:
            backlog = client.subscribe().wait_for(Decisions).rows
            assert [decision.recipient for decision in backlog] == [FULL, FULL, JOHN, FULL]
        assert serving_pid(small_world) == pid


def test_refusals_are_known_after_a_stop_and_a_start(small_world: SmallWorld) -> None:
    """By the state database; counters begin anew, and say from when on."""
    with serving(small_world) as process:
        for _ in range(3):
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        before = known(small_world)
        process.terminate()
        assert process.wait(10) == 0
    with serving(small_world):
        until(lambda: known(small_world)[1].refused_at is not None, "it is remembered")
        status, row, _details, refusals = known(small_world)
        assert (status.requests, status.refused, status.refused_last_hour) == (0, 0, 3)
        assert status.counted_since is not None
        assert before[0].counted_since is not None
        assert status.counted_since > before[0].counted_since
        assert row.refused_at == pytest.approx(before[1].refused_at)
        assert row.refused_day == 3
        assert [(one.address, one.last_hour, one.last_day) for one in refusals.accounts] == [(FULL, 3, 3)]
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        assert known(small_world)[0].refused_last_hour == 4


def test_the_engine_of_a_console_is_left_to_it(engine: Embedded, small_world: SmallWorld) -> None:
    """A restart by another client would end the console under its operator."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom mailquota.core.control.messages import HandOver\n"
        "from tests.core.clients import Console\n"
        "with Console(Path(sys.argv[1])) as client:\n    client.ask(HandOver, int)\n"
    )
    visitor = [sys.executable, "-c", code, str(small_world.control_socket)]
    done = subprocess.run(visitor, cwd=ROOT, capture_output=True, text=True, check=False)
    assert RequestFailedError.__name__ in done.stderr
    assert "runs in a console" in done.stderr
    assert not engine.handed_over


def test_systemd_is_told_the_new_main_process(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that the service stops; the new one is watched in place of the old one."""
    with manager(monkeypatch) as told, last_one_ended(small_world):
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with process(small_world) as old:
            until(lambda: "READY=1" in told.recv(1000).decode(), "it is ready")
            new = restart(small_world)
            assert old.wait(60) == 0
            heard = ""
            while "MAINPID" not in heard:
                heard = told.recv(1000).decode()
                assert "STOPPING" not in heard
            assert heard == f"MAINPID={new}"
            for _ in range(3):
                until(lambda: told.recv(1000).decode() == "WATCHDOG=1", "a life sign")


# ---- a held socket


@contextlib.contextmanager
def held(path: Path) -> Iterator[socket.socket]:
    """The socket of a socket unit."""
    with socket.socket(socket.AF_UNIX) as unit:
        unit.bind(str(path))
        unit.listen(1024)
        yield unit


@contextlib.contextmanager
def activated(world: SmallWorld, unit: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
    """An engine that got it as descriptor 3."""
    mailquota = [sys.executable, "-m", "mailquota", "--serve", "--config", str(world.config)]
    script = f"exec 3<&{unit.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec {shlex.join(mailquota)}"
    with subprocess.Popen(
        ["bash", "-c", script], pass_fds=[unit.fileno()], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_stop_and_start_behind_a_held_socket(small_world: SmallWorld) -> None:
    """Requests wait in the socket, and a connection that was closed is opened anew, as Postfix does it."""
    rounds = count(1, 5)
    with held(small_world.policy_socket) as unit, Smtpds(small_world.policy_socket, EXPECTED, 10) as smtpds:
        longest = 0.0
        for number in range(rounds + 1):
            began = time.monotonic()
            with activated(small_world, unit) as running:
                smtpds.wait_for(200 * (number + 1))
                if number == rounds:
                    smtpds.stop()
                running.terminate()
                assert running.wait(60) == 0
            longest = max(longest, time.monotonic() - began)
        assert small_world.policy_socket.exists()
    print(f"{rounds} restarts, {smtpds.answers} requests, slowest {smtpds.slowest:.3f} s")
    assert smtpds.wrong == []
    assert not LONG or smtpds.slowest < MOST_RESTART


def test_a_held_socket_stays_systemds_after_a_hand_over(small_world: SmallWorld) -> None:
    """The file is there when the last engine has ended, for the next start."""
    with held(small_world.policy_socket) as unit, activated(small_world, unit) as first:
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        with last_one_ended(small_world):
            restart(small_world)
            assert first.wait(60) == 0
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        assert small_world.policy_socket.exists()
        assert not small_world.control_socket.exists()
