"""``mailquota set``."""

from __future__ import annotations

import contextlib
import json
import os
import pty

import pytest

from tests.core.commands.command_line import CommandLine, Done
from tests.core.worlds import ANNA, FREE, FULL, JOHN, TRASH, SmallWorld

NOBODY = "nobody@example.org"


def limits(world: SmallWorld) -> dict[str, object]:
    """The limits in the database, by address."""
    return {address: world.limit_of(address) for address in (JOHN, FULL, FREE, ANNA, TRASH)}


def answered(line: CommandLine, answer: bytes, *words: str) -> Done:
    """The command with a terminal on stdin, on which ``typed`` was typed."""
    master, slave = pty.openpty()
    try:
        os.write(master, answer)
        return line(*words, stdin=slave)
    finally:
        os.close(slave)
        os.close(master)


def test_a_limit_is_set_and_journaled(mailquota: CommandLine) -> None:
    """The result has the old and the new limit and the journal's number; the database and the account agree."""
    result = mailquota.json("set", JOHN, "20k", "--reason", "more mail")
    (change,) = [entry for entry in mailquota.json("journal") if entry["address"]]
    assert result == [
        {"address": JOHN, "old_bytes": 10_000, "new_bytes": 20_480, "journal_id": change["id"], "error": None}
    ]
    assert mailquota.world.limit_of(JOHN) == 20_480
    shown = mailquota.json("show", JOHN)
    assert shown["limit_bytes"] == 20_480
    assert (change["kind"], change["old"], change["new"], change["reason"]) == ("limit", 10_000, 20_480, "more mail")
    assert mailquota.json("journal", JOHN) == shown["changes"] == [change]


@pytest.mark.parametrize(
    ("size", "limit"),
    [("-1000", 9000), ("-10%", 9000), ("+1k", 11_024), ("x2", 20_000), ("used*1.5", 6000), ("unlimited", None)],
)
def test_sizes_need_no_dashes_before_them(alone: CommandLine, size: str, limit: int | None) -> None:
    """``set ADDRESS -1G`` works as it is typed, options before or after it."""
    (result,) = alone.json("set", JOHN, size, "--yes")
    assert (result["new_bytes"], result["error"]) == (limit, None)
    assert alone.world.limit_of(JOHN) == (limit or 0)


