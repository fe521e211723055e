"""The head's tiles and the lines around the table, as text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mailquota.core.base.filters import parse_filter
from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Head, Snapshot, Welcome
from mailquota.core.control.results import DatabaseState, DecisionRow, DiskState
from mailquota.tui.accounts.strip import decision_line
from mailquota.tui.desk import captions
from mailquota.tui.desk.account_list import AccountList, View
from mailquota.tui.desk.session import Session
from mailquota.tui.desk.tiles import ConsoleKind, Tile, badges, first_line, fitting, second_line
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import world

CONTEXT = Context(world.NOW, UNICODE)
ROWS = world.accounts(100)
EMBEDDED = ConsoleKind(embedded=True, demo=False, read_only=False)
WELCOME = Welcome(1, "fake", "mail.example.org", 1, "enforce", may_change=True)


def session(welcome: Welcome = WELCOME, **status: object) -> Session:
    """An engine that was heard right now."""
    made = Session()
    made.connected(welcome, world.NOW)
    made.take(Snapshot([], 0, first=True, last=True), world.NOW)
    made.take(Head(world.NOW, world.status(ROWS, **{"mode": welcome.mode, **status})), world.NOW)
    return made


def text(*lines: Line) -> str:
    """Runs as text."""
    return "\n".join("".join(run for run, _look in line) for line in lines)


def looks(tiles: tuple[Tile, ...], key: str) -> set[str]:
    """The looks of a tile."""
    return {look for tile in tiles if tile.key == key for _text, look in tile.line}


@pytest.mark.parametrize(
    ("welcome", "place", "words"),
    [
        pytest.param({}, {}, [" ENFORCING "], id="at home"),
        pytest.param({"mode": "shadow"}, {}, [" SHADOW "], id="shadow"),
        pytest.param({}, {"embedded": False}, [" ENFORCING ", " ATTACHED mail.example.org "], id="attached"),
        pytest.param({"demo": True}, {}, [" ENFORCING ", " DEMO "], id="demo"),
        pytest.param({"may_change": False}, {}, [" READ-ONLY "], id="may only look"),
        pytest.param({}, {"read_only": True}, [" READ-ONLY "], id="wants only to look"),
        pytest.param({}, {"pace": "PAUSED"}, [" PAUSED "], id="held still"),
        pytest.param({"host": "a\x1b[2J"}, {"embedded": False}, [" ATTACHED a␛[2J "], id="a host name is data"),
    ],
)
def test_badges(welcome: dict[str, object], place: dict[str, Any], words: list[str]) -> None:
    """The mode, and what one must know before pressing a key."""
    made = session(msgspec.structs.replace(WELCOME, **welcome))
    where = ConsoleKind(**{"embedded": True, "demo": False, "read_only": False, **place})
    shown = text(badges(made, where, CONTEXT))
    assert all(word in shown for word in words)


def test_a_lost_engine_has_a_badge_with_its_age() -> None:
    """First of all."""
    made = session()
    made.lost("gone")
    made.check_silence(75)
    later = Context(world.NOW, UNICODE)
    assert text(badges(made, EMBEDDED, later)).startswith(" LOST 1 min ")
    assert (" was ENFORCING ", "quiet") in badges(made, EMBEDDED, later)


def test_a_lost_engine_has_no_pulse() -> None:
    """What is no more is not shown as if it was; what the accounts were stays, with its time in the title."""
    made = session(trouble=2)
    made.lost("gone")
    assert {tile.key for tile in first_line(made, EMBEDDED, CONTEXT)} == {"name", "badges", "clock"}
    assert "100 accounts" in text(*(tile.line for tile in second_line(made, CONTEXT)))
    made.take(Head(world.NOW, world.status(ROWS)), world.NOW)
    assert {"rate", "connections", "database"} <= {tile.key for tile in first_line(made, EMBEDDED, CONTEXT)}


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_the_title_of_a_lost_engine_fits_and_tells_what_to_look_at(width: int) -> None:
    """However long the reason is."""
    made = session()
    made.lost("no engine answers on /run/mailquota/" + "x" * 300)
    shown = text(captions.title(AccountList(), made, width, CONTEXT))
    assert fmt.width_of([(shown, "")]) <= width
    assert "…" in shown or "is the service running?" in shown
    if width >= 80:
        assert "trying again: is the service running?" in shown
        assert ("no engine answers on" in shown) == (width >= 120)


def test_the_policy_servers_pulse() -> None:
    """Answers, refusals, time, connections; trouble only when there is some."""
    shown = text(*(tile.line for tile in first_line(session(), EMBEDDED, CONTEXT)))
    for words in ("42/s", "3 refused/h", "p99 910 µs", "27 conn", "db ok", "cpu 1 %", "mem 38 MiB"):
        assert words in shown
    assert "trouble" not in shown
    assert "2 trouble" in text(*(tile.line for tile in first_line(session(trouble=2), EMBEDDED, CONTEXT)))


def test_a_history_that_can_not_be_kept_is_said() -> None:
    """In short on any terminal, with the reason where there is room; failed warnings too."""
    made = session(state_problem="state database \x1b[2J: the disk is full", warnings_failed=2)
    for width, reason in ((80, False), (160, True)):
        first = text(*(tile.line for tile in fitting(first_line(made, EMBEDDED, CONTEXT), width)))
        assert "history off" in first
        assert ("state database ␛[2J" in first) is reason
        assert "2 warnings failed" in text(*(tile.line for tile in fitting(second_line(made, CONTEXT), width)))
    assert "history" not in text(*(tile.line for tile in first_line(session(), EMBEDDED, CONTEXT)))
    assert "failed" not in text(*(tile.line for tile in second_line(session(), CONTEXT)))


def test_a_mailstore_that_is_not_there_is_said() -> None:
    """In short on any terminal, with the cause where there is room."""
    made = session(mailstore_problem="the mailstore /var/\x1bvmail is not mounted: /dev/sdb1 was there")
    for width, cause in ((80, False), (160, True)):
        first = text(*(tile.line for tile in fitting(first_line(made, EMBEDDED, CONTEXT), width)))
        assert "no mailstore" in first
        assert ("the mailstore /var/␛vmail is not mounted" in first) is cause
    assert "mailstore" not in text(*(tile.line for tile in first_line(session(), EMBEDDED, CONTEXT)))


@pytest.mark.parametrize(
    ("state", "words", "look"),
    [
        (DatabaseState("ok", 1.0), "db ok", "quiet"),
        (DatabaseState("stale", 12.0), "db stale 12 s", "near"),
        (DatabaseState("down", None), "db down", "over"),
    ],
)
def test_the_database_tells_its_state_and_age(state: DatabaseState, words: str, look: str) -> None:
    """Quiet only while it is well."""
    tiles = first_line(session(database=state), EMBEDDED, CONTEXT)
    assert words in text(*(tile.line for tile in tiles))
    assert looks(tiles, "database") == {look}


def test_accounts_and_disk() -> None:
    """Totals, levels with sign and word, what is left and what is promised."""
    shown = text(*(tile.line for tile in second_line(session(if_full_bytes=100 << 30), CONTEXT)))
    for words in (
        "100 accounts",
        "■ 3 over",
        "△ 7 near",
        " granted",
        "89 %",
        "52 GiB free",
        "48 GiB short if all were full",
    ):
        assert words in shown


@pytest.mark.parametrize(("percent", "look"), [(50.0, "ok"), (91.0, "near"), (98.0, "over")])
def test_a_full_disk_is_amber_then_red(percent: float, look: str) -> None:
    """It stops everybody's mail."""
    disk = DiskState("/var/vmail", 1 << 30, 100 << 30, percent)
    assert look in looks(second_line(session(disk=disk), CONTEXT), "disk")


