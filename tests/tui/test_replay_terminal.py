"""``mailquota replay`` on a real terminal, of what a real engine recorded; and why it can't be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.engine import recorder
from mailquota.core.recordings import writing
from tests.core.clients import PolicyClient, until
from tests.core.commands.command_line import CommandLine, run_command
from tests.core.engines import embedded, measured
from tests.core.recordings.made import night, write
from tests.core.worlds import FULL, JOHN, SmallWorld
from tests.tui.real_terminal import Terminal

PATIENCE = 60.0


@pytest.fixture
def recorded(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A world whose engine refused mail, and ended."""
    monkeypatch.setattr(recorder, "PERIOD", 1)
    monkeypatch.setattr(writing, "FREE_BYTES", 0)
    folder = small_world.folder / "recordings"
    with embedded(small_world) as engine, PolicyClient(small_world.policy_socket) as postfix:
        measured(engine)
        until(lambda: folder.exists() and any(path.stat().st_size > 500 for path in folder.iterdir()), "", PATIENCE)
        for _ in range(5):
            postfix.ask(FULL, 4711)
    return small_world


def test_what_happened(recorded: SmallWorld) -> None:
    """Since a time: from the settings of this server; no engine runs, and none is started."""
    with Terminal("--config", str(recorded.config), "replay", "--since", "1h") as terminal:
        terminal.wait_for("REPLAY", JOHN, FULL)
        terminal.type(")")
        terminal.wait_for("END")
        terminal.type("3")
        terminal.wait_for("refused full", "5 refused")
        terminal.type("1e")
        terminal.wait_for("A replay shows what was recorded")
        terminal.type("q")
        assert terminal.wait() == 0
    assert not recorded.control_socket.exists()


def test_a_file_from_elsewhere(tmp_path: Path) -> None:
    """Without any settings."""
    path = write(tmp_path, night())
    with Terminal("replay", str(path), env={"HOME": str(tmp_path)}) as terminal:
        terminal.wait_for("REPLAY", "mx.example.org", "anna@example.com")
        terminal.type("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize(("words", "code", "why"), [
    ([], 2, "give a FILE, or --since DATE"),
    (["/etc/none.mqr"], 1, "/etc/none.mqr: No such file or directory"),
    (["/etc/passwd"], 1, "/etc/passwd: it is no recording of mailquota"),
    (["/dev/null"], 1, "/dev/null: no ordinary file"),
    (["/etc"], 1, "/etc: no ordinary file"),
    (["--since", "then"], 2, "'then' is not a date"),
    (["--since", "1h"], 1, "nothing is recorded there yet"),
])  # fmt: skip
def test_what_can_not_be_shown(small_world: SmallWorld, words: list[str], code: int, why: str) -> None:
    """A sentence, and the exit code of the contract."""
    with Terminal("--config", str(small_world.config), "replay", *words) as terminal:
        assert terminal.wait() == code
        assert why in " ".join(terminal.text.split())
        assert "Traceback" not in terminal.text


def test_a_time_after_the_last(recorded: SmallWorld) -> None:
    with Terminal("--config", str(recorded.config), "replay", "--since", "0s") as terminal:
        assert terminal.wait() == 1
        assert "nothing is recorded since" in terminal.text


def test_without_a_terminal(tmp_path: Path) -> None:
    done = run_command("replay", str(write(tmp_path, night())))
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a terminal" in done.stderr


def test_a_state_database_on_a_server_has_no_folder_beside_it(small_world: SmallWorld) -> None:
    small_world.settings["state"]["database"] = "mysql://state@127.0.0.1:1/state"
    small_world.write_settings()
    with Terminal("--config", str(small_world.config), "replay", "--since", "1h") as terminal:
        assert terminal.wait() == 1
        assert "state.recordings_folder is not set" in " ".join(terminal.text.split())


def test_help_is_complete(small_world: SmallWorld) -> None:
    done = CommandLine(small_world)("replay", "--help")
    assert done.returncode == 0
    assert "--since DATE" in done.stdout
