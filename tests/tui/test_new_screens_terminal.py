"""Card, domains, warnings and journal on a real terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import FULL, JOHN
from tests.mailserver.fixture import require_servers
from tests.real.beside import Tmux
from tests.tui.real_terminal import Terminal

FAKE = (sys.executable, "-m", "tests.tui.fake_engine")


def test_each_screen_over_a_world_with_a_past(tmp_path: Path) -> None:
    """By its key, as it is drawn: the plot, the lists, and back; an edit is taken back."""
    require_servers("tmux", root=False)
    terminal = Tmux(" ".join([*FAKE, "--accounts", "300", "--idle", "--attached"]), 120, 32, tmp_path.name)
    try:
        terminal.wait_for("john@example.org")
        terminal.keys("Enter")
        terminal.wait_for("Usage over 90 days")
        terminal.wait_for("█████")
        terminal.keys("End")
        terminal.wait_for("Last changes")
        terminal.keys("2")
        terminal.wait_for("of the disk")
        terminal.keys("Enter")
        terminal.wait_for("Domains › ")
        terminal.keys("4")
        terminal.wait_for("✗ failed")
        terminal.keys("5")
        terminal.wait_for("undone")
        terminal.keys("1")
        terminal.wait_for("Domains › ")
        terminal.keys("j", "j", "j", "e")
        terminal.wait_for("New limit")
        terminal.keys("+1G", "Tab", "2w", "Enter")
        terminal.wait_for(" until ")
        terminal.keys("U")
        terminal.wait_for("set by ")
        terminal.keys("Enter")
        terminal.wait_for(" again, it was ")
        terminal.keys("q")
    finally:
        terminal.close()


def test_journal_card_and_domains_of_a_real_engine(line: CommandLine) -> None:
    """What a command changed is in the journal, from where Enter leads to the account."""
    with line.engine(), Terminal("--config", str(line.world.config)) as terminal:
        terminal.wait_for(JOHN, FULL)
        assert line("set", JOHN, "20000", "--reason", "by hand").returncode == 0
        terminal.type("2")
        terminal.wait_for("2 domains", "example.com")
        terminal.type("5")
        terminal.wait_for("by hand", JOHN)
        terminal.type("\r")
        terminal.wait_for("INBOX")
        terminal.type("\x1b[F")  # End: a short terminal has no room for all of it
        terminal.wait_for("Last changes", "by hand")
        terminal.type("q")
        assert terminal.wait() == 0


def test_down_to_a_folder_and_back_on_a_real_terminal(line: CommandLine) -> None:
    """Of a real engine: the domain, its accounts, the card, what is in the folder; and the same way back by Esc."""
    with line.engine(), Terminal("--config", str(line.world.config)) as terminal:
        terminal.wait_for(JOHN, FULL)
        terminal.type("2")
        terminal.wait_for("2 domains", "example.com")
        terminal.type("\r")
        terminal.wait_for("Domains › ")
        terminal.type("\r")
        terminal.wait_for("INBOX", "▸")
        terminal.type("\r")
        terminal.wait_for("Largest messages", "By year", "› INBOX")
        for words in ("Folders", "Domains › ", "2 domains"):
            terminal.type("\x1b")
            terminal.wait_for(words)
        terminal.type("q")
        assert terminal.wait() == 0
