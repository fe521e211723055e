"""Export on a real terminal: by ``x`` and by ``:``, to a file, over one that is there, and to the clipboard."""

from __future__ import annotations

import base64
import csv
import json
import stat
from pathlib import Path

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import FULL, JOHN, SmallWorld
from tests.tui.real_terminal import Terminal

HOME, DELETE_TO_END = "\x1b[H", "\x0b"


def test_a_table_is_exported_by_what_a_terminal_sends(small_world: SmallWorld, tmp_path: Path) -> None:
    """As CSV into a file that only this user may read; one that is there stays until Enter is pressed once more."""
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "TMUX": ""}
    there = tmp_path / "there.json"
    there.write_text("mine")
    with (
        CommandLine(small_world).engine(),
        Terminal("--config", str(small_world.config), env=env) as terminal,
    ):
        terminal.wait_for(JOHN, FULL)
        terminal.type("x")
        terminal.wait_for("Export", "[CSV]", "~/mailquota-accounts-")
        terminal.type(f"\t\t\t{HOME}{DELETE_TO_END}~/new.csv\r")
        terminal.wait_for("5 accounts, ", "written to ")
        new = tmp_path / "new.csv"
        assert JOHN in [row["address"] for row in csv.DictReader(new.read_text().splitlines())]
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        terminal.type(f":export json {there}\r")
        terminal.wait_for("[JSON]")
        terminal.type("\r")
        terminal.wait_for("The file is there already")
        assert there.read_text() == "mine"
        terminal.type("\r")
        terminal.wait_for("written to")
        assert {row["address"] for row in json.loads(there.read_text())} >= {JOHN, FULL}
        terminal.type(f"/{JOHN}\r")
        terminal.wait_for("1 of 5")
        terminal.type(":export text clipboard\r")
        terminal.wait_for("[text]", "[clipboard]")
        terminal.type("\r")
        terminal.wait_for("sent to the terminal's clipboard")
        sent = terminal.seen.rpartition("\x1b]52;c;")[2].partition("\x07")[0].partition("\x1b")[0]
        assert JOHN in base64.b64decode(sent).decode()
        terminal.type("x\x1b")
        terminal.wait_for("Export")
        terminal.type("q")
        assert terminal.wait() == 0
