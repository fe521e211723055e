"""Two runs of the console, one after the other, on a real terminal."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import SmallWorld
from tests.tui.real_terminal import Terminal

MOUSE_ON = "\x1b[?1000h"


def env(home: Path) -> dict[str, str]:
    """A person's home."""
    return {"HOME": str(home), "XDG_CONFIG_HOME": ""}


@pytest.fixture
def engine(small_world: SmallWorld) -> object:
    """An engine that consoles attach to."""
    with CommandLine(small_world).engine():
        yield small_world


def test_what_was_changed_by_key_is_there_again(engine: SmallWorld, tmp_path: Path) -> None:
    """Theme, order and mouse; the last filter by Up in the filter line."""
    words = ("--config", str(engine.config))
    with Terminal(*words, env=env(tmp_path)) as terminal:
        terminal.wait_for("Accounts", "▼")
        terminal.type("TT")
        terminal.wait_for("Theme: contrast")
        terminal.type("M")
        terminal.wait_for("it selects text")
        terminal.type("q")
        assert terminal.wait() == 0
    file = tmp_path / ".config" / "mailquota" / "console.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(file.read_text()) == {"theme": "contrast", "mouse": False}
    with Terminal(*words, env=env(tmp_path)) as terminal:
        terminal.wait_for("Accounts", "▼")
        assert MOUSE_ON not in terminal.seen
        terminal.type("T")
        terminal.wait_for("Theme: blue-orange")
        terminal.type("q")
        assert terminal.wait() == 0


def test_filters_columns_and_order_by_what_a_terminal_sends(engine: SmallWorld, tmp_path: Path) -> None:
    """Shift and an arrow move a column, Left and Right slide; Up in the filter line is the filter of the last run."""
    words = ("--config", str(engine.config))
    with Terminal(*words, env=env(tmp_path)) as terminal:
        terminal.wait_for("Accounts", "▼")
        terminal.type("c")
        terminal.wait_for("always shown")
        terminal.type("j\x1b[1;2B")  # Usage behind Used
        terminal.wait_for("Used", "Usage: ")
        terminal.type("\x1b")
        terminal.wait_for("Used  Usage")
        terminal.type("/over|near\r")
        terminal.wait_for("2 of 5")
        terminal.type("Fq")
        terminal.wait_for("brings it back")
        terminal.type(">I")
        terminal.wait_for("▲")
        terminal.type("\x1b[C")
        terminal.wait_for("‹")  # noqa: RUF001
        terminal.type("q")
        assert terminal.wait() == 0
    with Terminal(*words, env=env(tmp_path)) as terminal:
        terminal.wait_for("Used  Usage", "▲", "anna@example.com")
        terminal.type("/\x1b[A")
        terminal.wait_for("/ over|near", "2 accounts")
        terminal.type("\x1b")
        terminal.wait_for("anna@example.com")
        terminal.type("'q")
        terminal.wait_for("2 of 5")
        terminal.type("5/start\rFs")
        terminal.wait_for("The filter is kept: ' s")
        terminal.type("q")
        assert terminal.wait() == 0
    with Terminal(*words, env=env(tmp_path)) as terminal:
        terminal.wait_for("anna@example.com")
        terminal.type("5's")
        terminal.wait_for("Journal / start")
        terminal.type("q")
        assert terminal.wait() == 0


def test_a_broken_file_is_one_line_and_no_obstacle(engine: SmallWorld, tmp_path: Path) -> None:
    """It stays as it is."""
    file = tmp_path / ".config" / "mailquota" / "console.toml"
    file.parent.mkdir(parents=True)
    file.write_text("theme = ")
    with Terminal("--config", str(engine.config), env=env(tmp_path)) as terminal:
        terminal.wait_for("nothing is remembered", "console.toml")
        terminal.type("T")
        terminal.wait_for("Theme: light")
        terminal.type("q")
        assert terminal.wait() == 0
    assert file.read_text() == "theme = "


def test_a_demo_remembers_nothing(tmp_path: Path) -> None:
    """It reads and writes nothing but its own."""
    with Terminal("--demo", "--accounts", "5", env=env(tmp_path)) as terminal:
        terminal.wait_for("john@example.org")
        terminal.type("T")
        terminal.wait_for("Theme: light")
        terminal.type("q")
        assert terminal.wait() == 0
    assert not list(tmp_path.iterdir())


def test_the_settings_say_how_it_starts(engine: SmallWorld, tmp_path: Path) -> None:
    """Signs and mouse; options come first."""
    settings = engine.config.read_text()
    engine.config.write_text(f'{settings}\n[console]\nascii = true\nmouse = false\ntheme = "light"\n')
    with Terminal("--config", str(engine.config), env=env(tmp_path)) as terminal:
        terminal.wait_for("Accounts", "[#")
        assert MOUSE_ON not in terminal.seen
        terminal.type("T")
        terminal.wait_for("Theme: contrast")
        terminal.type("q")
        assert terminal.wait() == 0
