"""The filter line."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.tui.accounts.table import AccountTable
from tests.tui import past
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def test_filtering_as_one_types() -> None:
    """Enter keeps the filter and gives the table the keys; Esc shows everything again."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.type("@example.net")
        await stage.sees("3 accounts")
        assert stage.order == ["c@example.net", "d@example.net", "e@example.net"]
        await stage.press("enter")
        await stage.sees("/ @example.net", "3 of 5")
        await stage.press("j")
        assert stage.row.address == "d@example.net"
        await stage.press("escape")
        await stage.loses("3 of 5")
        assert len(stage.order) == 5
        assert stage.row.address == "d@example.net"

    play(scene, rows=FIVE)


def test_esc_while_typing_clears_the_filter() -> None:
    """And a kept filter is offered again by /."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste(">75%")
        await stage.press("enter")
        await stage.sees("2 of 5")
        await stage.press("slash")
        await stage.sees("/ >75%")
        await stage.press("escape")
        await stage.loses("2 of 5", ">75%")
        assert len(stage.order) == 5

    play(scene, rows=FIVE)


def test_a_filter_that_can_not_be_read_keeps_the_last_good_result() -> None:
    """And says what is wrong, and what is accepted."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("net >8")
        await stage.sees("3 accounts")
        await stage.type("x")
        await stage.sees("'>8x'", "accepted")
        assert len(stage.order) == 3
        await stage.press("backspace")
        await stage.sees("3 accounts")

    play(scene, rows=FIVE)


def test_enter_keeps_no_filter_that_can_not_be_read() -> None:
    """The line stays open, with its error, until the text is mended or Esc; then nothing of it is left."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("net >80x")
        for key in ("enter", "down"):
            await stage.press(key)
            await stage.sees("'>80x' compares with no size", "⏎ Keep")
        await stage.press("escape")
        await stage.loses(">80x")
        assert len(stage.order) == 5
        await stage.press("slash")
        await stage.sees("5 accounts")

    play(scene, rows=FIVE)


def test_a_filter_that_is_ready_late_hides_no_error() -> None:
    """``>8`` among many accounts is arranged in slices, while ``>8x`` stands there already."""

    async def scene(stage: Stage) -> None:
        for key in ("slash", ">", "8", "x"):
            stage.app.simulate_key(key)
        await stage.sees("'>8x' compares with no size")
        view = stage.home.pane.accounts
        await stage.until(lambda: view.view is view.wanted and view.view.filter, "the earlier one is shown")
        await stage.pilot.pause()
        assert "'>8x' compares with no size" in stage.text()
        assert "accounts " not in stage.lines()[2]

    play(scene, rows=6000)


def test_a_long_error_is_cut_with_a_sign_and_the_reason_comes_first() -> None:
    """At 80 columns."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste(">80x")
        await stage.sees("'>80x' compares with no size or percentage; ")
        assert "…" in stage.lines()[2], stage.lines()[2]

    play(scene, rows=FIVE, size=(80, 24))


def test_keys_that_arrive_together_go_where_they_belong() -> None:
    """As over a slow line: the filter opens with the first, and gets the others."""

    async def scene(stage: Stage) -> None:
        for key in ("slash", "n", "e", "t", "enter", "j", "e", "9", "0", "M", "enter"):
            stage.app.simulate_key(key)
        await stage.until(lambda: stage.engine.orders, "sets a limit")
        assert stage.home.pane.accounts.view.filter is not None
        assert stage.home.pane.accounts.view.filter.text == "net"
        assert [getattr(order, "size", None) for order in stage.engine.orders] == ["90M"]

    play(scene, rows=FIVE)


