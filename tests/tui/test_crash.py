"""``mailquota`` whose screen fails on a real terminal: Postfix goes on being answered, by whom it may be."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.engine.serve import Embedded
from mailquota.tui.command import _keep_enforcing
from tests.core.clients import Console, until
from tests.core.commands.command_line import CommandLine
from tests.core.commands.test_serving import engine_pid
from tests.core.engines import embedded, ended
from tests.core.traffic import Traffic
from tests.core.worlds import JOHN, SmallWorld
from tests.tui.real_terminal import Terminal

# The key y is a fault, or one strikes before the screen is there.
PROGRAM = """
import os, sys, time
from mailquota.tui.command import main

class Broken:
    def find_spec(self, name, path, target=None):
        if name == "mailquota.tui.app":
            raise ImportError("as no console should")

if sys.argv[1] == "import":
    sys.meta_path.insert(0, Broken())
    sys.argv.pop(1)
    sys.exit(main())

import mailquota.tui.app
from mailquota.tui.accounts.screen import AccountsScreen

def fail(*_, **__):
    raise ZeroDivisionError("as no console should")

def freeze(*_):
    os.write(1, b"FROZEN")
    time.sleep(3600)

fault = sys.argv.pop(1)
if fault == "start":
    mailquota.tui.app.run_console = fail
elif fault == "compose":
    AccountsScreen.compose = fail
elif fault == "mount":
    AccountsScreen.on_mount = fail
else:
    AccountsScreen.action_copy = fail if fault == "key" else freeze
sys.exit(main())
"""


def faulty(line: CommandLine, fault: str) -> Terminal:
    """The console with a fault in it."""
    return Terminal(fault, "--config", str(line.world.config), command=(sys.executable, "-c", PROGRAM))


@contextmanager
def unharmed(line: CommandLine) -> Iterator[None]:
    """Clients who ask within the block, and a while after, get right answers only."""
    with Traffic(line.world, 5, anew=1) as traffic:
        traffic.wait_for_more()
        yield
        traffic.wait_for_more()
    assert not traffic.wrong


def test_a_screen_that_fails_hands_over(handing_over: CommandLine) -> None:
    """The fault is told, and who answers now; exit code 1."""
    with faulty(handing_over, "key") as terminal:
        terminal.wait_for(JOHN)
        with unharmed(handing_over):
            terminal.type("y")
            assert terminal.wait() == 1
        assert "as no console should" in terminal.text
        pid = engine_pid(handing_over)
        assert f"the policy server goes on in the background as process {pid}" in terminal.text
        assert "mailquota: the console failed" in terminal.text
        assert pid != terminal.process.pid


@pytest.mark.parametrize("fault", ["import", "start", "compose", "mount"])
def test_a_console_that_can_t_begin_leaves_no_engine(line: CommandLine, fault: str) -> None:
    """Nobody knows of it, and it would warn owners. Whatever the fault is, it is told; the sockets are gone."""
    with faulty(line, fault) as terminal:
        assert terminal.wait() == 1
        assert "as no console should" in terminal.text
        if fault != "import":
            assert "its policy server was stopped again" in terminal.text
        assert "in the background" not in terminal.text
    assert line("status").returncode == 5
    assert not line.world.policy_socket.exists()
    assert not line.world.control_socket.exists()


@pytest.mark.parametrize("fault", ["import", "start", "compose", "mount"])
def test_an_engine_that_was_there_before_stays(line: CommandLine, fault: str) -> None:
    """A console that was to attach and can't begin is no business of the engine's."""
    with line.engine() as engine:
        with faulty(line, fault) as terminal:
            assert terminal.wait() == 1
        with unharmed(line):
            assert engine_pid(line) == engine.pid


def ignores_hang_up(pid: int) -> bool:
    """As proc(5) has it: the mask of ignored signals, in hexadecimal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))
    return bool(mask >> (signal.SIGHUP - 1) & 1)


@pytest.mark.parametrize("end", ["fault", "cut"])
def test_where_nobody_can_take_over_it_goes_on_without_a_screen(handing_over: CommandLine, end: str) -> None:
    """Here for a settings file that was broken meanwhile. It ends by SIGTERM, not with the terminal."""
    world = handing_over.world
    good = world.config.read_text()
    with faulty(handing_over, "key") as terminal:
        terminal.wait_for(JOHN)
        world.config.write_text("[policy\n")
        with unharmed(handing_over):
            if end == "fault":
                terminal.type("y")
                terminal.wait_for("goes on in this process until it is terminated")
            terminal.hang_up()
            until(lambda: ignores_hang_up(terminal.process.pid), "goes on without a screen")
            terminal.process.send_signal(signal.SIGHUP)
        with Console(world.control_socket) as client:
            assert client.welcome().pid == terminal.process.pid
        terminal.process.terminate()
        assert terminal.wait() == (1 if end == "fault" else 0)
    world.config.write_text(good)
    assert not world.policy_socket.exists()
    assert not world.control_socket.exists()


@pytest.fixture
def own_signals() -> Iterator[None]:
    """As they were before, afterwards."""
    numbers = (signal.SIGHUP, signal.SIGCONT, signal.SIGTSTP, signal.SIGWINCH, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_signals_that_come_while_it_tries_to_hand_over_are_minded() -> None:
    """A lost terminal ends nothing; an order to end is carried out as soon as the attempt has failed."""
    signal.signal(signal.SIGCONT, lambda *_: pytest.fail("a handler of the screen"))

    class Busy:
        handed_over = False

        def hand_over(self) -> int:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
            for number in (signal.SIGHUP, signal.SIGCONT, signal.SIGTERM):
                signal.raise_signal(number)
            raise MailquotaError("no python to start")

    _keep_enforcing(cast("Embedded", Busy()))


@pytest.mark.usefixtures("own_signals")
def test_a_screen_that_fails_after_it_handed_over_leaves_no_process_that_waits(small_world: SmallWorld) -> None:
    """There is nothing to keep any more."""
    with embedded(small_world) as engine:
        pid = engine.hand_over()
        _keep_enforcing(engine)
        os.kill(pid, signal.SIGTERM)
        assert ended(pid)


def test_a_screen_that_hangs_is_nobody_else_s_trouble(handing_over: CommandLine) -> None:
    """Its thread sleeps; answers and other consoles do not."""
    with faulty(handing_over, "freeze") as terminal:
        terminal.wait_for(JOHN)
        terminal.type("y")
        terminal.wait_for("FROZEN")
        with unharmed(handing_over):
            assert engine_pid(handing_over) == terminal.process.pid
            assert len(handing_over.json("list")) == 5
        terminal.process.kill()
    for socket in (handing_over.world.policy_socket, handing_over.world.control_socket):
        socket.unlink()
