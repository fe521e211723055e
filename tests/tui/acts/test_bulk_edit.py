"""Edits of several limits: a list that says what the limit means for each account, where one can be left out."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.control.messages import SetLimit
from mailquota.tui.draw.effects import Effect, worst_first
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB

MIXED = [
    AccountRow("calm@example.org", 100 * MIB, 10 * MIB),
    AccountRow("full@example.org", 100 * MIB, 130 * MIB),
    AccountRow("near@example.org", 100 * MIB, 85 * MIB),
    AccountRow("free@example.org", None, 500 * MIB),
]


def sent(stage: Stage) -> list[list[str]]:
    """Whose limits were set, order by order."""
    return [order.addresses for order in stage.engine.orders if isinstance(order, SetLimit)]


def listed(stage: Stage) -> list[str]:
    """The accounts of the list, from the top."""
    lines = stage.lines()
    start = next(number for number, line in enumerate(lines) if "Limit        New" in line)
    rows = (line.partition("│")[2].split("│")[0] for line in lines[start + 1 :])
    return [row.split("@")[0].split()[-1] for row in rows if "@" in row and "$" not in row]


def test_the_list_has_each_account_with_what_it_means() -> None:
    """Old, new, percent, what is left; what can't be done first, then the worst; the sum says who stays over."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.sees("4 marked accounts")
        await stage.paste("+10%")
        await stage.sees("100 MiB    110 MiB    118 %  over by 20 MiB", "100 MiB    110 MiB     77 %  25 MiB left")
        await stage.sees("1 stay over, 0 come over", "unlimited      stays", "1 can't have this limit")
        assert listed(stage) == ["free", "full", "near", "calm"]

    play(scene, rows=MIXED)


def test_x_leaves_an_account_out() -> None:
    """And takes it in again. The sums are those of the others, and only they get the limit."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("80M")
        await stage.sees("0 stay over, 3 come over")
        assert listed(stage) == ["free", "full", "near", "calm"]
        await stage.press("down", "x")
        await stage.sees("1 left out", " x free@example.org", "0 stay over, 2 come over")
        await stage.press("x")
        await stage.sees("2 left out", "0 stay over, 1 come over")
        await stage.press("k", "k", "x")
        await stage.sees("1 left out", "0 stay over, 2 come over")
        await stage.press("g", "x", "enter")
        await stage.sees("1 account would be over it")
        await stage.press("enter")
        await stage.sees("The limits of 2 accounts are set")
        assert sent(stage) == [["calm@example.org", "near@example.org"]]

    play(scene, rows=MIXED)


def test_with_all_left_out_nothing_is_sent() -> None:
    """The dialog says why."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "e")
        await stage.paste("1G")
        await stage.press("down", "x", "x", "enter")
        await stage.sees("All accounts are left out.")
        assert sent(stage) == []

    play(scene, rows=FIVE)


def test_another_account_in_asks_again_about_limits_below_the_usage() -> None:
    """The question was about others."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space", "e")
        await stage.paste("70M")
        await stage.press("down", "x", "enter")
        await stage.sees("1 account would be over it")
        await stage.press("g", "x", "enter")
        await stage.sees("2 accounts would be over it")
        assert sent(stage) == []

    play(scene, rows=FIVE)


def test_the_number_to_type_is_that_of_the_accounts_that_are_left() -> None:
    """Of ten or fewer none is needed any more."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.sees("type 12 to confirm")
        await stage.paste("2G")
        await stage.press("down", "x")
        await stage.sees("type 11 to confirm")
        await stage.press("enter")
        await stage.sees("These are 11 accounts")
        await stage.paste("12")
        await stage.press("enter")
        assert sent(stage) == []
        await stage.press("down", "g", "j", "x")
        await stage.sees("2 left out")
        await stage.press("enter")
        await stage.until(lambda: sent(stage), "sets")
        assert len(sent(stage)[0]) == 10

    play(scene, rows=[AccountRow(f"user{number:02}@example.org", MIB, 0) for number in range(12)], size=(120, 40))


def test_thousands_are_a_list_of_which_some_rows_are_drawn() -> None:
    """Keys act while it is made; its end can be reached, and the last be left out."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.sees("8,000 marked accounts")
        await stage.type("x3")
        await stage.press("down", "G", "x")
        await stage.sees("1 left out", "type 7999 to confirm")
        await stage.sees("come over")

    play(scene, rows=8000)


@pytest.mark.parametrize("size", [(80, 24), (60, 12), (200, 50)])
def test_the_list_fits_any_terminal(size: tuple[int, int]) -> None:
    """With the field, the sums and the keys."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "e")
        await stage.paste("x2")
        await stage.sees("New limit", "x2", "unlimited      stays", "come over", "Esc Cancel")

    play(scene, rows=60, size=size)


def test_worst_first() -> None:
    """What can't be done, then by level, then by percent; equal ones in their order."""
    rows = [
        Effect("ok", 100, 200, 20, Level.OK),
        Effect("unknown", 100, 200, None, Level.UNKNOWN),
        Effect("over", 100, 100, 150, Level.OVER),
        Effect("more", 100, 100, 10**12, Level.OVER),
        Effect("no", None, None, 20, Level.UNLIMITED, error="no"),
        Effect("near", 100, 100, 85, Level.NEAR),
        Effect("nearer", 100, 100, 90, Level.NEAR),
        Effect("ok too", 100, 200, 20, Level.OK),
        Effect("free", None, None, 20, Level.UNLIMITED),
    ]
    order = [row.address for row in worst_first(rows)]
    assert order == ["no", "more", "over", "nearer", "near", "ok", "ok too", "free", "unknown"]