def test_no_account_matches() -> None:
    """The other empty face says how to get out."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("nobody")
        await stage.press("enter")
        await stage.sees("no account matches ‘nobody’ · Esc shows all 5")
        await stage.press("escape")
        await stage.sees("a@example.org")

    play(scene, rows=FIVE)


@pytest.mark.parametrize("key", ["e", "r", "t", "w"])
def test_marked_accounts_that_the_filter_hides_are_told(key: str) -> None:
    """In the foot, and in each dialog that acts on them, with the first by name."""

    async def scene(stage: Stage) -> None:
        await stage.press("asterisk", "slash")
        await stage.paste("john@")
        await stage.press("enter")
        await stage.sees("60 marked, 59 not shown")
        await stage.press(key)
        await stage.sees("60 marked accounts, 59 not shown:", " and 57 more")
        await stage.press("escape", "escape")
        await stage.press("escape")
        await stage.loses("not shown")

    play(scene)


def test_a_hidden_one_alone_is_told() -> None:
    """Its name is another one than that under the cursor."""

    async def scene(stage: Stage) -> None:
        await stage.press("space", "slash")
        await stage.paste("d@")
        await stage.press("enter")
        await stage.sees("1 marked, 1 not shown")
        await stage.press("e")
        await stage.sees("a@example.org, marked and not shown")

    play(scene, rows=FIVE)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50)])
def test_no_match_is_told_and_the_way_out(size: tuple[int, int]) -> None:
    """While it is typed, and kept; a long text is cut."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("zzzz")
        await stage.sees("no account matches ‘zzzz’ · Esc shows all 60")
        await stage.press("enter")
        await stage.sees("no account matches ‘zzzz’ · Esc shows all 60")
        await stage.press("escape", "slash")
        await stage.paste("z" * 300)
        await stage.sees("no account matches ‘zzz", "…’", "Esc shows all 60")

    play(scene, size=size)
    play(scene_in_ascii, size=size, ascii_only=True)


async def scene_in_ascii(stage: Stage) -> None:
    """Without typeset quotes."""
    await stage.press("slash")
    await stage.paste("zzzz")
    await stage.sees("no account matches 'zzzz' | Esc shows all 60")


@pytest.mark.parametrize("text", ["/(a+)+$|x/", "/(a|a)*(a|a)*z$/", "/(.*)(.*)(.*)(.*)=/"])
def test_an_expression_with_very_many_ways_hangs_nothing(text: str) -> None:
    """Python would take years for such an address; the keys after it are handled."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste(text)
        await stage.sees("0 accounts")
        await stage.press("escape")
        await stage.until(lambda: len(stage.order) == 300, "shows all again")

    play(scene, rows=[AccountRow(f"{'a' * 230}{number}@example.org", 100, 50) for number in range(300)])


def test_or_and_expressions() -> None:
    """The language of ``list``; half a word keeps the last good result."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("/^[ab]@/|unlimited")
        await stage.sees("3 accounts")
        await stage.type("|")
        await stage.sees("like over|near")
        assert stage.order == ["a@example.org", "b@example.org", "e@example.net"]
        await stage.type("/^c")
        await stage.sees("needs a / at its end")
        await stage.type("/")
        await stage.sees("4 accounts")

    play(scene, rows=FIVE)


def test_filters_of_before_come_back_by_up() -> None:
    """Down goes to the newer one, then to what was typed, then to the table; each that was kept is there once."""

    async def scene(stage: Stage) -> None:
        for text in ("net", "org", ">75%", "net"):
            await stage.press("slash")
            await stage.paste(text)
            await stage.press("enter")
        assert stage.app.desk.memory.kept.filters == ("net", ">75%", "org")
        await stage.press("slash")  # with the present filter, which is the last one
        await stage.press("up")
        await stage.sees("/ >75%", "2 accounts")
        await stage.press("up", "up", "up")
        await stage.sees("/ org")
        await stage.press("down", "down", "down")
        await stage.press("ctrl+u")
        await stage.paste("exam")
        await stage.sees("5 accounts")
        await stage.press("up")
        await stage.sees("/ net", "3 accounts")
        await stage.press("down")
        await stage.sees("/ exam", "5 accounts")
        await stage.press("down")
        assert isinstance(stage.app.focused, AccountTable)

    play(scene, rows=FIVE)


