"""The dialog that edits limits."""

from __future__ import annotations

from functools import reduce

import pytest

from mailquota.core.base.errors import UsageError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import parse_until, until_text
from mailquota.core.control.messages import SetLimit
from mailquota.tui.acts.edit_limit import Event, next_stage
from mailquota.tui.acts.edit_limit import Stage as Edit
from mailquota.tui.acts.proposal import Proposal
from mailquota.tui.draw import format as fmt
from tests.core.zones import in_zone
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


def orders(stage: Stage) -> list[tuple[list[str], str, str]]:
    """The limits that were set: whose, to what, why."""
    return [(order.addresses, order.size, order.reason) for order in stage.engine.orders if isinstance(order, SetLimit)]


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([Event.PREVIEWED], Edit.EDITING),
        ([Event.HURRIED], Edit.ENTERED),
        ([Event.HURRIED, Event.TYPED], Edit.ENTERED),
        ([Event.HURRIED, Event.CLEARED], Edit.EDITING),
        ([Event.HURRIED, Event.PREVIEWED, Event.SENT], Edit.SENDING),
        ([Event.WARNED, Event.PREVIEWED], Edit.BELOW_USAGE),
        ([Event.WARNED, Event.TYPED], Edit.EDITING),
        ([Event.WARNED, Event.SENT], Edit.SENDING),
        ([Event.SENT, Event.TYPED, Event.HURRIED, Event.PREVIEWED], Edit.SENDING),
        ([Event.SENT, Event.REFUSED], Edit.EDITING),
        ([Event.SENT, Event.REFUSED, Event.WARNED], Edit.BELOW_USAGE),
        ([Event.SENT, Event.PARTLY_DONE, Event.TYPED, Event.SENT], Edit.PARTLY_SET),
    ],
)
def test_the_stages_of_an_edit(events: list[Event], stage: Edit) -> None:
    """What Enter does after these events; in particular, an order that is under way is not sent twice."""
    assert reduce(next_stage, events, Edit.EDITING) is stage


def test_typing_replaces_the_old_value_and_enter_applies() -> None:
    """With a preview on the way; what was done is said afterwards, and the table shows it."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.sees("Edit limit", "90 MiB used, limit 100 MiB", "90 % near", "100M")
        await stage.type("200M")
        await stage.sees("100 MiB → 200 MiB", "● 45 % ok", "110 MiB left")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is now 200 MiB, it was 100 MiB")
        assert orders(stage) == [(["a@example.org"], "200M", "")]
        await stage.until(lambda: stage.home.pane.accounts.rows["a@example.org"].limit_bytes == 200 * MIB, "table")
        stage.pass_time(11)
        await stage.loses("is now 200 MiB")

    play(scene, rows=FIVE)


def test_the_account_is_followed_while_the_dialog_is_open() -> None:
    """Its use, and what the new limit would mean for it; what was typed stays."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.sees("110 MiB left")
        stage.engine.change(AccountRow("a@example.org", 100 * MIB, 130 * MIB))
        await stage.sees("130 MiB used, limit 100 MiB", "130 % over", "100 MiB → 200 MiB", "70 MiB left")
        await stage.press("enter")
        await stage.sees("is now 200 MiB")

    play(scene, rows=FIVE)


def test_the_foot_says_first_that_enter_applies() -> None:
    """In each field."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.sees("⏎ Apply  Tab Next field  Esc Cancel")
        await stage.press("tab")
        await stage.sees("⏎ Apply  Tab Next field  Esc Cancel")

    play(scene, rows=FIVE)


def test_a_reason_is_reached_by_tab() -> None:
    """It goes into the journal."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("+20%")
        await stage.press("tab", "tab")
        await stage.paste("big project")
        await stage.press("enter")
        await stage.until(lambda: orders(stage), "sets")
        assert orders(stage) == [(["a@example.org"], "+20%", "big project")]

    play(scene, rows=FIVE)