@pytest.mark.parametrize(
    "words",
    [
        ("set", JOHN, "20k", "--yse"),
        ("set", JOHN, "-x"),
        ("set", JOHN),
        ("set", "20k"),
        ("set", JOHN, "5 bananas"),
        ("set", JOHN, "-20k"),
        ("set", JOHN, "--where", "over", "20k"),
        ("set", JOHN, "20k", "--until", "2001-01-01"),
        ("set", JOHN, "20k", "--until", "some day"),
        ("undo", "0"),
        ("undo", "last"),
        ("journal", ""),
        ("set", "--where", ">80percent", "20k"),
        ("set", "--where", "", "20k", "--yes"),
        ("set", "--where", "  ", "20k", "--yes"),
        ("empty-trash", "--where", "", "--yes"),
        ("empty-trash", "--where", "!idle>90", "--yes"),
        ("empty-trash",),
        ("empty-trash", JOHN, "--older-than", "30", "--yes"),
        ("recalc", JOHN, "--all"),
    ],
)
def test_wrong_usage_changes_nothing(alone: CommandLine, words: tuple[str, ...]) -> None:
    """Exit code 2 and one line; a misspelt option is none of the sizes that begin with a minus."""
    before = limits(alone.world)
    done = alone(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mailquota: ")
    assert done.stderr.count("\n") == 1
    assert limits(alone.world) == before


def test_under_the_present_use_is_a_question(mailquota: CommandLine) -> None:
    """Without a terminal it is answered no; the message says by how much, and names --yes."""
    done = mailquota("set", ANNA, "3000", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 KiB under its present usage" in done.stderr
    assert "--yes" in done.stderr
    assert mailquota.world.limit_of(ANNA) == 10_000
    assert mailquota("set", ANNA, "3000", "--yes").returncode == 0
    assert mailquota.world.limit_of(ANNA) == 3000


def test_the_question_on_a_terminal(alone: CommandLine) -> None:
    """Only yes is yes."""
    for answer in (b"n\n", b"\n", b"\x04"):
        assert answered(alone, answer, "set", JOHN, "100").returncode == 1
        assert alone.world.limit_of(JOHN) == 10_000
    assert answered(alone, b"y\n", "set", JOHN, "100").returncode == 0
    assert alone.world.limit_of(JOHN) == 100


def test_more_than_ten_accounts_are_a_question(alone: CommandLine, small_world: SmallWorld) -> None:
    """For ten it does not ask."""
    for number in range(6):
        small_world.add_account(f"more{number}@example.net")
    done = alone("set", "--where", "!unlimited !john", "50k")  # nine
    assert done.returncode == 0, done.stderr
    done = alone("set", "--where", "example", "60k")
    assert done.returncode == 1
    assert "11 accounts" in done.stderr
    assert "--yes" in done.stderr
    assert small_world.limit_of(ANNA) == 51_200


def test_a_dry_run_asks_and_changes_nothing(mailquota: CommandLine) -> None:
    """It reports what would be set, after the same checks."""
    before = limits(mailquota.world)
    results = mailquota.json("set", "--where", "@example.org", "used+1", "--dry-run")
    assert {r["address"]: (r["old_bytes"], r["new_bytes"], r["journal_id"]) for r in results} == {
        JOHN: (10_000, 4001, None), FULL: (10_000, 10_001, None), FREE: (None, 2101, None),
    }  # fmt: skip
    assert limits(mailquota.world) == before
    assert [entry for entry in mailquota.json("journal") if entry["address"]] == []


def test_exit_codes_of_several(mailquota: CommandLine) -> None:
    """3 where some failed, each named; the code that all share where all failed."""
    done = mailquota("set", JOHN, NOBODY, "20k", "--json")
    assert done.returncode == 3
    assert NOBODY in done.stderr
    assert [(r["address"], r["error"] is None) for r in json.loads(done.stdout)] == [(JOHN, True), (NOBODY, False)]
    assert mailquota("set", NOBODY, "other@example.org", "20k").returncode == 4
    assert mailquota("set", NOBODY, "20k").returncode == 4


def test_no_match_is_no_failure(alone: CommandLine) -> None:
    """No account matches: exit code 0, as for list."""
    done = alone("set", "--where", "trash>1G", "20k", "--json")
    assert (done.returncode, done.stdout) == (0, "[]\n")


def test_a_name_that_dovecot_refuses_is_told_from_one_that_is_not_there(alone: CommandLine) -> None:
    """``list`` shows it, so that "no such account" alone would puzzle."""
    alone.world.add_account("o*neil@example.org")
    for words in (("recalc",), ("empty-trash", "--yes")):
        done = alone(*words, "o*neil@example.org")
        assert done.returncode == 4
        assert "no such account: o*neil@example.org, as Dovecot takes no such user name" in done.stderr
        assert "Dovecot" not in alone(*words, "x@example.org").stderr


@pytest.mark.parametrize("beside", [False, True])
def test_a_change_that_is_not_in_the_journal_says_so(alone: CommandLine, beside: bool) -> None:
    """It stands, so the exit code is 0."""
    alone.world.state.mkdir()
    with alone.engine() if beside else contextlib.nullcontext():
        done = alone("set", JOHN, "20k")
        assert (done.returncode, limits(alone.world)[JOHN]) == (0, 20_480)
        assert done.stderr.startswith("mailquota: done, but not in the journal: state database")
        assert done.stderr.count("\n") == 1
        assert alone("show", JOHN).stderr.count("changes and warnings can't be shown") == 1


def test_addresses_are_taken_in_any_case(alone: CommandLine) -> None:
    """As Postfix and Dovecot do; an address in two spellings is one account."""
    (result,) = alone.json("set", "John@Example.ORG", JOHN, "20k")
    assert result["address"] == JOHN


def test_read_only_refuses(mailquota: CommandLine) -> None:
    """Before or after the command; a dry run is no change."""
    for words in (("--read-only", "set", JOHN, "20k"), ("set", "--read-only", "--yes", JOHN, "20k")):
        done = mailquota(*words)
        assert (done.returncode, "read-only" in done.stderr) == (1, True)
    assert mailquota.world.limit_of(JOHN) == 10_000
    assert mailquota("set", JOHN, "20k", "--dry-run", "--read-only").returncode == 0
    assert mailquota("recalc", "--all", "--read-only").returncode == 1
    assert mailquota("empty-trash", TRASH, "--yes", "--read-only").returncode == 1


HOSTILE: list[str | bytes] = [
    "a\nb@example.org",
    "'; DROP TABLE virtual_users; --@x",
    '"q"@example.org',
    "../../etc@example.org",
    "a" * 2000,
    b"\xff\xfe@example.org",
    "\x1b[31m@example.org",
    "ä@example.org",
    "",
]


@pytest.mark.parametrize("command", ["recalc", "set", "empty-trash"])
def test_hostile_addresses_are_nobody(mailquota: CommandLine, command: str) -> None:
    """Exit code 4, a line for each without a control character, no traceback, and everything is as it was."""
    more = {"set": ["20k", "--yes"], "empty-trash": ["--yes"], "recalc": []}[command]
    before = limits(mailquota.world)
    done = mailquota(command, *HOSTILE, *more)
    assert (done.returncode, done.stdout) == (4, "")
    lines = done.stderr.removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE)
    assert all(line.startswith("mailquota: no such account") and line.isprintable() for line in lines)
    assert limits(mailquota.world) == before


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_address_is_shown_as_nobody_and_explained(alone: CommandLine, address: str | bytes) -> None:
    """One line, or an answer."""
    done = alone("show", address, "--json")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
    assert done.stderr.rstrip("\n").isprintable()
    assert json.loads(alone("explain", address, "--json").stdout)["action"] == "DUNNO"
