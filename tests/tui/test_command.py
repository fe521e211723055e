"""``mailquota`` on a real terminal: attached, with an engine of its own, and in a demo."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.commands.command_line import SECONDS, CommandLine
from tests.core.commands.test_serving import ask, engine_pid
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld
from tests.mailserver.process import wait_until
from tests.tui.real_terminal import Terminal


@pytest.fixture
def line(small_world: SmallWorld) -> CommandLine:
    """No engine runs."""
    return CommandLine(small_world)


def console(line: CommandLine, *words: str) -> Terminal:
    """The console on this world."""
    return Terminal("--config", str(line.world.config), *words)


def refuses(world: SmallWorld) -> bool:
    """Whether somebody answers Postfix, and rightly."""
    return ask(world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"


def test_it_has_an_engine_of_its_own(line: CommandLine) -> None:
    """Postfix gets answers while the screen is there; Stop ends both and leaves no sockets."""
    with console(line) as terminal:
        terminal.wait_for(JOHN, FULL)
        assert refuses(line.world)
        assert line.json("status")["accounts"] == 5
        terminal.type("q")
        terminal.wait_for("Keep enforcing", "Stop")
        terminal.type("\x1b[B\r")
        assert terminal.wait() == 0
    assert not line.world.policy_socket.exists()
    assert not line.world.control_socket.exists()


@pytest.fixture
def background(line: CommandLine) -> Iterator[list[int]]:
    """Process ids of engines that a console left behind: ended afterwards."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: not line.world.control_socket.exists(), SECONDS)


def test_quitting_keeps_enforcing_in_the_background(line: CommandLine, background: list[int]) -> None:
    """The default: a detached engine has the sockets, and the console is gone."""
    with console(line) as terminal:
        terminal.wait_for(JOHN)
        terminal.type("q")
        terminal.wait_for("Keep enforcing")
        terminal.type("\r")
        assert terminal.wait() == 0
        background.append(engine_pid(line))
        assert background[0] != terminal.process.pid
        assert "in the background" in terminal.text
    assert refuses(line.world)


def test_a_cut_line_is_the_same(line: CommandLine, background: list[int]) -> None:
    """A console that loses its terminal does what q does by default."""
    with console(line) as terminal:
        terminal.wait_for(JOHN)
        terminal.hang_up()
        assert terminal.wait() == 0
    background.append(engine_pid(line))
    assert background[0] != terminal.process.pid
    assert refuses(line.world)


def test_it_attaches_to_the_engine_that_runs(line: CommandLine) -> None:
    """Leaving asks nothing, and the engine goes on."""
    with line.engine() as engine, console(line, "--read-only") as terminal:
        terminal.wait_for(JOHN, "READ-ONLY")
        terminal.type("q")
        assert terminal.wait() == 0
        assert engine.poll() is None
        assert engine_pid(line) == engine.pid


@pytest.mark.parametrize("fault", ["settings", "socket"])
def test_what_keeps_it_from_starting_is_said_before_the_screen_opens(line: CommandLine, fault: str) -> None:
    """One line, exit code 2, not one escape."""
    line.world.settings["policy"]["listen" if fault == "socket" else "lissten"] = ["unix:/nonexistent/policy.sock"]
    line.world.write_settings()
    with console(line) as terminal:
        assert terminal.wait() == 2
        assert terminal.raw.startswith("mailquota: ")
        assert terminal.raw.count("\n") == 1
        assert "\x1b" not in terminal.raw


def demo_folder(terminal: Terminal) -> Path:
    """Where the demo on this terminal lives: what its process has open says it."""
    links = Path(f"/proc/{terminal.process.pid}/fd").iterdir()
    targets = [os.readlink(link) for link in links if link.exists()]
    return Path(next(found[1] for target in targets if (found := re.match(r"(.*/mailquota-[^/]+)/", target))))


@pytest.mark.parametrize("end", ["q", "cut", "term"])
def test_the_demo_is_removed_however_it_ends(end: str) -> None:
    """It needs no question."""
    with Terminal("--demo", "--accounts", "20", env={"MAILQUOTA_CONFIG": "/nonexistent"}) as terminal:
        terminal.wait_for("DEMO", "john@example.org")
        folder = demo_folder(terminal)
        assert (folder / "mailquota.toml").exists()
        if end == "q":
            terminal.type("q")
        elif end == "cut":
            terminal.hang_up()
        else:
            terminal.process.terminate()
        assert terminal.wait() == 0
        assert not folder.exists()


def test_a_demo_engine_goes_with_its_terminal() -> None:
    """SIGHUP means reload to an engine; a line that is cut means the end of the demo."""
    with Terminal("--demo", "--serve", "--accounts", "20") as terminal:
        terminal.wait_for("mailquota.toml")
        folder = demo_folder(terminal)
        terminal.process.send_signal(signal.SIGHUP)
        terminal.wait_for("read again")
        terminal.hang_up()
        assert terminal.wait() == 0
        assert not folder.exists()


def test_colours_and_progress_only_on_a_terminal(line: CommandLine) -> None:
    """The word of a level is coloured there; --no-color and NO_COLOR keep it plain."""
    for words, env, coloured in (((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False)):
        with Terminal("--config", str(line.world.config), "list", *words, env=env) as terminal:
            assert terminal.wait() == 0
            assert ("\x1b[31mover" in terminal.raw) is coloured
