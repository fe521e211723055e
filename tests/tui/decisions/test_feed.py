"""The feed, its filter, its columns and captions, as plain data."""

from __future__ import annotations

import random

import msgspec
import pytest

from mailquota.core.base.times import local_time
from mailquota.core.control.messages import Decisions, Snapshot, Welcome
from mailquota.core.control.results import DecisionRow, Refusals, RefusedAccount
from mailquota.tui.decisions import captions as feed_captions
from mailquota.tui.decisions import columns
from mailquota.tui.decisions.feed import DOCS, DecisionFilter, Feed
from mailquota.tui.desk.session import KEPT_DECISIONS, Session
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw import grid
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import world

CONTEXT = Context(world.NOW, UNICODE)
ROW = DecisionRow(world.NOW, "accept", "info@x.org", "john@x.org", "news@shop.example", "mx.example.net", 48 << 10, 61)
FULL = msgspec.structs.replace(ROW, verdict="over_quota")
SHADOW = msgspec.structs.replace(FULL, shadow=True)
MISSED = msgspec.structs.replace(ROW, recipient="all@x.org", mailbox="john@x.org, anna@x.org", missed=["anna@x.org"])
ALL = [ROW, FULL, SHADOW, MISSED]
TROUBLE = msgspec.structs.replace(ROW, verdict="trouble", sender="refused@x.org")


def text(*lines: Line) -> str:
    """Runs as text."""
    return "\n".join("".join(run for run, _look in line) for line in lines)


def numbered(number: int, verdict: str = "accept") -> DecisionRow:
    """One that is told from others by its recipient."""
    return DecisionRow(world.NOW + number, verdict, f"u{number}@x", f"u{number}@x", "s@y", "mx", 1, 50)


def live() -> Session:
    """Connected and loaded."""
    session = Session()
    session.connected(Welcome(1, "fake", "host", 1, "enforce", may_change=True), world.NOW)
    session.take(Snapshot([], 0, first=True, last=True), world.NOW)
    return session


def recipients(feed: Feed) -> list[str]:
    """As they stand on the screen."""
    found = [feed.at(index) for index in range(len(feed))]
    return [each.row.recipient for each in found if each is not None]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param("", [*ALL, TROUBLE], id="everything"),
        pytest.param("refused", [FULL], id="the verdict, not the sender of that name, and what was really refused"),
        pytest.param("refused@x", [TROUBLE], id="a text with such a word in it"),
        pytest.param("would", [SHADOW], id="what only would be refused"),
        pytest.param("accepted", [ROW, MISSED], id="accepted"),
        pytest.param("missed", [MISSED], id="somebody misses it"),
        pytest.param("TROUBLE", [TROUBLE], id="trouble, in any case"),
        pytest.param("full", [FULL], id="part of a verdict"),
        pytest.param("anna@", [MISSED], id="one of several mailboxes"),
        pytest.param("INFO@x.org", [ROW, FULL, SHADOW, TROUBLE], id="recipient, in any case"),
        pytest.param("mx.example", [*ALL, TROUBLE], id="client"),
        pytest.param("shop !refused !would !missed", [ROW], id="joined, and not"),
        pytest.param(fmt.clock(world.NOW), [*ALL, TROUBLE], id="time"),
        pytest.param("nowhere", [], id="nothing"),
    ],
)
def test_filter(words: str, found: list[DecisionRow]) -> None:
    """Words over all columns; those of a verdict mean it and no text."""
    wanted = DecisionFilter(words)
    assert [row for row in (*ALL, TROUBLE) if wanted.matches(row)] == found


def test_the_filter_words_of_the_help_are_those_that_work() -> None:
    """Nothing is promised that is not there."""
    rows = {"refused": FULL, "would": SHADOW, "accepted": ROW, "trouble": TROUBLE, "missed": MISSED}
    assert [form for form, _meaning in DOCS[1:-1]] == ["refused", "accepted", "trouble", "would", "missed"]
    for word, row in rows.items():
        assert DecisionFilter(word).matches(row)
        assert not DecisionFilter(f"!{word}").matches(row)


