"""What a real terminal may send, and what others write on it: nothing of it ends the console or spoils the screen."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.core.commands.command_line import CommandLine
from tests.core.commands.test_serving import ask
from tests.core.worlds import FULL, JOHN, OVERQUOTA
from tests.mailserver.fixture import require_servers
from tests.real.beside import Tmux, wait_until
from tests.tui.real_terminal import Terminal

FAKE = (sys.executable, "-m", "tests.tui.fake_engine", "--accounts", "60", "--idle")
MOUSE_ON, MOUSE_OFF = "\x1b[?1003h", "\x1b[?1003l"
COMMAND = " ".join([*FAKE, "--attached"])


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A console on a fake engine elsewhere."""
    with Terminal("--attached", command=FAKE) as terminal:
        terminal.wait_for("john@example.org")
        yield terminal
        terminal.type("q")
        assert terminal.wait() == 0


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """A shell with job control in tmux, in which the console was started."""
    require_servers("tmux", root=False)
    tmux = Tmux("bash --norc --noprofile", 120, 32, tmp_path.name)
    try:
        tmux.wait_for("bash")
        tmux.keys(f"PS1='shell> '; {COMMAND}", "Enter")
        tmux.wait_for("? Help")
        tmux.wait_for("john@example.org")
        yield tmux
    finally:
        tmux.close()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xfca", id="a character of Latin 1"),
        pytest.param(b"\xff\xfe\x80", id="bytes that no text has"),
        pytest.param(b"\x1b[M#\xff\xff", id="an X10 mouse report beyond column 95"),
        pytest.param(b"\x1b[M\xe0\xe1\xe2", id="an X10 mouse wheel"),
        pytest.param(b"\x1b[1114112;1u", id="a character that there is not"),
        pytest.param(b"\x1b[97;1:3u", id="a key that was let go"),
    ],
)
def test_a_byte_that_is_no_key_is_ignored(terminal: Terminal, data: bytes) -> None:
    """The console goes on, and the next key acts."""
    terminal.send(data)
    terminal.send(b"2")
    terminal.wait_for("of the disk")
    terminal.send(b"1")
    terminal.wait_for("john@example.org")


def test_the_mouse_is_asked_for_again(terminal: Terminal) -> None:
    """A report of the old form says that the terminal has forgotten the new one."""
    terminal.send(b"\x1b[M#\xff\xff")
    wait_until(lambda: "\x1b[?1006h" in terminal.see(), "asks for the mouse")


@pytest.mark.parametrize(("key", "seen"), [(b"2", "of the disk"), (b"5", "undone"), (b"\r", "Usage over 90 days")])
def test_escape_and_the_next_key_in_one_packet(terminal: Terminal, key: bytes, seen: str) -> None:
    """Esc clears the filter, and the key acts."""
    terminal.type("/petra\r")
    terminal.wait_for("Accounts / petra")
    terminal.send(b"\x1b" + key)
    terminal.wait_for(seen)
    terminal.send(b"1")


def test_all_is_painted_anew(tmux: Tmux) -> None:
    """With Ctrl+L, after another program wrote on the screen."""
    before = _still(tmux)
    tty = tmux.tty()
    with open(tty, "w") as other:
        other.write("\x1b[3;1HBroadcast message from root: the machine goes down\r\n\x1b(0qqq\n\n")
    tmux.wait_for("Broadcast")
    tmux.keys("C-l")
    wait_until(lambda: _still(tmux) == before, "painted anew")


@pytest.mark.parametrize("by_key", [True, False], ids=["Ctrl+Z", "SIGTSTP"])
def test_suspended_and_taken_up_again(tmux: Tmux, by_key: bool) -> None:
    """The shell has the terminal meanwhile; afterwards all of the screen is there, and keys act."""
    before = _still(tmux)
    if by_key:
        tmux.keys("C-z")
    else:
        tmux.signal_child("SIGTSTP")
    tmux.wait_for("Stopped")
    tmux.keys("echo as before; fg", "Enter")
    wait_until(lambda: _still(tmux) == before, "painted anew")
    tmux.keys("2")
    tmux.wait_for("of the disk")
    tmux.keys("q")
    tmux.wait_for("as before")


