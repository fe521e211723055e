"""``mailquota check``: one line and a code, as the guidelines for Nagios plugins want them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from mailquota.core.base.errors import UnreachableError
from mailquota.core.base.model import AccountRow
from mailquota.core.commands import check as module
from mailquota.core.commands.check import _judge, _Seen, _Thresholds
from mailquota.core.commands.main import run as run_main
from mailquota.core.control.results import DatabaseState, DiskState, Status
from tests.core.clients import ask, until
from tests.core.commands.command_line import CommandLine, Done, run_command
from tests.core.worlds import ANNA, FREE, FULL, JOHN

LINE = re.compile(r"MAILQUOTA (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+(?: \| ([^|\n]+))?\n")
FIGURE = re.compile(r"[a-z]+=-?[0-9.]+(?:%|B|c)?;[0-9.]*;[0-9.]*;[0-9.]*;[0-9.]*")
CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


def figures_of(line: str, code: int) -> dict[str, str]:
    """The figures by name. The line must be one as plugins have them, and the code the one of its word."""
    match = LINE.fullmatch(line)
    assert match is not None, line
    assert CODES[match[1]] == code
    parts = (match[2] or "").split()
    assert all(FIGURE.fullmatch(part) for part in parts), parts
    return dict(part.split("=", 1) for part in parts)


def checked(done: Done) -> dict[str, str]:
    assert done.stderr == ""
    return figures_of(done.stdout, done.returncode)


def test_the_worst_accounts_decide(mailquota: CommandLine) -> None:
    """Full is at 100 %, trash at 90 %; both ways alike."""
    done = mailquota("check")
    found = checked(done)
    assert done.returncode == 2
    assert "1 account at 100 % or above (full@example.org 100 %)" in done.stdout
    assert "1 account at 90 % or above (trash@example.com 90 %)" in done.stdout
    assert found["worst"] == "100.0%;90;100;0;"
    assert (found["critical"], found["warning"], found["unknown"]) == ("1;;;0;5", "1;;;0;5", "0;;;0;5")
    assert (found["accounts"], found["used"]) == ("5;;;0;", "30100B;;;0;")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--critical", "101"], 1),
        (["--warning", "100.5", "--critical", "120"], 0),
        (["--warning", "100%", "--critical", "100 %"], 2),
        (["--critical", "100.0"], 2),
        (["!full", "!trash"], 0),
        (["@example.com"], 1),
        (["@example.com", "--critical=90"], 2),
        (["nobody"], 0),
        (["unlimited"], 0),
    ],
)
def test_marks_and_filter(alone: CommandLine, words: list[str], code: int) -> None:
    done = alone("check", *words)
    checked(done)
    assert done.returncode == code


@pytest.mark.parametrize(
    "words",
    [
        ["--warning", "many"],
        ["--warning", "-1"],
        ["--critical", "80"],  # below 90
        ["--critical", ""],
        ["--critical"],
        ["--yse"],
        [">80percent"],
        ["--config", "/nonexistent.toml"],
    ],
)
def test_what_can_not_be_understood_is_unknown(alone: CommandLine, words: list[str]) -> None:
    """No code of another command, which would read as a warning or worse; and one line on standard output."""
    done = alone("check", *words)
    assert checked(done) == {}
    assert done.returncode == 3


def test_a_database_that_is_away(alone: CommandLine) -> None:
    """Without an engine it is unknown; with an engine that could never read it, critical."""
    alone.world.database.rename(alone.world.folder / "away")
    assert alone("check").returncode == 3
    with alone.engine():
        until(lambda: alone("check").returncode == 2, "the engine has tried")
        assert "accounts database" in alone("check").stdout


def test_a_database_that_went_away_is_a_warning(beside: CommandLine) -> None:
    """The engine goes on with the last known limits."""
    until(lambda: beside.json("status")["database"]["state"] == "ok", "the accounts are read")
    beside.world.database.rename(beside.world.folder / "away")
    until(lambda: beside.json("status")["database"]["state"] == "stale", "it is missed")
    done = beside("check", "john")
    checked(done)
    assert done.returncode == 1
    assert "accounts database away" in done.stdout


def test_an_engine_gives_its_counters(beside: CommandLine) -> None:
    asked = 1
    while "452" not in ask(beside.world.policy_socket, FULL) and asked < 50:  # a busy machine may be in trouble first
        asked += 1
    found = checked(beside("check"))
    wanted = f"{asked}c;;;0;", "1c;;;0;", f"{asked - 1}c;;;0;"
    assert (found["requests"], found["refused"], found["trouble"]) == wanted


def test_without_an_engine_it_says_so(alone: CommandLine) -> None:
    done = alone("check", "john")
    assert (done.returncode, "no engine runs" in done.stdout) == (0, True)
    assert "requests" not in checked(done)


def test_hostile_addresses_stay_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a bar, which begins the figures, nor a line end, nor a colour; nor no end."""
    for address in ("a|b=1;2@x", "\x1b[31ma\n@x", "b" * 5000 + "@x", "\N{RIGHT-TO-LEFT OVERRIDE}c@x"):
        assert _judge(_Seen(None, [AccountRow(address, 10, 10)], ""), _Thresholds(90, 100)) == 2
        line = capsys.readouterr().out
        figures_of(line, 2)
        assert line.removesuffix("\n").isprintable()
        assert len(line) < 400