def test_a_limit_for_a_while() -> None:
    """The day that is meant is said before and after; the engine gets its first second."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("tab")
        await stage.paste("2w")
        await stage.sees("until Wed 2 Dec 11:06, then it goes back by itself")
        await stage.press("ctrl+u")
        await stage.paste("friday")
        await stage.sees("until Fri 20 Nov, then")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is now 200 MiB, it was 100 MiB until Fri 20 Nov")
        sent = [order for order in stage.engine.orders if isinstance(order, SetLimit)]
        assert [(order.size, order.until) for order in sent] == [("200M", "2026-11-20T00:00:00+00:00")]

    play(scene, rows=FIVE)


@pytest.mark.parametrize(
    ("typed", "words", "until"),
    [
        ("2027-07-01", "until Thu 1 Jul 2027", "2027-06-30T22:00:00+00:00"),
        ("2027-07-01 18:00", "until Thu 1 Jul 2027 18:00", "2027-07-01T16:00:00+00:00"),
        ("tomorrow", "until Thu 19 Nov", "2026-11-18T23:00:00+00:00"),
    ],
)
def test_a_day_begins_at_midnight_of_that_day(typed: str, words: str, until: str) -> None:
    """Typed in November in Berlin, also for a day in summer: what the dialog shows, and what it sends."""
    with in_zone("Europe/Berlin"):
        end = parse_until(typed, world.NOW)
        assert f"until {fmt.until(end, world.NOW)}" == words
        assert until_text(end) == until


@pytest.mark.parametrize(
    ("typed", "words"), [("someday", "is not a date; accepted"), ("2020-01-01", "is not in the future")]
)
def test_a_day_that_can_not_be_meant_has_a_reason(typed: str, words: str) -> None:
    """The dialog shows it below the field."""
    with pytest.raises(UsageError, match=words):
        parse_until(typed, world.NOW)


def test_a_day_that_can_not_be_meant_is_said_and_not_sent() -> None:
    """While typing; Enter goes to the field."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("tab")
        await stage.paste("someday")
        await stage.sees("is not a date; accepted")
        await stage.press("shift+tab", "enter")
        await stage.until(lambda: stage.app.focused is not None and stage.app.focused.id == "until", "goes there")
        assert orders(stage) == []
        await stage.press("ctrl+u", "enter")
        await stage.sees("The limit of a@example.org is now 200 MiB")

    play(scene, rows=FIVE)


def test_esc_changes_nothing() -> None:
    """And gives the table the keys again."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("1G")
        await stage.press("escape")
        await stage.loses("Edit limit ")
        await stage.press("j")
        assert stage.row.address == "b@example.org"
        assert orders(stage) == []

    play(scene, rows=FIVE)


def test_enter_on_the_old_value_changes_nothing() -> None:
    """No order, no journal entry."""

    async def scene(stage: Stage) -> None:
        await stage.press("e", "enter")
        await stage.sees("Nothing to change")
        assert orders(stage) == []

    play(scene, rows=FIVE)


def test_a_limit_under_the_use_needs_a_second_enter() -> None:
    """The question says by how much; another value asks again."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("80M")
        await stage.press("enter")
        await stage.sees("10 MiB below the present usage", "Enter again", "over by 10 MiB")
        assert orders(stage) == []
        await stage.press("backspace", "backspace", "backspace")
        await stage.type("70M")
        await stage.press("enter")
        await stage.sees("20 MiB below the present usage")
        assert orders(stage) == []
        await stage.press("enter")
        await stage.until(lambda: orders(stage), "sets")
        assert orders(stage) == [(["a@example.org"], "70M", "")]

    play(scene, rows=FIVE)


@pytest.mark.parametrize(("text", "words"), [("5 apples", "accepted"), ("-200M", "at least 1 byte")])
def test_what_can_not_be_a_limit_has_a_reason(text: str, words: str) -> None:
    """The dialog shows it below the fields."""
    proposal = Proposal(text)
    proposal.add(FIVE[0])
    assert proposal.impossible
    assert words in proposal.errors[0]