def test_stopped_by_others_and_continued(tmux: Tmux) -> None:
    """With SIGSTOP nothing can be put in order first; the shell writes on the screen."""
    before = _still(tmux)
    tmux.signal_child("SIGSTOP")
    tmux.wait_for("Stopped")
    tmux.keys("fg", "Enter")
    wait_until(lambda: _still(tmux) == before, "painted anew")
    tmux.keys("2")
    tmux.wait_for("of the disk")


def test_the_cursor_stands_on_the_selected_row(tmux: Tmux) -> None:
    """For screen readers; also in the choices of a dialog, and back."""

    def line() -> str:
        return tmux.screen().splitlines()[tmux.cursor()[1]]

    first = line()
    tmux.keys("j")
    wait_until(lambda: "@" in line() and line() != first, "moves")
    tmux.keys("k")
    wait_until(lambda: line() == first, "moves back")


def _still(tmux: Tmux) -> list[str]:
    """The screen but for the clock, the processor and the memory in its first line, and ages."""
    return [line for number, line in enumerate(tmux.screen().splitlines()) if number in {2, 3} or number > 24]


def test_an_engine_of_its_own_is_not_suspended_unasked(handing_over: CommandLine) -> None:
    """By the key and by the signal the console offers to leave it in the background; Postfix is answered meanwhile."""
    with Terminal("--config", str(handing_over.world.config)) as terminal:
        terminal.wait_for(JOHN, FULL)
        terminal.type("\x1a")
        terminal.wait_for("Suspended it would not answer", "Keep enforcing in the background")
        assert ask(handing_over.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"
        terminal.type("\x1b")
        terminal.wait_for(JOHN)
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.wait_for("Suspended it would not answer")
        terminal.type("\r")
        assert terminal.wait() == 0
        assert "goes on in the background" in terminal.text
    assert ask(handing_over.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"


def test_a_key_to_suspend_before_there_is_a_screen(handing_over: CommandLine) -> None:
    """The terminal makes a signal of it then. Nothing stops: a stopped process would keep the policy socket."""
    with Terminal("--config", str(handing_over.world.config)) as terminal:
        while "?1049h" not in terminal.see():  # the screen is being set up
            terminal.type("\x1a")
            time.sleep(0.02)
        terminal.wait_for("Accounts", JOHN)  # its engine answers by then
        assert ask(handing_over.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"
        assert psutil.Process(terminal.process.pid).status() != psutil.STATUS_STOPPED


def test_the_mouse_can_be_left_to_the_terminal() -> None:
    """From the start, and by key; by the same key it is taken again."""
    with Terminal("--attached", "--no-mouse", command=FAKE) as terminal:
        terminal.wait_for("john@example.org")
        assert MOUSE_ON not in terminal.seen
        terminal.type("M")
        terminal.wait_for("The mouse moves and clicks here again")
        assert MOUSE_ON in terminal.seen
        terminal.type("M")
        terminal.wait_for("it selects text")
        assert terminal.seen.rindex(MOUSE_OFF) > terminal.seen.rindex(MOUSE_ON)
        terminal.type("q")
        assert terminal.wait() == 0


def test_ascii_can_be_asked_for() -> None:
    """On a terminal that could do more: no sign is left that its font may lack."""
    with Terminal("--attached", "--ascii", command=FAKE) as terminal:
        terminal.wait_for("john@example.org", "[###")
        for key in "23456":
            terminal.type(key)
        terminal.type("1\r")
        terminal.wait_for("Usage over 90 days")
        assert terminal.seen.isascii()
        terminal.type("\x1bq")
        assert terminal.wait() == 0