def test_help_names_the_codes() -> None:
    text = run_command("check", "--help").stdout
    assert all(word in text for word in CODES)


# ---- what an engine says of itself


def status(**more: Any) -> Status:
    database, disk = DatabaseState("ok", 1.0), DiskState("/", 1, 2, 50.0)
    fields: dict[str, Any] = dict.fromkeys(Status.__struct_fields__[:19], 0)
    fields |= {"mode": "enforce", "database": database, "disk": disk, "listen": []}
    return msgspec.structs.replace(Status(**fields), **more)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({}, 0, "1 account, none at 90 % or above"),
        ({"state_problem": "state database /x: locked"}, 1, "state database /x: locked"),
        ({"mailstore_problem": "the mailstore /x is not mounted"}, 2, "the mailstore /x is not mounted"),
        ({"warnings_failed": 3}, 1, "3 warnings could not be delivered"),
        ({"database": DatabaseState("stale", 130.0, "gone")}, 1, "accounts database away for 2 min: gone"),
        ({"trouble": 5}, 0, "none at"),
    ],
)
def test_trouble_of_the_engine(more: dict[str, Any], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is so now; counters only go into the figures."""
    row = AccountRow(JOHN, 100, 50)
    assert _judge(_Seen(status(**more), [row]), _Thresholds(90, 100)) == code
    line = capsys.readouterr().out
    assert words in line
    figures_of(line, code)


def test_who_is_not_known_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """But never more than what is known to be worse."""
    rows = [AccountRow(JOHN, 100), AccountRow(ANNA, 100, 20), AccountRow(FREE, None, 5)]
    assert _judge(_Seen(None, rows), _Thresholds(90, 100)) == 1
    assert "the usage of 1 account is not known" in capsys.readouterr().out
    assert _judge(_Seen(None, [*rows, AccountRow(FULL, 10, 10)]), _Thresholds(90, 100)) == 2


def test_only_the_worst_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """And a share is never rounded up to a mark that is not reached."""
    rows = [AccountRow(f"{number}@x", 1000, 1000 + number) for number in range(5)] + [AccountRow("z@x", 10_000, 9999)]
    assert _judge(_Seen(None, rows), _Thresholds(90, 100)) == 2
    line = capsys.readouterr().out
    assert "5 accounts at 100 % or above (4@x 100 %, 3@x 100 %, 2@x 100 %, ...)" in line
    assert "1 account at 90 % or above (z@x 99 %)" in line


@pytest.mark.parametrize("error", [RuntimeError("on fire"), UnreachableError("the engine did not answer"), OSError()])
def test_a_fault_is_unknown(
    alone: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """Any exception is, without a traceback."""

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(module, "run", broken)
    code = run_main(["check"], lambda *_: 0)
    figures_of(capsys.readouterr().out, code)
    assert code == 3


def test_the_limit_of_messages(capsys: pytest.CaptureFixture[str]) -> None:
    """At it an account is full, however small its messages are; the number stands in place of the share."""
    rows = [AccountRow(ANNA, 1000, 950, 9), AccountRow(JOHN, 1000, 10, 3, limit_messages=3)]
    assert _judge(_Seen(None, rows), _Thresholds(90, 100)) == 2
    line = capsys.readouterr().out
    assert f"1 account at 100 % or above ({JOHN} 3 of 3 messages)" in line
    assert f"1 account at 90 % or above ({ANNA} 95 %)" in line
    assert _judge(_Seen(None, [AccountRow(JOHN, 1000, 10, 2, limit_messages=3)]), _Thresholds(90, 100)) == 0
