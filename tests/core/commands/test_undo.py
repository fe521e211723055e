"""``mailquota undo``, ``set --until`` and what ``journal`` says of both."""

from __future__ import annotations

import json
import os
import pwd
from typing import Any

import pytest

from tests.core.clients import until
from tests.core.commands.command_line import CommandLine
from tests.core.worlds import ANNA, FULL, JOHN, TRASH

ME = pwd.getpwuid(os.geteuid()).pw_name


def changes(line: CommandLine) -> list[dict[str, Any]]:
    """What was done to accounts, oldest first."""
    return [entry for entry in reversed(line.json("journal")) if entry["address"]]


def test_the_last_edit_is_taken_back(mailquota: CommandLine) -> None:
    """For all that it set, without a question; the answer is that of set."""
    assert mailquota("set", JOHN, ANNA, "100", "--yes").returncode == 0
    done = mailquota("undo", "--json", "--reason", "a mistake")
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert [list(result) for result in results] == [["address", "old_bytes", "new_bytes", "journal_id", "error"]] * 2
    assert [(r["address"], r["old_bytes"], r["new_bytes"], r["error"]) for r in results] == [
        (JOHN, 100, 10_000, None), (ANNA, 100, 10_000, None),
    ]  # fmt: skip
    assert (mailquota.world.limit_of(JOHN), mailquota.world.limit_of(ANNA)) == (10_000, 10_000)
    entries = changes(mailquota)
    assert [entry["id"] for entry in entries[2:]] == [result["journal_id"] for result in results]
    assert [entry["undoes"] for entry in entries] == [None, None, entries[0]["id"], entries[1]["id"]]
    assert entries[2]["reason"] == "a mistake"
    again = mailquota("undo")
    assert (again.returncode, again.stdout) == (1, "")
    assert "no edit of limits that could be taken back" in again.stderr


def test_one_entry_by_its_number(mailquota: CommandLine) -> None:
    """As a table."""
    mailquota("set", JOHN, FULL, "20k")
    john, full = changes(mailquota)
    done = mailquota("undo", str(full["id"]))
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["address", FULL]
    assert (mailquota.world.limit_of(JOHN), mailquota.world.limit_of(FULL)) == (20_480, 10_000)
    assert mailquota("undo", str(full["id"])).returncode == 1
    assert mailquota("undo", str(john["id"])).returncode == 0


def test_exit_codes_say_how_much_was_taken_back(mailquota: CommandLine) -> None:
    """1 where the limit was changed since, with the operator; 3 for a part; 4 for an account that is gone."""
    world = mailquota.world
    mailquota("set", JOHN, FULL, TRASH, "20k")
    john, full, trash = changes(mailquota)
    mailquota("set", JOHN, "30k")
    world.set_limit(FULL, 5)
    for entry, who in ((john, f"30 KiB by now, set by {ME} on 20"), (full, "5 B by now, changed outside mailquota")):
        done = mailquota("undo", str(entry["id"]))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert f"{who}" in done.stderr
    mailquota("undo")
    done = mailquota("undo", "--json")
    assert done.returncode == 3
    assert [result["error"] is None for result in json.loads(done.stdout)] == [True, False, True]
    mailquota("set", TRASH, "40k")
    world.remove_account(TRASH)
    done = mailquota("undo")
    assert (done.returncode, done.stderr) == (4, f"mailquota: no such account: {TRASH}\n")
    assert mailquota("undo", "4711").returncode == 1
    assert trash["id"] > 0


def test_read_only_takes_nothing_back(mailquota: CommandLine) -> None:
    mailquota("set", JOHN, "20k")
    done = mailquota("undo", "--read-only")
    assert (done.returncode, done.stderr) == (1, "mailquota: read-only: nothing was changed\n")
    assert mailquota.world.limit_of(JOHN) == 20_480


def test_some_are_left_out(mailquota: CommandLine) -> None:
    """They keep their limits, and another undo takes those back. What is no account of the edit is told."""
    mailquota("set", JOHN, FULL, ANNA, "20k")
    world = mailquota.world
    done = mailquota("undo", "--without", "nobody@example.org")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody@example.org is not among the accounts of that edit; nothing was changed" in done.stderr
    everybody = [option for address in (JOHN, FULL, ANNA) for option in ("--without", address)]
    assert "all accounts of that edit are left out" in mailquota("undo", "--yes", *everybody).stderr
    foreseen = mailquota("undo", "--without", JOHN.upper(), "--dry-run", "--json")
    assert [result["address"] for result in json.loads(foreseen.stdout)] == [FULL, ANNA]
    assert world.limit_of(FULL) == 20_480
    done = mailquota("undo", "--without", JOHN, "--without", ANNA, "--yes", "--json")
    assert [result["address"] for result in json.loads(done.stdout)] == [FULL]
    assert (world.limit_of(JOHN), world.limit_of(FULL), world.limit_of(ANNA)) == (20_480, 10_000, 20_480)
    done = mailquota("undo", "--json", "--yes")
    assert [result["address"] for result in json.loads(done.stdout)] == [JOHN, ANNA]
    number = changes(mailquota)[-1]["id"]
    done = mailquota("undo", str(number), "--without", ANNA, "--json", "--yes")
    assert [result["address"] for result in json.loads(done.stdout)] == [JOHN]
    assert (world.limit_of(JOHN), world.limit_of(ANNA)) == (20_480, 10_000)


# ---- until


