"""From the card to those of the accounts before and after it in the list."""

from __future__ import annotations

from mailquota.core.control.messages import GetDetails
from mailquota.tui.card.page import Card
from mailquota.tui.card.screen import CardScreen
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def asked(stage: Stage) -> list[str]:
    """The addresses whose details the engine was asked for."""
    return [order.address for order in stage.engine.orders if isinstance(order, GetDetails)]


def card(stage: Stage) -> Card:
    """What the card shows."""
    assert isinstance(stage.app.screen, CardScreen)
    return stage.app.screen._card


def test_brackets_lead_to_the_neighbours_and_back_to_the_last_of_them() -> None:
    """In the order of the list; at its ends it is said. Keys act on the account that is shown."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("› a@example.org")
        await stage.press("left_square_bracket")
        await stage.sees("No account is beyond it in the list", "› a@example.org")
        await stage.press("right_square_bracket", "right_square_bracket")
        await stage.sees("› c@example.net")
        await stage.press("left_square_bracket", "e")
        await stage.sees("New limit", "b@example.org")
        await stage.press("escape", "escape")
        await stage.sees("2 Domains")
        await stage.until(lambda: stage.row.address == "b@example.org", "the cursor is on the last one")

    play(scene, rows=FIVE)


def test_details_of_the_account_before_never_come_on_the_card() -> None:
    """They arrive when another account is shown already."""

    async def scene(stage: Stage) -> None:
        stage.engine.holding = GetDetails
        stage.engine.held.clear()
        await stage.press("enter")
        await stage.until(lambda: asked(stage) == ["a@example.org"], "asks for the first")
        await stage.press("right_square_bracket", "right_square_bracket", "right_square_bracket")
        await stage.until(lambda: asked(stage)[-1] == "d@example.net", "asks for the last")
        stage.engine.held.set()
        await stage.until(lambda: card(stage).details is not None, "gets details")
        details = card(stage).details
        assert details is not None
        assert details.row.address == "d@example.net"
        assert card(stage).row.address == "d@example.net"
        await stage.sees("› d@example.net")

    play(scene, rows=FIVE)


def test_an_account_that_the_filter_hides_has_no_neighbours() -> None:
    """Its card was opened before it left the list."""

    async def scene(stage: Stage) -> None:
        await stage.press("slash")
        await stage.paste(">85%")
        await stage.press("enter", "enter")
        await stage.sees("› a@example.org")
        stage.engine.change(stage.engine.rows["a@example.org"].__class__("a@example.org", 100, 10))
        await stage.until(lambda: len(stage.order) == 0, "it left the list")
        await stage.press("right_square_bracket")
        await stage.sees("The list of accounts does not show it")

    play(scene, rows=FIVE)
