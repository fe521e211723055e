"""Keys and mouse on the home screen."""

from __future__ import annotations

import time

import pytest
from textual.events import MouseScrollDown

from mailquota.tui.accounts.table import AccountTable
from mailquota.tui.widgets.table_header import TableHeader
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def test_moving_by_keys() -> None:
    """As in every list: letters, arrows, pages, both ends; the ends hold."""

    async def scene(stage: Stage) -> None:
        shown = stage.order
        last = len(shown) - 1
        moves = [("down", 1), ("j", 2), ("k", 1), ("up", 0), ("k", 0), ("G", last), ("j", last), ("g", 0)]
        for key, index in [*moves, ("end", last), ("home", 0)]:
            await stage.press(key)
            assert stage.row.address == shown[index], key
        await stage.press("pagedown")
        down = shown.index(stage.row.address)
        assert down > 5
        assert stage.row.address in stage.text()
        await stage.press("pageup")
        assert stage.row.address == shown[0]

    play(scene, rows=300)


def test_a_key_after_one_whose_end_was_lost() -> None:
    """As when a widget goes away with it: it takes half a second, but no other key."""

    async def scene(stage: Stage) -> None:
        stage.app._key_sent = time.monotonic()
        await stage.press("j")
        await stage.until(lambda: stage.row.address == stage.order[1], "moves")

    play(scene, rows=FIVE)


def test_sorting_by_keys() -> None:
    """The next column, the one before, the other way round; the header tells."""

    async def scene(stage: Stage) -> None:
        await stage.sees("Usage ▼")
        await stage.press("greater_than_sign")
        await stage.sees("Used ▼")
        assert stage.order[0] == "e@example.net"
        await stage.press("I")
        await stage.sees("Used ▲")
        assert stage.order[0] == "d@example.net"
        await stage.press("f6")
        await stage.sees("Limit ▼")
        await stage.press("less_than_sign", "less_than_sign", "less_than_sign")
        await stage.sees("Account ▲")
        assert stage.order == sorted(stage.order)

    play(scene, rows=FIVE)


def test_sorting_by_a_click_on_the_header() -> None:
    """A second click turns it round."""

    async def scene(stage: Stage) -> None:
        at = (stage.lines()[3].index("Account"), 0)
        await stage.pilot.click(TableHeader, offset=at)
        await stage.sees("Account ▲")
        assert stage.order[0] == "a@example.org"
        await stage.pilot.click(TableHeader, offset=at)
        await stage.sees("Account ▼")
        assert stage.order[0] == "e@example.net"

    play(scene, rows=FIVE)


def test_marking() -> None:
    """Space marks and goes on; the foot counts and sums; u clears; * marks all that the filter shows."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "space")
        assert stage.row.address == "c@example.net"
        await stage.sees("2 marked, 170 MiB", "✓△ a@example.org")
        await stage.press("k", "space")
        await stage.sees("1 marked, 90 MiB")
        await stage.press("u")
        await stage.loses("marked")
        await stage.press("slash")
        await stage.paste("net")
        await stage.press("enter", "asterisk")
        await stage.sees("3 marked")
        await stage.press("escape")
        await stage.sees("3 marked", "a@example.org")
        assert stage.home.pane.accounts.marks == {"c@example.net", "d@example.net", "e@example.net"}

    play(scene, rows=FIVE)


def test_a_click_moves_the_cursor_and_a_double_click_opens() -> None:
    """The mouse does what keys do."""

    async def scene(stage: Stage) -> None:
        await stage.pilot.click(AccountTable, offset=(10, 2))
        assert stage.row.address == "c@example.net"
        await stage.pilot.click(AccountTable, offset=(10, 3), times=2)
        await stage.sees("Aliases of this mailbox", "d@example.net")

    play(scene, rows=FIVE)


def test_the_wheel_scrolls_and_the_next_key_goes_on_from_the_cursor() -> None:
    """The cursor may be out of sight, and comes back with a key."""

    async def scene(stage: Stage) -> None:
        first = stage.order[0]
        for _turn in range(12):
            await stage.pilot._post_mouse_events([MouseScrollDown], AccountTable, offset=(10, 3))  # no public call
        await stage.loses(f"■ {first} ")
        await stage.press("j")
        assert stage.row.address == stage.order[1]
        await stage.sees(stage.order[1])

    play(scene, rows=300)


def test_a_click_on_a_key_of_the_foot_presses_it() -> None:
    """For those who use the mouse."""

    async def scene(stage: Stage) -> None:
        at = stage.lines()[-1].index("? Help")
        await stage.pilot.click("#foot", offset=(at, 0))
        await stage.sees(" Help  Accounts")

    play(scene)


@pytest.mark.parametrize("key", ["e", "r", "t"])
def test_a_key_that_finds_no_account_says_so(key: str) -> None:
    """No dialog about nobody opens."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("nobody")
        await stage.press("enter")
        await stage.sees("no account matches ‘nobody’")
        await stage.press(key)
        await stage.sees("No account here")
        assert len(stage.app.screen_stack) == 1

    play(scene, rows=FIVE)


def test_the_function_keys_of_htop() -> None:
    """F1 helps, F4 filters, F10 quits; the foot shows the letters."""

    async def scene(stage: Stage) -> None:
        await stage.sees("? Help", "/ Filter", "q Quit")
        await stage.press("f1")
        await stage.sees("Help  Accounts")
        await stage.press("f1", "f4")
        await stage.type("net")
        await stage.sees("/ net", "3 accounts")
        await stage.press("enter", "3", "f4")
        await stage.type("refused")
        await stage.sees("/ refused")
        await stage.press("escape", "f10")
        await stage.sees("Keep enforcing")

    play(scene, rows=FIVE)
