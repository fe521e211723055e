"""The dialog that counts again."""

from __future__ import annotations

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Recalc
from mailquota.core.control.results import RecalcResult
from mailquota.tui.acts.recalculate import all_lines, estimate
from mailquota.tui.draw.glyphs import UNICODE
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


def test_before_and_after_with_the_drift_in_words() -> None:
    """It begins at once, and Enter closes."""

    async def scene(stage: Stage) -> None:
        await stage.press("r")
        await stage.sees("Recalculate", "5 MiB less than recorded", "90 MiB → 85 MiB", "by rewrite", "1 of 1")
        assert [order.addresses for order in stage.engine.orders if isinstance(order, Recalc)] == [["a@example.org"]]
        await stage.press("enter")
        await stage.loses("less than recorded")

    play(scene, rows=FIVE)


def test_several_accounts_each_with_its_result() -> None:
    """Errors are named among them."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "r")
        await stage.sees("3 marked accounts", "3 of 3", "done")
        await stage.sees("a@example.org  5 MiB less than recorded", "b@example.org  as recorded")
        await stage.sees("c@example.net  no Maildir")

    def prepare(engine: FakeEngine) -> None:
        engine.row_errors["c@example.net"] = "no Maildir"

    play(scene, rows=FIVE, prepare=prepare)


def test_of_many_the_sum_comes_first_then_what_needs_a_person() -> None:
    """Failures, then what differs, the most first, then a line for each that is as recorded."""
    drifts = {"a@example.org": -MIB, "b@example.org": 0, "c@example.net": 9 * MIB, "e@example.net": -5 * MIB}
    results = [
        RecalcResult(row.address, row.used_bytes, (row.used_bytes or 0) + drifts.get(row.address, 0), 1, 1, "rewrite",
                     None if row.address in drifts else "no Maildir")
        for row in FIVE
    ]  # fmt: skip
    summary, *found = ["".join(text for text, _look in line) for line in all_lines(results, UNICODE)]
    assert summary == "5 recounted: 1 as recorded, 3 differ, 1 failed"
    assert found[0] == "d@example.net  no Maildir"
    assert [line for line in found if "recorded" in line] == [
        "c@example.net  9 MiB more than recorded",
        "e@example.net  5 MiB less than recorded",
        "a@example.org  1 MiB less than recorded",
        "b@example.org  as recorded",
    ]
    assert found[-1] == "b@example.org  as recorded"


def test_esc_stops_after_the_account_that_is_being_counted() -> None:
    """What was done is shown, and how much was not."""

    def prepare(engine: FakeEngine) -> None:
        engine.held.clear()

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "space", "r")
        await stage.sees("1 of 3", "a@example.org", "Esc Stop")
        await stage.press("escape")
        await stage.sees("Stopping after this account")
        stage.engine.held.set()
        await stage.sees("Stopped: 2 not counted", "less than recorded", "Close")
        await stage.press("escape")
        await stage.loses("Stopped")

    play(scene, rows=FIVE, prepare=prepare)


def test_esc_twice_does_not_wait() -> None:
    """For an account that hangs."""

    def prepare(engine: FakeEngine) -> None:
        engine.held.clear()

    async def scene(stage: Stage) -> None:
        await stage.press("r")
        await stage.sees("Esc Stop", "1 of 1")
        await stage.press("escape", "escape")
        await stage.loses("Recalculate ─")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, prepare=prepare)


def test_the_engine_may_refuse() -> None:
    """Its words are shown."""

    def prepare(engine: FakeEngine) -> None:
        engine.failing[Recalc] = "doveadm is not there"

    async def scene(stage: Stage) -> None:
        await stage.press("r")
        await stage.sees("doveadm is not there", "Close")
        await stage.press("enter")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE, prepare=prepare)


def test_many_are_not_counted_unasked() -> None:
    """The question has an estimate, and the number is typed; then what differs comes first."""

    def ordered(stage: Stage) -> list[int]:
        return [len(order.addresses) for order in stage.engine.orders if isinstance(order, Recalc)]

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "r")
        await stage.sees("20,000 marked accounts", "about 19", "type 20000 to begin", "Esc Cancel")
        await stage.press("enter")
        await stage.sees("type the number to begin")
        assert ordered(stage) == []
        await stage.press("escape")
        await stage.loses("Recalculate ─")
        assert ordered(stage) == []
        await stage.press("r")
        await stage.paste("20,000")
        await stage.press("enter")
        await stage.sees("recounted", "Close")
        assert ordered(stage) == [20_000]

    rows = [AccountRow(f"a{number}@example.org", MIB, 1, 700) for number in range(20_000)]
    play(scene, rows=rows)


def test_how_long_the_rest_takes() -> None:
    """By the pace so far."""

    def prepare(engine: FakeEngine) -> None:
        engine.held.clear()

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "r")
        await stage.paste("60")
        await stage.press("enter")
        await stage.sees("1 of 60")
        stage.pass_time(3)
        stage.engine.held.set()
        await stage.sees("60 of 60")

    play(scene, rows=60, prepare=prepare)
    assert estimate([AccountRow("a@x", 1, 1, 1)] * 12).startswith("12 messages are counted")
