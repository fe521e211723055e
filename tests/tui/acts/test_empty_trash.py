"""The dialog that empties Trash."""

from __future__ import annotations

import msgspec

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import EmptyTrash
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import MIB

TRASHY = [
    AccountRow("a@example.org", 100 * MIB, 90 * MIB, 900, 40 * MIB, 400),
    AccountRow("b@example.org", 100 * MIB, 80 * MIB, 800, 10 * MIB, 100),
    AccountRow("c@example.org", 100 * MIB, 70 * MIB, 700, 0, 0),
]


def removals(stage: Stage) -> list[tuple[list[str], float | None]]:
    """What was really removed: whose, how old."""
    orders = [order for order in stage.engine.orders if isinstance(order, EmptyTrash)]
    return [(order.addresses, order.older_than) for order in orders if not order.dry_run]


def test_first_the_facts_then_cancel_has_the_focus() -> None:
    """One key more than t removes nothing."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("Folders     Trash", "400, 40 MiB", "Oldest", "90 days ago", "Newest", "1 h ago")
        await stage.sees("Afterwards  50 MiB of 100 MiB   50 % ok")
        await stage.press("enter")
        await stage.loses("Empty Trash ─")
        assert removals(stage) == []

    play(scene, rows=TRASHY)


def test_what_would_be_left_follows_the_account() -> None:
    """Mail that comes in while the question stands is counted; so is another limit."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("Afterwards  50 MiB of 100 MiB   50 % ok")
        stage.engine.change(msgspec.structs.replace(TRASHY[0], used_bytes=125 * MIB))
        await stage.sees("Afterwards  85 MiB of 100 MiB   85 % near")
        stage.engine.change(msgspec.structs.replace(TRASHY[0], limit_bytes=200 * MIB))
        await stage.sees("Afterwards  50 MiB of 200 MiB   25 % ok", "400, 40 MiB")

    play(scene, rows=TRASHY)


def test_empty_removes_and_says_what() -> None:
    """Reached by an arrow or Tab."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("400, 40 MiB")
        await stage.press("left", "enter")
        await stage.sees("a@example.org: 400 messages (40 MiB) removed from Trash")
        assert removals(stage) == [(["a@example.org"], None)]
        await stage.sees("b@example.org")
        assert stage.row.address == "a@example.org"
        assert stage.row.used_bytes == 50 * MIB

    play(scene, rows=TRASHY)


def test_an_age_looks_again() -> None:
    """The facts are those of what would be removed, and only that is."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("400, 40 MiB")
        await stage.press("left", "left")
        await stage.paste("30d")
        await stage.sees("200, 20 MiB")
        await stage.press("tab", "enter")
        await stage.sees("200 messages (20 MiB) removed")
        assert removals(stage) == [(["a@example.org"], 30 * 86400.0)]

    play(scene, rows=TRASHY)


def test_an_age_that_can_not_be_read_removes_nothing() -> None:
    """The button is off until it can."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("400, 40 MiB")
        await stage.press("left", "left")
        await stage.paste("30")
        await stage.sees("is not an age", "accepted")
        await stage.press("tab", "enter")
        assert removals(stage) == []

    play(scene, rows=TRASHY)


def test_nothing_in_trash() -> None:
    """There is nothing to press but Cancel."""

    async def scene(stage: Stage) -> None:
        await stage.press("G", "t")
        await stage.sees("Messages    none")
        await stage.press("left", "enter")
        assert removals(stage) == []

    play(scene, rows=TRASHY)


def test_several_accounts_are_summed() -> None:
    """Folders, messages and bytes over all."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "t")
        await stage.sees("2 marked accounts", "500, 50 MiB")
        await stage.press("left", "enter")
        await stage.sees("2 accounts: 500 messages (50 MiB) removed from Trash")

    play(scene, rows=TRASHY)


def test_over_ten_accounts_the_number_must_be_typed() -> None:
    """As for limits."""
    rows = [msgspec.structs.replace(TRASHY[0], address=f"user{number}@example.org") for number in range(12)]

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "t")
        await stage.sees("4,800, 480 MiB")
        await stage.press("left", "enter")
        await stage.sees("These are 12 accounts")
        assert removals(stage) == []
        await stage.paste("12")
        await stage.press("tab", "enter")
        await stage.sees("4,800 messages (480 MiB) removed")

    play(scene, rows=rows)


def test_the_engine_may_refuse_to_look_or_to_remove() -> None:
    """Its words are shown; nothing is said to be removed."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("a@example.org: Trash is locked")
        await stage.press("escape")
        stage.engine.row_errors.clear()
        await stage.press("t")
        await stage.sees("400, 40 MiB")
        stage.engine.failing[EmptyTrash] = "permission denied"
        await stage.press("left", "enter")
        await stage.sees("permission denied")
        await stage.loses("removed from Trash")

    def prepare(engine: FakeEngine) -> None:
        engine.row_errors["a@example.org"] = "Trash is locked"

    play(scene, rows=TRASHY, prepare=prepare)


def test_after_a_failure_it_can_be_tried_again() -> None:
    """With what is there now; the reason stays until then."""

    async def scene(stage: Stage) -> None:
        await stage.press("t")
        await stage.sees("400, 40 MiB")
        stage.engine.failing_once[EmptyTrash] = "the disk is busy"
        await stage.press("left", "enter")
        await stage.sees("the disk is busy", "400, 40 MiB")
        await stage.until(lambda: not stage.app.screen.query_one("#empty").disabled, "can be pressed again")
        assert "the disk is busy" in stage.text()
        await stage.press("left")
        assert stage.app.screen.focused is stage.app.screen.query_one("#empty"), stage.app.screen.focused
        await stage.press("enter")
        await stage.sees("400 messages (40 MiB) removed")

    play(scene, rows=TRASHY)


def test_partly_done_is_said_and_the_rest_can_be_tried_again() -> None:
    """Closed without, what was done is said in the list."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "t")
        await stage.sees("500, 50 MiB")
        stage.engine.row_errors["b@example.org"] = "Trash is locked"
        await stage.press("left", "enter")
        await stage.sees("1 emptied, 1 not: b@example.org: Trash is locked", "Empty Trash ─")
        await stage.press("escape")
        await stage.loses("Empty Trash ─")
        await stage.sees("1 emptied, 1 not: b@example.org: Trash is locked")

    play(scene, rows=TRASHY)