def test_newest_first_and_found_by_number() -> None:
    """Wherever it has gone meanwhile."""
    session, feed = live(), Feed()
    session.take(Decisions([numbered(number) for number in range(3)]), world.NOW)
    assert feed.take(session)
    assert not feed.take(session)
    assert recipients(feed) == ["u2@x", "u1@x", "u0@x"]
    middle = feed.at(1)
    assert middle is not None
    session.take(Decisions([numbered(3)]), world.NOW)
    feed.take(session)
    assert feed.find(middle.number) == 2
    feed.narrow(DecisionFilter("u3"))
    assert (feed.find(middle.number), recipients(feed), feed.at(1)) == (None, ["u3@x"], None)


def test_paused_it_holds_still_and_counts_what_comes() -> None:
    """Those that the engine left out under load too; the filter goes on working."""
    session, feed = live(), Feed()
    session.take(Decisions([numbered(0), numbered(1)]), world.NOW)
    feed.take(session)
    feed.paused = True
    session.take(Decisions([numbered(2)], skipped=11), world.NOW)
    assert not feed.take(session)
    assert (recipients(feed), feed.new(session)) == (["u1@x", "u0@x"], 12)
    feed.narrow(DecisionFilter("u0"))
    assert recipients(feed) == ["u0@x"]
    feed.narrow(DecisionFilter())
    feed.paused = False
    feed.take(session)
    assert (recipients(feed), feed.new(session)) == (["u2@x", "u1@x", "u0@x"], 0)


def test_it_is_the_same_however_it_was_taken() -> None:
    """A model of plain lists says what must be shown, through pauses, filters and more than is kept."""
    rng = random.Random(3)
    session, feed, sent = live(), Feed(), list[DecisionRow]()
    for _step in range(400):
        rows = [numbered(len(sent) + i, rng.choice(("accept", "over_quota"))) for i in range(rng.randrange(25))]
        sent += rows
        session.take(Decisions(rows), world.NOW)
        if rng.random() < 0.2:
            feed.paused = not feed.paused
        if rng.random() < 0.2:
            feed.narrow(DecisionFilter(rng.choice(("", "refused", "u1", "!u1 accepted"))))
        if feed.take(session):
            kept = sent[-KEPT_DECISIONS:]
            assert recipients(feed) == [r.recipient for r in reversed(kept) if feed.filter.matches(r)]
            assert all(feed.find(each.number) == i for i in (0, len(feed) - 1) if (each := feed.at(i)) is not None)
    assert len(sent) > KEPT_DECISIONS


def test_after_a_reconnect_no_decision_is_there_twice() -> None:
    """Of the backlog only what is newer, also where two came in the same moment."""
    session = live()
    session.take(Decisions([numbered(0), numbered(1)]), world.NOW)
    same = msgspec.structs.replace(numbered(1), recipient="other@x")
    session.take(Decisions([numbered(0), numbered(1), same, numbered(2)], backlog=True), world.NOW)
    assert [row.recipient for row in session.decisions] == ["u0@x", "u1@x", "other@x", "u2@x"]
    assert session.received == 4


@pytest.mark.parametrize("width", range(79, 250))
def test_more_room_never_takes_any_from_the_recipient(width: int) -> None:
    """Columns that are less important come when it has enough."""
    before, after = (
        next(place.width for place in columns.arrange(cells) if place.column.title == "Recipient")
        for cells in (width, width + 1)
    )
    assert before <= after


@pytest.mark.parametrize("width", [1, 10, 20, 39, 60, 79, 81, 100, 114, 142, 199])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_a_line_has_the_width_of_its_header(width: int, glyphs: object) -> None:
    """And fits; the recipient is always there, all columns from 114 cells on."""
    context = Context(world.NOW, ASCII if glyphs is ASCII else UNICODE)
    placed = columns.arrange(width)
    titles = text(grid.titles(placed, context.glyphs))
    rng = random.Random(1)
    for row in (world.decision(rng, world.accounts(50), world.NOW) for _ in range(50)):
        line = columns.cells(row, placed, context)
        assert fmt.width_of(line) == fmt.width_of([(titles, "")]) <= max(width, 2)
        assert not (context.glyphs.ascii_only and not text(line).isascii())
    assert "Recipient"[: max(0, width - 3)] in titles
    if width >= 114:
        assert titles.split() == ["Time", "Verdict", "Client", "Sender", "Recipient", "Size", "Took"]


