"""Ranges of marks, and marks turned round: by keys, by the mouse, in a real terminal."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import msgspec
import pytest

from mailquota.tui.accounts.table import AccountTable
from mailquota.tui.desk.account_list import AccountList
from mailquota.tui.desk.mark_range import MarkRange
from tests.mailserver.fixture import require_servers
from tests.real.beside import Tmux
from tests.tui import world
from tests.tui.real_terminal import Terminal
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE

FAKE = (sys.executable, "-m", "tests.tui.fake_engine", "--accounts", "60", "--idle", "--attached")


def marked(stage: Stage) -> list[str]:
    """The first letters of the marked addresses, in order."""
    return [address[0] for address in sorted(stage.home.pane.accounts.marks)]


def test_v_marks_what_the_cursor_passes() -> None:
    """By any move; back again it unmarks; the second v ends it, and the foot says so meanwhile."""

    async def scene(stage: Stage) -> None:
        await stage.press("j", "v")
        assert marked(stage) == ["b"]
        await stage.sees("range: 1 marked  v ends it")
        await stage.press("G")
        assert marked(stage) == ["b", "c", "d", "e"]
        await stage.press("k", "k")
        assert marked(stage) == ["b", "c"]
        await stage.press("g")
        assert marked(stage) == ["a", "b"]
        await stage.press("v", "G")
        assert marked(stage) == ["a", "b"]
        await stage.sees("2 marked, 170 MiB")

    play(scene, rows=FIVE)


def test_esc_takes_a_range_back() -> None:
    """But not what was marked before it, and not the filter."""

    async def scene(stage: Stage) -> None:
        await stage.press("j", "j", "space", "g", "v", "j", "j", "j")
        assert marked(stage) == ["a", "b", "c", "d"]
        await stage.press("escape")
        assert marked(stage) == ["c"]
        await stage.sees("1 marked")

    play(scene, rows=FIVE)


def test_shift_and_arrows() -> None:
    """From where the cursor is; a plain move ends the range, and the next one begins anew."""

    async def scene(stage: Stage) -> None:
        await stage.press("shift+down", "shift+down")
        assert marked(stage) == ["a", "b", "c"]
        await stage.press("shift+up")
        assert marked(stage) == ["a", "b"]
        await stage.press("j", "j", "j", "shift+up")
        assert marked(stage) == ["a", "b", "d", "e"]
        await stage.press("e")
        await stage.sees("4 marked accounts")

    play(scene, rows=FIVE)


def test_the_key_after_a_move_finds_all_of_the_range_marked() -> None:
    """They may come in one packet, as typed ahead."""

    async def scene(stage: Stage) -> None:
        await stage.press("v", "j", "j", "e")
        await stage.sees("3 marked accounts")

    play(scene, rows=FIVE)


def test_shift_and_a_click() -> None:
    """From the cursor to the line that was clicked, in both directions."""

    async def scene(stage: Stage) -> None:
        await stage.pilot.click(AccountTable, offset=(10, 1))
        await stage.pilot.click(AccountTable, offset=(10, 3), shift=True)
        assert marked(stage) == ["b", "c", "d"]
        await stage.sees("3 marked")
        await stage.pilot.click(AccountTable, offset=(10, 0), shift=True)
        assert marked(stage) == ["a", "b"]

    play(scene, rows=FIVE)


def test_marks_are_turned_round_where_the_filter_shows_them() -> None:
    """A hidden one stays marked, which the foot says."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "j", "space", "slash")
        await stage.paste("net")
        await stage.press("enter", "tilde")
        assert marked(stage) == ["a", "d", "e"]
        await stage.sees("3 marked, 1 not shown")
        await stage.press("y")
        await stage.sees("3 addresses")

    play(scene, rows=FIVE)


def test_sorting_ends_a_range() -> None:
    """Others are between its ends then."""

    async def scene(stage: Stage) -> None:
        await stage.press("v", "j", "I")
        await stage.until(lambda: stage.order[0] == "e@example.net" or stage.order[0] == "d@example.net", "sorts")
        await stage.press("g", "G")
        assert marked(stage) == ["a", "b"]

    play(scene, rows=FIVE)


def test_an_account_that_comes_in_between_is_not_marked() -> None:
    """Only what the cursor passed is; where the range began may be gone."""
    accounts = AccountList()
    accounts.replace(FIVE, world.NOW)
    found = MarkRange(accounts, 0)
    found.go(2)
    between = msgspec.structs.replace(FIVE[0], address="z@example.org", used_bytes=FIVE[0].used_bytes - 1)  # type: ignore[operator]
    accounts.update([between], [], world.NOW)
    assert accounts.order[1] == "z@example.org"
    found.go(4)
    assert sorted(accounts.marks) == ["a@example.org", "b@example.org", "c@example.net", "d@example.net"]
    accounts.update([], ["a@example.org"], world.NOW)
    found.go(0)
    assert sorted(accounts.marks) == ["z@example.org"]
    found.take_back()
    assert not accounts.marks
    assert accounts.marked_bytes == 0


@pytest.mark.parametrize("seed", range(20))
def test_any_moves_mark_from_the_first_line_to_the_last(seed: int) -> None:
    """With what was marked before."""
    rng = random.Random(seed)
    accounts = AccountList()
    accounts.replace(world.accounts(40), world.NOW)
    before = set(rng.sample(accounts.order, 5))
    for address in before:
        accounts.toggle(address)
    first = rng.randrange(40)
    found = MarkRange(accounts, first)
    for _step in range(30):
        at = rng.randrange(40)
        found.go(at)
        low, high = sorted((first, at))
        assert accounts.marks == before | set(accounts.order[low : high + 1])
    found.take_back()
    assert accounts.marks == before


def test_turned_round_twice_is_as_before() -> None:
    """The sum follows."""
    accounts = AccountList()
    accounts.replace(world.accounts(300), world.NOW)
    accounts.toggle(accounts.order[3])
    bytes_before = accounts.marked_bytes
    accounts.turn_marks()
    assert len(accounts.marks) == 299
    accounts.turn_marks()
    assert (accounts.marks, accounts.marked_bytes) == ({accounts.order[3]}, bytes_before)


@pytest.mark.parametrize("down", [b"\x1b[1;2B", b"\x1b[b"], ids=["xterm", "rxvt"])
def test_shift_and_arrows_as_terminals_send_them(down: bytes) -> None:
    """The bytes of xterm (and of most others), and of rxvt."""
    with Terminal(command=FAKE) as terminal:
        terminal.wait_for("john@example.org")
        terminal.send(down)
        terminal.send(down)
        terminal.wait_for("3 marked")
        terminal.send(down.replace(b"B", b"A").replace(b"b", b"a"))
        terminal.wait_for("2 marked")
        terminal.type("~")
        terminal.wait_for("58 marked")
        terminal.type("q")
        assert terminal.wait() == 0


def test_shift_and_arrows_through_tmux(tmp_path: Path) -> None:
    """Which knows the key by its own name, and sends what it makes of it."""
    require_servers("tmux", root=False)
    tmux = Tmux(" ".join(FAKE), 100, 24, tmp_path.name)
    try:
        tmux.wait_for("john@example.org")
        tmux.keys("S-Down", "S-Down")
        tmux.wait_for("3 marked")
        tmux.keys("S-Up")
        tmux.wait_for("2 marked")
        tmux.keys("Escape", "v", "j", "j", "j")
        tmux.wait_for("range: 5 marked")
    finally:
        tmux.close()
