"""``mailquota list``, and ``mailquota`` without a terminal."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import sqlite3

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.commands.accounts import _csv
from tests.core.clients import ask
from tests.core.commands.command_line import CommandLine
from tests.core.worlds import ANNA, FREE, FULL, JOHN, TRASH, SmallWorld
from tests.mailserver.process import wait_until

KEYS = [
    "address", "domain", "limit_bytes", "used_bytes", "messages", "percent", "trash_bytes", "trash_messages", "level",
    "source", "measured_at", "growth_bytes_per_day", "days_to_full", "drift_bytes", "enabled",
    "limit_messages", "verified_at", "witness_bytes", "why",
]  # fmt: skip


TITLES = ["address", "level", "percent", "used", "limit", "messages", "trash", "growth", "days", "source", "age"]


def test_json_has_the_contract_s_keys_and_the_figures(mailquota: CommandLine) -> None:
    """Bytes as integers, percent as a number, null where it does not apply; the same with an engine and without."""
    rows = mailquota.json("list")
    assert [list(row) for row in rows] == [KEYS] * 5
    by_address = {row["address"]: row for row in rows}
    trash = by_address[TRASH]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", trash.pop("measured_at"))
    assert trash == {
        "address": TRASH, "domain": "example.com", "limit_bytes": 10_000, "used_bytes": 9000, "messages": 6,
        "percent": 90.0, "trash_bytes": 3000, "trash_messages": 3, "level": "near", "source": "maildirsize",
        "growth_bytes_per_day": None, "days_to_full": None, "drift_bytes": None, "enabled": True,
        "limit_messages": None, "verified_at": None, "witness_bytes": None, "why": None,
    }  # fmt: skip
    free = by_address[FREE]
    assert (free["limit_bytes"], free["percent"], free["level"], free["used_bytes"]) == (None, None, "unlimited", 2100)
    assert (by_address[ANNA]["source"], by_address[FULL]["level"]) == ("scan", "over")


def test_how_often_mail_was_refused(small_world: SmallWorld) -> None:
    """In 24 hours, also where no engine runs any more; with | and regular expressions as in the console."""
    line = CommandLine(small_world)
    with line.engine():
        for _ in range(3):
            assert "452" in ask(line.world.policy_socket, FULL)
    for filter_text, found in (
        ("refused>2", [FULL]),
        ("refused>3", []),
        ("refused<1|/^full@/ !unlimited", [FULL, TRASH, ANNA, JOHN]),
    ):
        assert [row["address"] for row in line.json("list", filter_text)] == found
    done = line("list", "over|")
    assert (done.returncode, done.stdout) == (2, "")
    assert "like over|near" in done.stderr
    assert "needs a / at its end" in line("set", "--where", "/x", "1G", "--dry-run").stderr


def test_worst_come_first(mailquota: CommandLine) -> None:
    """By percent of the limit; accounts without a limit come last."""
    assert [row["address"] for row in mailquota.json("list")] == [FULL, TRASH, ANNA, JOHN, FREE]


def test_a_filter_no_match_and_a_limit(mailquota: CommandLine) -> None:
    """Words are joined by AND; no match is an empty array and success."""
    assert [row["address"] for row in mailquota.json("list", "@example.org", ">20%")] == [FULL, JOHN]
    assert [row["address"] for row in mailquota.json("list", "@example.org >20%", "--limit", "1")] == [FULL]
    done = mailquota("list", "trash>1G", "--json")
    assert (done.returncode, done.stdout) == (0, "[]\n")


def test_sorting(alone: CommandLine) -> None:
    """Numbers largest first, texts from A to Z, a minus reverses, and what is unknown stays last."""
    by_use = [row["address"] for row in alone.json("list", "--sort", "used")]
    assert by_use == [FULL, TRASH, ANNA, JOHN, FREE]
    assert [row["address"] for row in alone.json("list", "--sort", "-used_bytes")] == by_use[::-1]
    assert [row["address"] for row in alone.json("list", "--sort", "address")] == sorted(by_use)
    assert [row["address"] for row in alone.json("list", "--sort", "-percent")] == [JOHN, ANNA, TRASH, FULL, FREE]


def test_wrong_words_are_usage_errors(alone: CommandLine) -> None:
    """Exit code 2, one line that names what is accepted, nothing on stdout."""
    for words, named in (
        (("--sort", "shoe size"), "accepted: address"),
        (("--limit", "-3"), "--limit"),
        (("--json", "--csv"), "--csv"),
        ((">80percent",), "80%"),
        (("over", "idle>90"), "not an age"),
        (("--yse",), "--yse"),
    ):
        done = alone("list", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("mailquota: ")
        assert done.stderr.count("\n") == 1
        assert named in done.stderr


def test_csv_has_the_same_keys_and_no_formula(alone: CommandLine, small_world: SmallWorld) -> None:
    """An address that looks like one is a text, in JSON as it is."""
    formulas = ['=1+"x",y@example.org', "+1@example.org", "-1@example.org", "@a@example.org"]
    for address in formulas:
        small_world.add_account(address)
    rows = list(csv.reader(io.StringIO(alone("list", "--csv").stdout)))
    assert rows[0] == KEYS
    assert {row[0] for row in rows[1:]} == {ANNA, FREE, FULL, JOHN, TRASH, *(f"'{one}" for one in formulas)}
    assert set(formulas) < {row["address"] for row in alone.json("list")}
    free = dict(zip(KEYS, next(row for row in rows if row[0] == FREE), strict=True))
    assert (free["limit_bytes"], free["used_bytes"], free["enabled"]) == ("", "2100", "true")


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "\uff1d", "\u00a0=", "\ufeff=", "\x0b=", '"=']
)
def test_what_begins_a_formula(start: str) -> None:
    row = AccountRow(f"{start}SUM(A1)@x", None, growth_bytes_per_day=-5)
    cells = dict(zip(*csv.reader(io.StringIO(_csv([row]).decode(), newline="")), strict=True))
    assert cells["address"] == f"'{start}SUM(A1)@x".replace("\r", "\\r")
    assert cells["growth_bytes_per_day"] == "-5"


@pytest.mark.parametrize("end", [";", "\t", "\n", "|", "; "])
def test_what_begins_a_formula_where_cells_end_otherwise(end: str) -> None:
    """As in the spreadsheets of countries whose decimal sign is a comma: quotes in the middle mean nothing there."""
    row = AccountRow(f"a{end}=SUM(A1)@x", None)
    text = _csv([row]).decode()
    for delimiter in (";", "\t", "|"):
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE):
            assert not [cell for cell in cells if cell.lstrip(' "').startswith("=")]
    assert f"a{end}'=SUM" in text or f"a{end[0]}'{end[1:]}=SUM" in text


def test_limits_that_are_old_are_told(beside: CommandLine, small_world: SmallWorld) -> None:
    """The list is as it was, with a line on stderr; so is show."""
    assert beside("list").stderr == ""
    with contextlib.closing(sqlite3.connect(small_world.database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert wait_until(lambda: beside.json("status")["database"]["state"] == "stale", 30)
        for words in (("list",), ("list", "--json"), ("list", "--csv"), ("show", JOHN)):
            done = beside(*words)
            assert (done.returncode, JOHN in done.stdout) == (0, True)
            assert re.fullmatch(r"mailquota: accounts and limits are as of \d+ .* ago: .*\n", done.stderr)


def test_the_table_is_aligned_whole_and_plain(mailquota: CommandLine) -> None:
    """No colours and nothing cut where stdout is no terminal."""
    done = mailquota("list", env={"TERM": "xterm-256color"})
    lines = done.stdout.splitlines()
    assert lines[0].split() == TITLES
    assert lines[1].split()[:3] == [FULL, "over", "100.0"]
    assert lines[5].split()[:2] == [FREE, "unlimited"]
    assert "\x1b" not in done.stdout
    assert len({line.index(word) for line, word in zip(lines[1:4], ("over", "near", "ok"), strict=True)}) == 1


def test_what_comes_from_outside_stays_on_its_line(alone: CommandLine, small_world: SmallWorld) -> None:
    """A control character in an address colours no screen and begins no line."""
    small_world.add_account("bad\x1b[31m\nroot@example.org")
    done = alone("list")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) in {6, 7}  # the store may leave such a row out


def test_without_a_terminal_the_table_comes_once(mailquota: CommandLine) -> None:
    """``mailquota`` alone prints what ``list`` prints and exits; nothing was bound by it."""
    listed = mailquota("list").stdout
    before = sorted(path.name for path in mailquota.world.folder.iterdir())
    done = mailquota()
    assert done.returncode == 0
    ages = re.compile(r"\d+ s$", re.MULTILINE)
    assert ages.sub("", done.stdout) == ages.sub("", listed)
    assert sorted(path.name for path in mailquota.world.folder.iterdir()) == before


def test_a_reader_that_has_enough_is_no_fault(alone: CommandLine) -> None:
    """``mailquota list | head -0`` complains about nothing."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = alone("list", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
