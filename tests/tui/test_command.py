"""``mailquota`` on a real terminal: attached, with an engine of its own, and in a demo."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.clients import until
from tests.core.commands.command_line import CommandLine
from tests.core.commands.test_serving import ask, engine_pid
from tests.core.engines import is_answering
from tests.core.traffic import Traffic
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld
from tests.mailserver.fixture import temporary_folder
from tests.tui.real_terminal import Terminal


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


@pytest.mark.usefixtures("handing_over")  # the line is cut at the end
@pytest.mark.parametrize("attached", [False, True])
def test_decisions_are_seen_and_explained(line: CommandLine, attached: bool) -> None:
    """What was answered before the console came, and what is answered now; by the engine of either place."""
    with line.engine() if attached else contextlib.nullcontext():
        if attached:
            until(lambda: is_answering(line.world), "the engine answers")
            assert refuses(line.world)
        with console(line) as terminal:
            terminal.wait_for(JOHN, FULL)
            if not attached:
                assert refuses(line.world)
            terminal.type("3")
            terminal.wait_for("malformed", "refused full", f"{FULL} ")
            terminal.type("p")
            terminal.wait_for("PAUSED", "0 new")
            assert refuses(line.world)
            terminal.wait_for("1 new")
            terminal.type("\r")
            terminal.wait_for("What would be answered now", "does not fit", OVERQUOTA[:20])


def test_quitting_keeps_enforcing_in_the_background(handing_over: CommandLine) -> None:
    """The default: a detached engine has the sockets, and the console is gone.

    Of twenty busy connections, and of those who connect meanwhile, not one is refused or gets a wrong answer.
    """
    with console(handing_over) as terminal, contextlib.ExitStack() as stack:
        terminal.wait_for(JOHN)
        traffic = stack.enter_context(Traffic(handing_over.world, 20, anew=2))
        traffic.wait_for_more()
        terminal.type("q")
        terminal.wait_for("Keep enforcing")
        terminal.type("\r")
        assert terminal.wait() == 0
        assert "in the background" in terminal.text
        traffic.wait_for_more()
        assert engine_pid(handing_over) != terminal.process.pid
    assert not traffic.wrong
    assert refuses(handing_over.world)


def test_a_cut_line_is_the_same(handing_over: CommandLine) -> None:
    """A console that loses its terminal does what q does by default."""
    with console(handing_over) as terminal:
        terminal.wait_for(JOHN)
        terminal.hang_up()
        assert terminal.wait() == 0
        assert engine_pid(handing_over) != terminal.process.pid
    assert refuses(handing_over.world)


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


@pytest.fixture
def place() -> Iterator[Path]:
    """Where demos make their folders."""
    with temporary_folder() as folder:
        yield folder


def demo(place: Path, *words: str) -> Terminal:
    """A demo on a terminal; settings elsewhere are none of its business."""
    return Terminal(
        "--demo", "--accounts", "20", *words, env={"TMPDIR": str(place), "MAILQUOTA_CONFIG": "/nonexistent"}
    )


@pytest.mark.parametrize("end", ["q", "cut", "term"])
def test_the_demo_is_removed_however_it_ends(place: Path, end: str) -> None:
    """It needs no question."""
    with demo(place) as terminal:
        terminal.wait_for("DEMO", JOHN)
        assert len(list(place.glob("*/mailquota.toml"))) == 1
        if end == "q":
            terminal.type("q")
        elif end == "cut":
            terminal.hang_up()
        else:
            terminal.process.terminate()
        assert terminal.wait() == 0
        assert not list(place.iterdir())


def test_a_demo_engine_goes_with_its_terminal(place: Path) -> None:
    """SIGHUP means reload to an engine; a line that is cut means the end of the demo."""
    with demo(place, "--serve") as terminal:
        terminal.wait_for("mailquota.toml")
        terminal.process.send_signal(signal.SIGHUP)
        terminal.wait_for("read again")
        assert len(list(place.glob("*/mailquota.toml"))) == 1
        terminal.hang_up()
        assert terminal.wait() == 0
        assert not list(place.iterdir())


def test_colours_and_progress_only_on_a_terminal(line: CommandLine) -> None:
    """The word of a level is coloured there; --no-color and NO_COLOR keep it plain."""
    for words, env, coloured in (((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False)):
        with Terminal("--config", str(line.world.config), "list", *words, env=env) as terminal:
            assert terminal.wait() == 0
            assert ("\x1b[31mover" in terminal.raw) is coloured
