"""Taking back the last edit of limits, from the list of accounts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from mailquota.core.control.messages import PlanUndo, Undo, UndoPart
from mailquota.core.control.results import JournalRow
from tests.tui import world
from tests.tui.fake_engine import FakeEngine
from tests.tui.journal.test_screen import entry, with_journal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


def orders(stage: Stage) -> list[int | None]:
    """What was to be taken back."""
    return [order.entry for order in stage.engine.orders if isinstance(order, Undo)]


def test_an_edit_and_back_again() -> None:
    """The question says what the edit was; what was done is said afterwards."""

    async def scene(stage: Stage) -> None:
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("tab", "tab")
        await stage.paste("big project")
        await stage.press("enter")
        await stage.sees("is now 200 MiB")
        await stage.press("j", "j", "U")
        await stage.sees("Undo ─", "a@example.org   100 MiB → 200 MiB", "set by root (console)", ": big project")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is 100 MiB again, it was 200 MiB")
        await stage.until(lambda: stage.home.pane.accounts.rows["a@example.org"].limit_bytes == 100 * MIB, "table")
        assert orders(stage) == [1]
        await stage.press("U")
        await stage.sees("No edit of a limit that could be taken back")

    play(scene, rows=FIVE)


def test_an_edit_of_many_is_taken_back_as_one() -> None:
    """As the last, whose it was is said."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "space", "e")
        await stage.paste("x2")
        await stage.press("enter")
        await stage.sees("The limits of 4 accounts are set")
        await stage.press("U")
        await stage.sees("The limits of 4 accounts", "d@example.net, c@example.net, b@example.org and 1 more")
        await stage.press("enter")
        await stage.sees("The limits of 4 accounts are what they were before")
        assert orders(stage) == [None]
        assert all(stage.engine.rows[row.address] == row for row in FIVE)

    play(scene, rows=FIVE)


