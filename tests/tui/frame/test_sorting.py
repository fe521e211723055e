"""Sorting is the same on every screen: by keys, by a click on a title, by a menu; a feed says if it is not by time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailquota.tui.frame.sort_menu import SortMenu
from mailquota.tui.widgets.choices import Choices
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play

FEEDS = [("3", "Client"), ("4", "Account"), ("5", "Account")]


def prepare(engine: FakeEngine) -> None:
    """Something in each list."""
    engine.journal, engine.warnings = past.journal(world.NOW), past.warnings(world.NOW)
    rng, rows = random.Random(1), list(engine.rows.values())
    engine.backlog = [world.decision(rng, rows, world.NOW - number) for number in range(40, 0, -1)]


def shown(stage: Stage) -> list[Any]:
    """The rows from the top."""
    sheet = stage.app.screen.sheet()  # type: ignore[attr-defined]
    return list(sheet.rows)


async def choose(stage: Stage, title: str) -> None:
    """In the menu."""
    await stage.press("o")
    menu = stage.app.screen
    assert isinstance(menu, SortMenu)
    titles = [column.title for column in menu._columns]
    steps = titles.index(title) - menu.query_one(Choices)._chosen
    await stage.press(*["down" if steps > 0 else "up"] * abs(steps))
    await stage.press("enter")


@pytest.mark.parametrize(("key", "title"), FEEDS)
def test_a_feed_says_that_it_is_not_by_time(key: str, title: str) -> None:
    """By a text from A to Z, the other way round, and by time again."""

    async def scene(stage: Stage) -> None:
        await stage.press(key)
        await stage.until(lambda: shown(stage), "has rows")
        given = shown(stage)
        screen: Any = stage.app.screen
        menu = [column.title for column in screen.columns]
        await stage.press("home")
        while screen.order.column.title != title:
            await stage.press("greater_than_sign")
        await stage.sees(f"by {title}, not by time")
        column = screen.order.column
        known = [value for value in map(column.sort, shown(stage)) if value is not None]
        assert known == sorted(known)
        assert shown(stage) != given
        await stage.press("I")
        assert [value for value in map(column.sort, shown(stage)) if value is not None] == sorted(known, reverse=True)
        assert title in menu
        while not screen.order.given:
            await stage.press("less_than_sign")
        await stage.loses("not by time")
        assert shown(stage) == given
        await stage.press("I")
        await stage.sees("oldest first")
        assert shown(stage) == given[::-1]

    play(scene, prepare=prepare, size=(200, 50))


def test_new_decisions_are_sorted_in() -> None:
    """The cursor stays on its decision."""

    async def scene(stage: Stage) -> None:
        await stage.press("3", "less_than_sign", "down", "down")  # by the time that each took
        screen: Any = stage.app.screen
        await stage.sees("by Took, not by time")
        under = screen.table.row
        rng = random.Random(7)
        new = [world.decision(rng, list(stage.engine.rows.values()), world.NOW + number) for number in range(20)]
        stage.engine.decide(*new)
        await stage.until(lambda: len(screen.feed) == 60, "takes them")
        took = [row.micros for row in shown(stage)]
        assert took == sorted(took, reverse=True)
        assert screen.table.row == under

    play(scene, prepare=prepare, size=(200, 50))


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_the_menu_has_the_columns_that_are_not_on_the_screen(size: tuple[int, int]) -> None:
    """As many as a low terminal has lines for; the same column again turns the order round."""

    async def scene(stage: Stage) -> None:
        await choose(stage, "Msgs")
        wanted = stage.home.pane.accounts.wanted
        assert (wanted.column.title, wanted.inverted) == ("Msgs", False)
        counts = [stage.home.pane.accounts.rows[address].messages or 0 for address in stage.order]
        assert counts == sorted(counts, reverse=True)
        await stage.press("o")
        await stage.sees("now; again turns it round")
        assert "Esc" in stage.text()
        await stage.press("enter")
        assert stage.home.pane.accounts.wanted.inverted

    play(scene, size=size)


def test_doctor_and_domains_sort_too() -> None:
    """By the name of the check; by a name, in which case does not matter."""

    async def scene(stage: Stage) -> None:
        await stage.press("6")
        await stage.until(lambda: shown(stage), "has checks")
        await choose(stage, "Check")
        names = [finding.check for finding in shown(stage)]
        assert names == sorted(names)
        await stage.press("2")
        await choose(stage, "Domain")
        assert [domain.name for domain in shown(stage)] == sorted(domain.name for domain in shown(stage))
        assert "not by time" not in stage.text()

    play(scene, examine=past.findings)
