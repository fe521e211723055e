"""The console on a real terminal with the oldest Textual that pyproject.toml admits; other tests have the newest."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.core.clients import until
from tests.core.commands.command_line import ROOT, CommandLine
from tests.core.worlds import FULL, JOHN
from tests.tui.real_terminal import Terminal


def oldest(package: str) -> str:
    """The lower bound that pyproject.toml has for it, as pip wants it."""
    wanted: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return next(each.replace(">=", "==") for each in wanted if each.startswith(f"{package}>="))


@pytest.fixture(scope="module")
def old_textual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but that; what it depends on is that of these tests."""
    target = tmp_path_factory.mktemp("textual")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), oldest("textual")], check=True)
    return target


def test_the_console_starts_on_the_oldest_textual(line: CommandLine, old_textual: Path) -> None:
    """Table, dialogs, and the way out."""
    version = "import textual; print(textual.__version__, textual.__file__)"
    env = {"PYTHONPATH": str(old_textual)}
    found = subprocess.run([sys.executable, "-c", version], env=env, capture_output=True, text=True, check=True).stdout
    assert found.split() == [oldest("textual").partition("==")[2], f"{old_textual}/textual/__init__.py"]
    with Terminal("--config", str(line.world.config), env=env) as terminal:
        terminal.wait_for(JOHN, FULL)
        terminal.type("e")
        terminal.wait_for("Edit limit", "New limit")
        terminal.type("unlimited\r")
        until(lambda: line.json("show", FULL)["limit_bytes"] is None, "the limit is set")
        terminal.type("q")
        terminal.wait_for("Keep enforcing", "Stop")
        terminal.type("\x1b[B\r")
        assert terminal.wait() == 0