def test_a_filter_is_kept_under_a_letter() -> None:
    """``F`` and the letter; ``'`` and the letter bring it back. Without a filter F forgets one."""

    async def scene(stage: Stage) -> None:
        await stage.press("F")
        await stage.sees("There is no filter to keep")
        await stage.press("apostrophe")
        await stage.sees("No filter is kept yet")
        await stage.press("slash")
        await stage.paste("over|near")
        await stage.press("enter", "F")
        await stage.sees("Keep the filter", "None yet.")
        await stage.press("j")
        await stage.sees("The filter is kept: ' j")
        await stage.press("escape")
        await stage.until(lambda: len(stage.order) == 5, "shows all")
        await stage.press("apostrophe")
        await stage.sees("j  over|near", "Press the letter")
        await stage.press("x")
        await stage.sees("There is no filter under x.")
        await stage.press("j")
        await stage.sees("/ over|near", "2 of 5")
        await stage.press("escape", "F")
        await stage.sees("Forget a filter")
        await stage.press("escape")
        await stage.loses("Forget a filter")
        await stage.press("F", "j")
        await stage.sees("Forgot the filter of j")
        assert not stage.app.desk.memory.kept.saved

    play(scene, rows=FIVE)


def test_a_kept_filter_of_another_version_is_told() -> None:
    """It changes nothing."""

    async def scene(stage: Stage) -> None:
        stage.app.desk.memory.keep(saved={"a": "waits>3"})
        await stage.press("apostrophe", "a")
        await stage.sees("'waits>3' compares nothing known")
        assert len(stage.order) == 5

    play(scene, rows=FIVE)


def test_half_pages_and_the_next_match() -> None:
    """As in vi and less: Ctrl+D and Ctrl+U, n and N; in the help, too."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste("example")
        await stage.press("enter")
        whole = stage.home.pane.table.size.height - 1
        await stage.press("ctrl+d")
        assert stage.order.index(stage.row.address) == whole // 2
        await stage.press("n", "n", "N")
        assert stage.order.index(stage.row.address) == whole // 2 + 1
        await stage.press("ctrl+u", "N")
        assert stage.order.index(stage.row.address) == 0
        await stage.press("question_mark")
        await stage.sees("Help")
        before = stage.text()
        await stage.press("ctrl+d")
        await stage.until(lambda: stage.text() != before, "scrolls")
        await stage.press("ctrl+u")
        await stage.until(lambda: stage.text() == before, "scrolls back")

    play(scene, rows=300)


@pytest.mark.parametrize("key", ["2", "3", "4", "5", "6"])
def test_the_other_screens_remember_their_filters_too(key: str) -> None:
    """Each its own: by Up, and by ``F`` and ``'`` with a letter."""

    async def scene(stage: Stage) -> None:
        await stage.press(key)
        for text in ("example", "!nobody"):
            await stage.press("slash", "ctrl+u")
            await stage.paste(text)
            await stage.press("enter")
        name = str(stage.app.screen.title).lower()
        assert stage.app.desk.memory.kept.past == {name: ("!nobody", "example")}
        await stage.press("slash", "up")
        await stage.sees("/ example")
        await stage.press("enter", "F", "j")
        await stage.sees("The filter is kept: ' j brings it back")
        await stage.press("escape")
        await stage.loses("/ example")
        await stage.press("apostrophe")
        await stage.sees("j  example", "Press the letter")
        await stage.press("j")
        await stage.sees("/ example")
        assert stage.app.desk.memory.kept.letters == {name: {"j": "example"}}
        other = "3" if key == "2" else "2"
        await stage.press(other, "apostrophe")
        await stage.sees("No filter is kept yet")
        assert stage.app.desk.memory.kept.filters == ()

    play(scene, rows=FIVE, examine=past.findings)