def test_an_unknown_disk_is_said_to_be_unknown() -> None:
    """Not free, not full."""
    shown = text(*(tile.line for tile in second_line(session(disk=DiskState("/x", None, None, None)), CONTEXT)))
    assert "disk unknown" in shown
    assert "free" not in shown


@pytest.mark.parametrize("width", [10, 40, 80, 120, 200])
def test_tiles_that_fit_are_kept_by_importance(width: int) -> None:
    """They never overlap, and the badges are the last to go."""
    kept = fitting(first_line(session(), EMBEDDED, CONTEXT), width)
    assert sum(fmt.width_of(tile.line) + 2 for tile in kept) - 2 <= width
    if width >= 40:
        assert "badges" in {tile.key for tile in kept}


@pytest.mark.parametrize(
    ("width", "words"),
    [(80, "2 Domains  3 Decisions  4 Warnings  5 Journal"), (50, " 2 3 4 5 "), (20, ""), (14, "")],
)
def test_the_title_has_the_other_screens_with_their_keys(width: int, words: str) -> None:
    """As far as there is room; the screen that one is on is no other."""
    line = captions.title(AccountList(), session(), width, CONTEXT)
    shown = text(line)
    assert words in shown
    assert "1 Accounts" not in shown
    assert fmt.width_of(line) == width


