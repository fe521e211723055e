"""Copying says how far it reaches, and there is another way to the text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailquota.tui.frame.copying import LONGEST, Way, way_out
from tests.mailserver.fixture import require_servers
from tests.real.beside import Tmux, wait_until
from tests.tui.real_terminal import Terminal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE

FAKE = (sys.executable, "-m", "tests.tui.fake_engine", "--accounts", "60", "--idle", "--attached")
OSC_52 = "\x1b]52;c;"


@pytest.mark.parametrize(
    ("environ", "length", "way"),
    [
        ({"TERM": "xterm-256color"}, 10, Way.TERMINAL),
        ({"TERM": "xterm-256color"}, LONGEST + 1, Way.TOO_LONG),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"}, LONGEST + 1, Way.TMUX),
        ({"TERM": "tmux-256color"}, 10, Way.MAYBE),
        ({"TERM": "screen-256color"}, 10, Way.MAYBE),
        ({"TERM": "screen", "STY": "1.pts"}, 10, Way.NOWHERE),
        ({"TERM": "linux"}, 10, Way.NOWHERE),
        ({"TERM": "vt220"}, 10, Way.NOWHERE),
    ],
)
def test_the_way_out(environ: dict[str, str], length: int, way: Way) -> None:
    """By what is known of the terminal."""
    assert way_out(environ, length) is way


def test_in_tmux_it_is_in_its_buffer(tmp_path: Path) -> None:
    """And the console says so."""
    require_servers("tmux", root=False)
    terminal = Tmux(" ".join(FAKE), 120, 32, tmp_path.name)
    try:
        terminal.wait_for("john@example.org")
        terminal.keys("y")
        terminal.wait_for("in tmux's buffer: its prefix and ] paste it")
        done = subprocess.run(["tmux", "-L", tmp_path.name, "show-buffer"], capture_output=True, text=True, check=True)
        assert "@example." in done.stdout
        assert done.stdout in terminal.screen()
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"TERM": "linux"}, "not copied: no clipboard can be reached from here"),
        ({"TERM": "screen", "STY": "4711.pts-0.mail"}, "not copied: no clipboard can be reached from here"),
        (
            {"TERM": "xterm-256color", "TMUX": "/nowhere/default,1,0"},
            "not copied: no clipboard can be reached from here",
        ),
        ({"TERM": "screen-256color"}, "which tmux or screen may keep from it"),
        ({"TERM": "xterm-256color"}, "sent to the terminal's clipboard"),
    ],
)
def test_what_is_said_elsewhere(env: dict[str, str], words: str) -> None:
    """Nothing is sent where it reaches nobody; Y shows the text, with the mouse left to the terminal."""
    with Terminal(env={"TMUX": "", "STY": "", **env}, command=FAKE) as terminal:
        terminal.wait_for("john@example.org")
        terminal.type("y")
        terminal.wait_for(words)
        assert (OSC_52 in terminal.seen) is ("sent" in words or "which" in words)
        terminal.type("Y")
        terminal.wait_for("Esc Back")
        assert terminal.seen.rindex("\x1b[?1003l") > terminal.seen.rindex("\x1b[?1003h")
        terminal.type("\x1b")
        terminal.wait_for("Accounts")
        wait_until(lambda: terminal.see() and _takes_mouse(terminal.seen), "takes the mouse again")
        terminal.type("q")
        assert terminal.wait() == 0


def _takes_mouse(seen: str) -> bool:
    """Whether the mouse was asked for after it was left."""
    return seen.rindex("\x1b[?1003h") > seen.rindex("\x1b[?1003l")


def test_the_addresses_of_marked_accounts() -> None:
    """One a line."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "y")
        await stage.sees("2 addresses: sent to")
        assert stage.app.clipboard == "a@example.org\nb@example.org"
        await stage.press("Y")
        await stage.until(
            lambda: stage.lines()[:2] == [line.ljust(120) for line in stage.app.clipboard.split("\n")], ""
        )
        await stage.press("4")
        await stage.sees("─ Warnings ")

    play(scene, rows=FIVE)
