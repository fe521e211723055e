"""The filter line."""

from __future__ import annotations

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
        await stage.sees("No account matches nobody", "Esc clears the filter")
        await stage.press("escape")
        await stage.sees("a@example.org")

    play(scene, rows=FIVE)