def test_the_title_names_the_screen_the_filter_and_how_many_match() -> None:
    """And, with the engine gone, from when the figures are."""
    accounts = AccountList()
    accounts.wanted = View(filter=parse_filter("over"))
    accounts.replace(ROWS, world.NOW)
    made = session()
    shown = text(captions.title(accounts, made, 120, CONTEXT))
    assert "Accounts / over" in shown
    assert f"{len(accounts)} of 100" in shown
    made.lost("the engine stops")
    assert f"as of {fmt.clock(world.NOW)}, the engine stops; trying" in text(
        captions.title(accounts, made, 120, CONTEXT)
    )


def test_the_line_of_the_account_under_the_cursor_tells_source_and_age() -> None:
    """Also at 80 columns, and in ASCII."""
    row = AccountRow(
        "anna@example.org", 5 << 30, 1 << 30, 9114, 40 << 20, 12, "scan", world.NOW - 12, drift_bytes=-4096
    )
    shown = text(captions.detail(row, 120, CONTEXT))
    assert "scan, 12 s ago" in shown
    assert "9,114 messages" in shown
    assert "Trash 40 MiB" in shown
    assert "last recount 4 KiB less" in shown
    assert "scan, 12 s ago" in text(captions.detail(row, 60, Context(world.NOW, ASCII)))
    assert "not measured yet" in text(captions.detail(AccountRow("new@example.org", None), 80, CONTEXT))
    assert captions.detail(None, 80, CONTEXT) == ()


def decided(**changes: object) -> DecisionRow:
    """A refusal."""
    row = DecisionRow(
        world.NOW, "over_quota", "support@example.org", "john@example.org", "a@b.example", "mx[192.0.2.1]", 48_000, 61
    )
    return msgspec.structs.replace(row, **changes)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("sender", ["", "a@b.example", "x" * 300])
def test_a_decision_is_one_line(width: int, sender: str) -> None:
    """However long its parts are."""
    assert fmt.width_of(decision_line(decided(sender=sender), width, CONTEXT)) <= max(width, 55)


def test_a_decision_tells_who_whom_and_how_it_ended() -> None:
    """With the mailbox behind an alias, and in shadow mode that it would have been refused."""
    shown = " ".join(text(decision_line(decided(), 150, CONTEXT)).split())
    for words in ("refused full", "mx[192.0.2.1]", "a@b.example → support@example.org ⇒ john@example.org", "61 µs"):
        assert words in shown
    assert "would refuse" in text(decision_line(decided(shadow=True), 120, CONTEXT))
    assert "<> → support@example.org" in " ".join(text(decision_line(decided(sender=""), 120, CONTEXT)).split())


def test_a_decisions_texts_are_data() -> None:
    """Senders write what they like."""
    shown = text(decision_line(decided(sender="\x1b]0;x\x07@[b]", verdict="new\nverdict"), 120, CONTEXT))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "␛]0;x␇@[b]" in shown
    assert "new␊verdict" in shown