def test_another_spelling_is_no_other_mailbox() -> None:
    """An alias is."""
    assert columns.recipient(ROW, CONTEXT)[0] == "info@x.org ⇒ john@x.org"
    same = msgspec.structs.replace(ROW, recipient="John@X.org")
    assert columns.recipient(same, CONTEXT)[0] == "John@X.org"


def test_a_mail_that_somebody_misses_is_amber_and_says_who() -> None:
    """It was accepted for the others."""
    assert columns.verdict(MISSED, CONTEXT) == ("accepted", "near")
    assert "all@x.org ⇒ john@x.org, anna@x.org  ·  missed by anna@x.org" in text(
        feed_captions.detail(MISSED, 120, CONTEXT)
    )
    assert fmt.width_of(feed_captions.detail(ROW, 80, CONTEXT)) == 80


def test_totals_tell_what_the_engine_counted() -> None:
    """What would have been refused in shadow mode, or where there was any."""

    def told(**status: object) -> str:
        return " | ".join(
            text(tile.line) for tile in feed_captions.totals(world.status([], **status), CONTEXT) if tile.line
        )

    assert told() == (
        "151,200 requests | 3 refused | 0 trouble | 0 malformed | p50 61 µs | p99 910 µs | 27 connections"
    )
    assert "| 3 refused | 7 would be refused | 2 trouble |" in told(mode="shadow", would_refuse=7, trouble=2)
    today, before = CONTEXT.now - 60, CONTEXT.now - 3 * 86400
    assert f"| since {local_time(today)[11:16]} | 3 refused" in told(counted_since=today)
    assert f"| since {local_time(before)[:10]} | 3 refused" in told(counted_since=before)
    assert feed_captions.totals(None, CONTEXT) == ()


def test_the_address_for_main_cf_is_as_postfix_reads_it() -> None:
    """Relative to the queue where it is in there."""
    assert feed_captions.postfix_name("unix:/var/spool/postfix/private/mailquota") == "unix:private/mailquota"
    assert feed_captions.postfix_name("inet:127.0.0.1:12341") == "inet:127.0.0.1:12341"
    assert feed_captions.postfix_name("unix:/run/mailquota/policy") == "unix:/run/mailquota/policy"


def test_refusals_by_account() -> None:
    """Figures never push the address out; what does not fit is counted."""
    accounts = [
        RefusedAccount("john@example.org", 12, 340, world.NOW - 5, "news@shop.example"),
        RefusedAccount("\x1b[31m@example.org", 0, 1_234_567, world.NOW - 5000, ""),
        RefusedAccount("c@example.org", 1, 2, world.NOW, "x"),
    ]
    report = Refusals(world.NOW - 3600, accounts, 9)
    lines = feed_captions.refused(report, 38, 7, CONTEXT, shadow=False)
    assert len(lines) == 7
    shown = text(*lines)
    assert "john@example.org            12   340" in shown
    assert "< 1 min ago  news@shop.example" in shown
    assert "␛[31m@example.org" in shown
    assert "1M" in shown
    assert "1 h ago  <>" in shown
    assert f"7 more, since {fmt.clock(world.NOW - 3600)}" in shown
    assert "c@example.org" not in shown
    assert max(fmt.width_of(line) for line in lines) <= 38
    assert "nobody" in text(*feed_captions.refused(Refusals(0.0, [], 0), 38, 20, CONTEXT, shadow=False))
    assert "Would be refused" in text(*feed_captions.refused(report, 38, 20, CONTEXT, shadow=True))
