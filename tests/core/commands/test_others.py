"""``mailquota show``, ``explain``, ``status``, ``reload``, ``journal``, ``config``, and the help."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from mailquota.core.commands import config
from tests.core.commands.command_line import CommandLine, run_command
from tests.core.commands.test_limits import NOBODY
from tests.core.commands.test_list import KEYS
from tests.core.worlds import ANNA, FULL, JOHN, OVERQUOTA, TRASH

COMMANDS = (
    "list", "show", "set", "recalc", "empty-trash", "explain", "undo", "journal", "check", "config", "status", "reload",
)  # fmt: skip
FOLDER_KEYS = [
    "address", "folder", "messages", "bytes", "oldest", "newest", "largest", "years", "recent", "complete", "method",
    "trash",
]  # fmt: skip
STATUS_KEYS = [
    "mode", "uptime_seconds", "requests", "refused", "would_refuse", "trouble", "malformed", "answers_per_second",
    "p50_us", "p99_us", "connections", "accounts", "over", "near", "database", "disk", "rss_bytes", "cpu_percent",
    "listen", "witness", "counted_since",
]  # fmt: skip


def test_show_has_the_account_and_more(mailquota: CommandLine) -> None:
    """Folders with Trash, the aliases that lead there, and empty arrays for what there is none of."""
    shown = mailquota.json("show", TRASH)
    assert list(shown) == [*KEYS, "folders", "aliases", "refusals", "warnings", "changes"]
    assert shown["folders"] == [
        {"name": "INBOX", "messages": 3, "bytes": 6000, "trash": False},
        {"name": "Trash", "messages": 3, "bytes": 3000, "trash": True},
    ]
    assert (shown["refusals"], shown["warnings"], shown["changes"]) == ([], [], [])
    assert mailquota.json("show", JOHN)["aliases"] == ["info@example.org"]
    card = mailquota("show", TRASH).stdout
    assert "90.0 %" in card
    assert "Trash" in card


def test_show_has_what_is_in_a_folder(mailquota: CommandLine) -> None:
    """Sums, by year, the largest; a folder that is not there is an error, and so is an account."""
    found = mailquota.json("show", TRASH, "--folder", "Trash")
    assert list(found) == FOLDER_KEYS
    assert (found["address"], found["folder"], found["messages"], found["bytes"]) == (TRASH, "Trash", 3, 3000)
    assert [message["bytes"] for message in found["largest"]] == [1000, 1000, 1000]
    assert sum(year["messages"] for year in found["years"]) == 3
    assert found["recent"][0] == {"days": 1, "messages": 3, "bytes": 3000}
    assert found["oldest"] <= found["newest"] == found["largest"][0]["at"]
    card = mailquota("show", TRASH, "--folder", "Trash").stdout
    assert "in 3 messages" in card
    gone = mailquota("show", TRASH, "--folder", "../../john/Maildir/cur")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "there is no folder" in gone.stderr
    assert mailquota("show", NOBODY, "--folder", "INBOX").returncode == 4


def test_explain_answers_as_the_policy_server_would(mailquota: CommandLine) -> None:
    """0 for whatever can be answered, extensions and unknown addresses too."""
    answer = mailquota.json("explain", "Full+lists@Example.org", "--size", "1k")
    assert list(answer) == ["recipient", "size", "targets", "verdict", "action", "why"]
    assert (answer["size"], answer["verdict"], answer["action"]) == (1024, "over_quota", OVERQUOTA)
    (target,) = answer["targets"]
    assert (target["address"], target["kind"], target["fits"], target["via"]) == (FULL, "mailbox", False, [])
    assert (target["limit_bytes"], target["used_bytes"], target["grace_bytes"]) == (10_000, 10_000, 1000)
    assert mailquota.json("explain", ANNA)["verdict"] == "accept"
    nobody = mailquota.json("explain", NOBODY)
    assert (nobody["verdict"], nobody["action"], nobody["targets"][0]["kind"]) == ("unknown", "DUNNO", "unknown")
    assert OVERQUOTA in mailquota("explain", FULL).stdout
    assert mailquota("explain", JOHN, "--size", "large").returncode == 2


def test_status_and_reload_need_the_engine(alone: CommandLine) -> None:
    """5 without one, and nothing is started for it."""
    for command in ("status", "reload"):
        done = alone(command, "--json")
        assert (done.returncode, done.stdout) == (5, "")
        assert str(alone.world.control_socket) in done.stderr


def test_status_of_the_engine(beside: CommandLine) -> None:
    """The keys of the contract, and since when it counts."""
    status = beside.json("status")
    assert list(status) == STATUS_KEYS
    assert (status["mode"], status["accounts"], status["listen"]) == (
        "enforce", 5, [f"unix:{beside.world.policy_socket}"],
    )  # fmt: skip
    assert list(status["database"]) == ["state", "age_seconds"]
    assert list(status["disk"]) == ["path", "free_bytes", "total_bytes", "percent"]
    text = beside("status").stdout
    for words in ("mode         enforcing", "refused      0, 0 in the last hour", "trouble      0", "accounts     5, "):
        assert words in text
    assert "would be refused" not in text


def test_reload_takes_new_settings_and_refuses_wrong_ones(beside: CommandLine) -> None:
    """A mistake is exit code 2 and leaves the old settings in force."""
    beside.world.settings["policy"]["mode"] = "shadow"
    beside.world.write_settings()
    assert beside("reload").returncode == 0
    assert beside.json("status")["mode"] == "shadow"
    assert "would be refused  0" in beside("status").stdout
    working = beside.world.config.read_text()
    other = beside.world.folder / "other.toml"
    other.write_text(working)
    beside.world.config.write_text(working + "[metrics]\nlisten = 3\n")
    done = run_command("--config", str(other), "reload")
    assert done.returncode == 2
    assert "metrics.listen" in done.stderr
    beside.world.config.write_text(working)
    assert beside("reload", "--read-only").returncode == 1
    assert beside.json("status")["mode"] == "shadow"


def test_the_journal_needs_no_accounts(alone: CommandLine) -> None:
    """Nor that anything is said of where they are: it is in the state database alone."""
    alone("set", JOHN, "20480")
    changes = alone.json("journal")
    alone.world.database.unlink()
    assert alone.json("journal") == changes
    state = alone.world.settings["state"]["database"]
    alone.world.config.write_text(f'[state]\ndatabase = "{state}"\n[control]\nsocket = "{alone.world.folder}/none"\n')
    assert alone.json("journal", JOHN) == changes
    assert alone("list").returncode != 0
    alone.world.state.write_bytes(b"")
    assert alone.json("journal") == []


def test_the_journal_since_a_date(mailquota: CommandLine) -> None:
    """Newest first, with the keys of the contract."""
    mailquota("set", JOHN, "20k")
    mailquota("recalc", ANNA)
    entries = [entry for entry in mailquota.json("journal", "--since", "1d") if entry["address"]]
    assert [(e["kind"], e["address"]) for e in entries] == [("recalc", ANNA), ("limit", JOHN)]
    assert list(entries[0]) == [
        "id", "at", "operator", "origin", "kind", "address", "old", "new", "reason", "until", "undoes",
    ]  # fmt: skip
    assert mailquota.json("journal", "--since", "0s") == []
    assert mailquota("journal", "--since", "soon").returncode == 2
    assert [e["kind"] for e in mailquota.json("journal", "John@Example.org")] == ["limit"]
    assert JOHN in mailquota("journal").stdout


def test_config_tells_where_each_setting_came_from(alone: CommandLine) -> None:
    """It shows no password."""
    text = alone.world.config.read_text()
    database = "mysql://reader:s3cret@db.example.org/mail"
    alone.world.settings["accounts"] = {"database": database}
    alone.world.write_settings()
    settings = {entry["key"]: entry for entry in alone.json("config")}
    assert settings["mailstore.doveadm"] == {
        "key": "mailstore.doveadm", "value": "off", "origin": f"file {alone.world.config}",
    }  # fmt: skip
    assert settings["policy.grace"]["origin"] == "default"
    done = alone("config")
    assert "s3cret" not in done.stdout
    assert "mysql://reader:***@db.example.org/mail" in done.stdout
    alone.world.config.write_text(text)


def test_config_writes_a_file_that_loads(alone: CommandLine, tmp_path: Path) -> None:
    """Never over an old one; with what may be a secret it is the owner's alone."""
    target = tmp_path / "new.toml"
    assert alone("config", "--write", str(target)).returncode == 0
    assert stat.S_IMODE(target.stat().st_mode) & 0o044 == 0o044
    rewritten = run_command("--config", str(target), "list", "--json")
    assert len(json.loads(rewritten.stdout)) == 5
    before = target.read_text()
    done = alone("config", "--write", str(target))
    assert (done.returncode, target.read_text()) == (1, before)
    assert alone("config", "--write", "-").stdout == before
    assert alone("config", "--write", str(tmp_path / "missing" / "x")).returncode == 1
    alone.world.settings["mailstore"]["doveadm"] = "doveadm -o doveadm_password=s3cret"
    alone.world.write_settings()
    private = tmp_path / "private.toml"
    assert alone("config", "--write", str(private)).returncode == 0
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_config_makes_the_folder_of_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missing where mailquota was never installed. Other folders are not made."""
    usual = tmp_path / "mailquota" / "mailquota.toml"
    monkeypatch.setattr(config, "DEFAULT_PATH", usual)
    config.make_folder(str(tmp_path / "other" / "x.toml"))
    config.make_folder(str(usual))
    config.make_folder(str(usual))
    assert [path.name for path in tmp_path.iterdir()] == ["mailquota"]


def test_every_command_has_the_common_options_and_help() -> None:
    """Each --help names every option, those for all commands included."""
    pages = [run_command("--help"), *(run_command(command, "--help") for command in COMMANDS)]
    for page in pages:
        assert page.returncode == 0
        assert all(option in page.stdout for option in ("--config", "--read-only", "--no-color", "--version", "--help"))
    assert all(f"\n  {command} " in pages[0].stdout for command in COMMANDS)


def test_version_before_and_after(alone: CommandLine) -> None:
    """One line."""
    assert run_command("--version").stdout == run_command("list", "--version").stdout
    assert run_command("--version").stdout.startswith("mailquota ")


def test_config_option_after_the_command_and_the_variable(alone: CommandLine) -> None:
    """The option beats the variable; a file that is not there is an error that names it."""
    config = str(alone.world.config)
    assert run_command("list", "--json", "--config", config).returncode == 0
    assert run_command("list", "--json", env={"MAILQUOTA_CONFIG": config}).returncode == 0
    done = run_command("list", "--config", "/nonexistent.toml", env={"MAILQUOTA_CONFIG": config})
    assert done.returncode == 2
    assert "/nonexistent.toml" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("lst",), ("--serve", "list"), ("--demo", "list"), ("--accounts", "5"), ("--demo", "--accounts", "0"), ("-x",)],
)
def test_wrong_words_for_the_root(words: tuple[str, ...]) -> None:
    """Exit code 2 and one line."""
    done = run_command(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("mailquota: ")


def test_a_mistake_in_the_settings_is_named(alone: CommandLine) -> None:
    """The file and the key."""
    alone.world.config.write_text("[policy]\nlissten = []\n")
    for words in (("list",), ("--serve",), ("status",), ()):
        done = alone(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{alone.world.config}: unknown key policy.lissten" in done.stderr


def test_a_database_that_is_away(alone: CommandLine) -> None:
    """5, also where an engine runs that never could read it."""
    alone.world.database.unlink()
    for words in (("list",), ("show", JOHN), ("set", JOHN, "20k"), ("recalc", "--all"), ("explain", JOHN)):
        done = alone(*words)
        assert (done.returncode, done.stderr.count("\n")) == (5, 1)
        assert "database" in done.stderr
    with alone.engine():
        assert alone("list").returncode == 5
        assert alone("show", JOHN).returncode == 5
        assert alone.json("status")["database"] == {"state": "down", "age_seconds": None}


def test_textual_stays_away() -> None:
    """No command but the console imports it."""
    import subprocess
    import sys

    from tests.core.commands.command_line import ROOT

    code = (
        "import sys, importlib, mailquota.tui.command\n"
        "from mailquota.core.commands.main import _COMMANDS\n"
        "for name in [*_COMMANDS.values(), 'serving']: importlib.import_module(f'mailquota.core.commands.{name}')\n"
        "import mailquota.core.engine.serve\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'textual', 'rich'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