def test_a_limit_until_a_day(mailquota: CommandLine, request: pytest.FixtureRequest) -> None:
    """In the table and in the journal; the JSON is as ever. Where no engine runs it is said that one must."""
    done = mailquota("set", JOHN, "20k", "--until", "2w", "--dry-run")
    assert done.stderr == "mailquota: dry run: nothing was changed\n"
    head, row = done.stdout.splitlines()
    assert head.split()[-2:] == ["until", "then"]
    assert row.endswith("9.8 KiB")
    assert mailquota.world.limit_of(JOHN) == 10_000
    done = mailquota("set", JOHN, "20k", "--until", "2w", "--json")
    assert done.returncode == 0
    assert list(json.loads(done.stdout)[0]) == ["address", "old_bytes", "new_bytes", "journal_id", "error"]
    alone = "[alone]" in request.node.name
    assert ("no engine runs here" in done.stderr, done.stderr == "") == (alone, not alone)
    (entry,) = changes(mailquota)
    assert entry["until"] is not None
    assert entry["until"] > entry["at"]
    assert " until 20" in mailquota("show", JOHN).stdout


def test_an_engine_ends_it(alone: CommandLine) -> None:
    """Set by a command while none ran, its second over before one starts."""
    # A busy machine may need longer than a second to get there, and the time is then past.
    assert any(alone("set", JOHN, "20k", "--until", end).returncode == 0 for end in ("1s", "5s", "20s"))
    assert alone.world.limit_of(JOHN) == 20_480
    with alone.engine():
        until(lambda: alone.world.limit_of(JOHN) == 10_000, "it is back")
        until(lambda: len(changes(alone)) == 2, "it is in the journal")
        text = alone("journal", JOHN).stdout.splitlines()
    newest, raised = changes(alone)[::-1]
    assert (newest["operator"], newest["undoes"], newest["new"]) == ("mailquota", raised["id"], 10_000)
    assert f"; undoes {raised['id']}" in text[1]
    assert text[2].endswith(f"  undone by {newest['id']}")


def test_what_can_not_be_remembered_is_refused(alone: CommandLine) -> None:
    """Because the state database can't be written."""
    alone.world.state.mkdir()
    done = alone("set", JOHN, "20k", "--until", "2w")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "nothing was changed, as a temporary limit could not be remembered" in done.stderr
    assert alone.world.limit_of(JOHN) == 10_000


# ---- who


def test_the_journal_has_the_peer_and_where_he_came_from(mailquota: CommandLine) -> None:
    """The user that the kernel names, who became that by sudo, and from where by ssh; both ways alike."""
    env = {"SUDO_USER": "mary", "SSH_CONNECTION": "10.0.0.9 4711 10.0.0.1 22"}
    mailquota("set", JOHN, "20k", env=env)
    mailquota("undo", env=env)
    mailquota("recalc", JOHN, env=env)
    mailquota("empty-trash", TRASH, "--yes", env=env)
    entries = changes(mailquota)
    assert [entry["kind"] for entry in entries] == ["limit", "limit", "recalc", "trash"]
    assert {(entry["operator"], entry["origin"]) for entry in entries} == {(ME, "sudo:mary ssh:10.0.0.9")}
    assert f"{ME} (sudo:mary ssh:10.0.0.9)" in mailquota("journal").stdout


def test_hostile_origins_stay_text(alone: CommandLine) -> None:
    """As long as they like, and without colouring a screen."""
    env = {"SUDO_USER": "\x1b[31m" + "x" * 5000}
    assert alone("set", JOHN, "20k", env=env).returncode == 0
    (entry,) = changes(alone)
    assert len(entry["origin"]) == 255
    assert "\x1b" not in alone("journal").stdout


def test_it_asks_as_set_does(mailquota: CommandLine) -> None:
    """For more than 10 accounts, and below the present usage; ``--yes`` answers, ``--dry-run`` changes nothing."""
    mailquota("set", JOHN, ANNA, "1M", "--yes")
    mailquota.world.set_limit(JOHN, 1)  # somebody else's, meanwhile
    until(lambda: mailquota.json("list", "john")[0]["limit_bytes"] == 1, "the edit is known")
    done = mailquota("undo", "--dry-run", "--json")
    assert done.returncode == 3
    assert "is 1 B by now" in done.stderr
    assert "dry run: nothing was changed" in done.stderr
    john, anna = json.loads(done.stdout)
    assert (john["address"], john["old_bytes"]) == (JOHN, john["new_bytes"])
    assert (anna["address"], anna["new_bytes"], anna["error"]) == (ANNA, 10_000, None)
    assert mailquota.world.limit_of(ANNA) == 1 << 20


def test_many_are_not_taken_back_unasked(mailquota: CommandLine) -> None:
    """There is no terminal to ask on."""
    for number in range(12):
        mailquota.world.add_account(f"more{number}@example.org")
    until(lambda: len(mailquota.json("list")) == 17, "they are known")
    everybody = [row["address"] for row in mailquota.json("list")]
    before = {address: mailquota.world.limit_of(address) for address in everybody}
    assert mailquota("set", "--where", "@", "2G", "--yes").returncode == 0
    done = mailquota("undo")
    assert done.returncode == 1
    assert f"The limits of {len(everybody)} accounts are to be put back. Go on?" in done.stderr
    assert {mailquota.world.limit_of(address) for address in everybody} == {2 << 30}
    assert mailquota("undo", "--dry-run").stderr == "mailquota: dry run: nothing was changed\n"
    assert {mailquota.world.limit_of(address) for address in everybody} == {2 << 30}
    assert mailquota("undo", "--yes").returncode == 0
    assert {address: mailquota.world.limit_of(address) for address in everybody} == before