def test_what_can_not_be_a_limit_is_said_and_not_sent() -> None:
    """While typing, and again at Enter."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("-200M")
        await stage.sees("at least 1 byte")
        await stage.press("enter")
        await stage.sees("at least 1 byte")
        assert orders(stage) == []

    play(scene, rows=FIVE)


def test_all_marked_accounts_get_the_limit() -> None:
    """With sums as a preview; a shared old value is offered."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "e")
        await stage.sees("2 marked accounts", "100M")
        await stage.paste("x2")
        await stage.sees("granted 200 MiB → 400 MiB", "nobody near or over afterwards")
        await stage.press("enter")
        await stage.sees("The limits of 2 accounts are set")
        assert orders(stage) == [(["a@example.org", "b@example.org"], "x2", "")]

    play(scene, rows=FIVE)


def test_over_ten_accounts_the_number_must_be_typed() -> None:
    """A wrong one sets nothing."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.sees("12 marked accounts", "type 12 to confirm")
        await stage.paste("2G")
        await stage.press("enter")
        await stage.sees("These are 12 accounts")
        await stage.paste("11")
        await stage.press("enter")
        assert orders(stage) == []
        await stage.press("backspace")
        await stage.type("2")
        await stage.press("enter")
        await stage.until(lambda: orders(stage), "sets")
        assert len(orders(stage)[0][0]) == 12

    play(scene, rows=[AccountRow(f"user{number}@example.org", MIB, 0) for number in range(12)])


def test_the_engine_may_refuse() -> None:
    """Its words are shown, and one can try again."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("1G")
        await stage.press("enter")
        await stage.sees("the accounts database is read-only")
        stage.engine.failing.clear()
        await stage.press("enter")
        await stage.sees("is now 1 GiB")

    def prepare(engine: FakeEngine) -> None:
        engine.failing[SetLimit] = "the accounts database is read-only"

    play(scene, rows=FIVE, prepare=prepare)


def test_partly_done_names_the_failures_and_is_not_sent_twice() -> None:
    """Twice +10 % is not what was asked for."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "e")
        await stage.paste("+10%")
        await stage.press("enter")
        await stage.sees("1 set, 1 not: b@example.org: row is locked")
        assert stage.lines()[stage.app.screen.query_one("#foot").region.y].split("│")[1].strip() == "Esc Close"
        await stage.press("enter")
        await stage.loses("New limit")
        await stage.sees("1 set, 1 not: b@example.org: row is locked")
        assert len(orders(stage)) == 1

    def prepare(engine: FakeEngine) -> None:
        engine.row_errors["b@example.org"] = "row is locked"

    play(scene, rows=FIVE, prepare=prepare)


def test_a_reason_that_many_share_is_said_once() -> None:
    """With the first of those that it hit."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("+10%")
        await stage.press("enter")
        await stage.sees("1 set, 4 not: b@example.org, d@example.net: row is locked;", "e@example.net: '+10%'")
        assert stage.text().count("row is locked") == 1

    def prepare(engine: FakeEngine) -> None:
        engine.row_errors.update(
            {"b@example.org": "row is locked", "c@example.net": "x", "d@example.net": "row is locked"}
        )

    play(scene, rows=FIVE, prepare=prepare, size=(160, 32))


def test_an_engine_that_goes_away_meanwhile_is_said() -> None:
    """The dialog stays, with what was typed."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("1G")
        stage.engine.away = "no engine answers"
        stage.engine.drop("shutting down")
        await stage.until(lambda: stage.home.desk.session.reason, "is lost")
        await stage.press("enter")
        await stage.sees("no engine is connected", "1G")

    play(scene, rows=FIVE, embedded=False)


@pytest.mark.parametrize("size", [(80, 24), (40, 10)])
def test_the_dialog_fits_small_terminals(size: tuple[int, int]) -> None:
    """The warning and the keys are there at 40x10 too."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("80M")
        await stage.press("enter")
        await stage.sees("New limit", "80M", "below the present usage", "Apply")

    play(scene, rows=FIVE, size=size)