def test_somebody_elses_edit_meanwhile_is_not_taken_back_instead() -> None:
    """It was never shown."""

    async def scene(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("The limits of 2 accounts")
        stage.engine.journal.insert(0, entry(9, operator="anna"))
        await stage.press("left", "enter")
        await stage.sees("another edit of limits came in between; nothing was changed")
        assert all(stage.engine.rows[row.address] == row for row in FIVE)

    at = world.NOW - 60
    play(scene, rows=FIVE, prepare=with_journal(entry(2, at=at), entry(1, at=at, address="b@example.org")))


@pytest.mark.parametrize("keys", [("escape",), ("tab", "enter")])
def test_cancel_changes_nothing(keys: tuple[str, ...]) -> None:
    """By key or button."""

    async def scene(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("50 MiB → 100 MiB")
        await stage.press(*keys)
        await stage.loses("Undo ─")
        assert orders(stage) == []

    play(scene, rows=[msgspec.structs.replace(FIVE[0], used_bytes=1), *FIVE[1:]], prepare=with_journal(entry(1)))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(entry(1), "That is 40 MiB below the present usage", id="under the use"),
        pytest.param(entry(1, new=str(70 * MIB)), "is 100 MiB by now, set by anna", id="changed"),
        pytest.param(
            entry(1, new="unlimited", old=None), "The limit of a@example.org is 100 MiB by now", id="from unlimited"
        ),
    ],
)
def test_what_is_to_be_said_against_it(row: JournalRow, words: str) -> None:
    """Then Cancel has the focus."""

    async def scene(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees(words)
        await stage.press("enter")
        await stage.loses("Undo ─")
        assert orders(stage) == []

    play(scene, rows=FIVE, prepare=with_journal(row))


def failing(prepare: Callable[[FakeEngine], object], *rows: JournalRow) -> Callable[[FakeEngine], None]:
    """An engine with these entries that can't do something."""

    def both(engine: FakeEngine) -> None:
        with_journal(*rows)(engine)
        prepare(engine)

    return both


def test_what_goes_wrong_is_said() -> None:
    """As a whole, for the account, for some of them, and where the journal can't be read."""
    free = [msgspec.structs.replace(row, used_bytes=1) for row in FIVE]
    at = world.NOW - 60
    two = (entry(2, at=at), entry(1, at=at, address="b@example.org"))

    async def as_a_whole(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("50 MiB → 100 MiB")
        await stage.press("enter")
        await stage.sees("anna set it to 7 GiB since", "Undo ─")

    async def some(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("The limits of 2 accounts", "1 stay as they are")
        await stage.press("left", "enter")
        await stage.sees("1 taken back, 1 not: b@example.org: locked")

    async def unread(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("state database: locked")
        await stage.press("enter")
        await stage.loses("Undo ─")

    def refuses(engine: FakeEngine) -> None:
        engine.failing[Undo] = "anna set it to 7 GiB since"

    def one_fails(engine: FakeEngine) -> None:
        engine.row_errors["a@example.org" if len(engine.journal) == 1 else "b@example.org"] = "locked"

    def no_journal(engine: FakeEngine) -> None:
        engine.failing[PlanUndo] = "state database: locked"

    play(as_a_whole, rows=free, prepare=failing(refuses, entry(1)))
    play(some, rows=free, prepare=failing(one_fails, *two))
    play(unread, rows=free, prepare=failing(no_journal, entry(1)))


def test_the_number_is_the_true_one_and_is_typed() -> None:
    """Of an edit of 681 accounts: it is said before, and nothing happens without it."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("+1G")
        await stage.press("tab", "tab", "tab")
        await stage.paste("681")
        await stage.press("enter")
        await stage.sees("The limits of 681 accounts are set")
        await stage.press("U")
        await stage.sees("The limits of 681 accounts", "and 678 more", "type 681 to confirm")
        await stage.press("enter")
        await stage.sees("These are 681 accounts: type the number to confirm.")
        await stage.paste("500")
        await stage.press("enter")
        assert orders(stage) == []
        await stage.press("home", "ctrl+k")
        await stage.paste("681")
        await stage.press("enter")
        await stage.sees("The limits of 681 accounts are what they were before")
        assert orders(stage) == [None]
        assert all(stage.engine.rows[row.address].limit_bytes == row.limit_bytes for row in rows)

    rows = [
        msgspec.structs.replace(row, limit_bytes=(row.limit_bytes or 0) + 100 * world.GIB)
        for row in world.accounts(681)
    ]
    play(scene, rows=rows)


def test_what_comes_of_taking_an_edit_of_several_back_is_said() -> None:
    """How many were changed since, and how many would be over."""

    async def scene(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("1 stay as they are, as they were changed since; 1 account would be", "over the old limit")

    def prepare(engine: FakeEngine) -> None:
        with_journal(entry(2, at=at), entry(1, at=at, address="b@example.org"))(engine)
        engine.row_errors["b@example.org"] = "the limit of b@example.org is 7 GiB by now"

    at = world.NOW - 60
    play(scene, rows=FIVE, prepare=prepare)


def test_an_undo_of_many_is_a_list() -> None:
    """With each account's limit and what it means; the sum says who comes over; Cancel changes nothing."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "space", "e")
        await stage.paste("x2")
        await stage.press("enter")
        await stage.sees("The limits of 4 accounts are set")
        stage.engine.change(msgspec.structs.replace(stage.engine.rows["d@example.net"], used_bytes=150 * MIB))
        await stage.press("U")
        await stage.sees("Account", "Room", "200 MiB    100 MiB    150 %  over by 50 MiB")
        await stage.sees("200 MiB    100 MiB     90 %  10 MiB left", "0 stay over, 1 come over", "$ mailquota undo")
        await stage.press("escape")
        assert orders(stage) == []

    play(scene, rows=FIVE)


def test_an_undo_is_undone() -> None:
    """In the Journal, on one of its entries: all that was taken back is set again, and can be taken back again."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "e")
        await stage.paste("x2")
        await stage.press("enter")
        await stage.sees("The limits of 3 accounts are set")
        stage.pass_time(5)
        await stage.press("U")
        await stage.sees("The limits of 3 accounts")
        await stage.press("enter")
        await stage.sees("are what they were before; U in the Journal sets them anew")
        stage.pass_time(5)
        await stage.press("5")
        await stage.sees("takes back")
        await stage.press("U")
        await stage.sees("The limits of 3 accounts", "taken back by root", "now it is set again", "Set again")
        await stage.sees("100 MiB    200 MiB", "$ mailquota undo 6")
        await stage.press("enter")
        await stage.sees("The limits of 3 accounts are set again")
        assert orders(stage) == [None, 6]
        assert [row.limit_bytes for row in list(stage.engine.rows.values())[:3]] == [200 * MIB] * 3

    play(scene, rows=FIVE)


def test_an_own_edit_is_taken_back_before_its_row_has_come() -> None:
    """The engine knows that nothing came in between; the console still shows the limit before it."""

    async def scene(stage: Stage) -> None:
        stage.engine.changes_told = False
        await stage.press("e")
        await stage.paste("200M")
        await stage.press("enter")
        await stage.sees("is now 200 MiB")
        assert stage.home.pane.accounts.rows["a@example.org"].limit_bytes == 100 * MIB
        await stage.press("U")
        await stage.sees("a@example.org   100 MiB → 200 MiB", "$ mailquota undo 1")
        assert "by now" not in stage.text()
        assert stage.app.focused is stage.app.screen.query_one("#undo")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is 100 MiB again, it was 200 MiB")
        await stage.press("5")
        await stage.sees("takes back")
        await stage.press("U")
        await stage.sees("Set again", "now it is set again", "$ mailquota undo 2")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is 200 MiB again")
        assert orders(stage) == [1, 2]

    play(scene, rows=FIVE)


def test_one_is_left_out_of_an_undo() -> None:
    """By x in the list, taken in again by it; sums, command and order follow, and the rest can be taken back later."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "e")
        await stage.paste("x2")
        await stage.press("enter")
        await stage.sees("The limits of 3 accounts are set")
        await stage.press("U")
        await stage.sees("The limits of 3 accounts", "In the list x leaves an account out")
        await stage.press("x", "x", "x")
        await stage.sees("2 left out", " x a@example.org", " x b@example.org")
        await stage.press("up", "x")
        await stage.sees("1 left out", "$ mailquota undo --without a@example.org")
        await stage.press("enter")
        await stage.sees("The limits of 2 accounts are what they were before")
        assert [order.without for order in stage.engine.orders if isinstance(order, UndoPart)] == [["a@example.org"]]
        limits = [row.limit_bytes for row in list(stage.engine.rows.values())[:3]]
        assert limits == [200 * MIB, 100 * MIB, 100 * MIB]
        await stage.press("U")
        await stage.sees("a@example.org   100 MiB → 200 MiB")
        await stage.press("enter")
        await stage.sees("The limit of a@example.org is 100 MiB again")

    play(scene, rows=FIVE)


def test_all_left_out_is_nothing_to_do() -> None:
    """It is said."""

    async def scene(stage: Stage) -> None:
        await stage.press("U")
        await stage.sees("The limits of 2 accounts")
        await stage.press("x", "x", "x", "enter")
        await stage.sees("All accounts are left out.", "2 left out")
        assert "$ mailquota" not in stage.text()
        assert orders(stage) == []

    at = world.NOW - 60
    play(scene, rows=FIVE, prepare=with_journal(entry(2, at=at), entry(1, at=at, address="b@example.org")))


def test_fewer_than_ten_are_left_of_many() -> None:
    """The number to type is that of those that are left; no number is wanted for a few."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("+1G")
        await stage.press("tab", "tab", "tab")
        await stage.paste("12")
        await stage.press("enter")
        await stage.sees("The limits of 12 accounts are set")
        await stage.press("U")
        await stage.sees("type 12 to confirm")
        await stage.press("shift+tab", "x")
        await stage.sees("type 11 to confirm")
        await stage.press("x")
        await stage.sees("not needed", "2 left out")
        await stage.press("enter")
        await stage.sees("The limits of 10 accounts are what they were before")

    rows = [msgspec.structs.replace(row, limit_bytes=100 * world.GIB) for row in world.accounts(12)]
    play(scene, rows=rows)
