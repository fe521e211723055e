"""Down and back: each step has its name in the trail, and Esc leads to the step before, on the line that one left."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.tui.card.folder_screen import FolderScreen
from mailquota.tui.card.screen import CardScreen
from mailquota.tui.desk import captions
from mailquota.tui.desk.desk import LiveScreen
from mailquota.tui.domains.screen import DomainsScreen
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from mailquota.tui.frame.list_screen import ListScreen
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import MIB

LONG = ("Domains", "example.org", "john.the.very.long@subdomain.example.org", "Archive/2025/Customers")


def remember(engine: FakeEngine) -> None:
    """A past, with decisions."""
    engine.remembers = True
    engine.journal, engine.warnings = past.journal(), past.warnings()
    rng, rows = random.Random(1), list(engine.rows.values())
    engine.backlog = [world.decision(rng, rows, world.NOW - 60 + number) for number in range(60)]


def place(table: Any) -> tuple[object, int, int]:
    """The row of a table, its line, and the first line that is shown."""
    return table.row, table.index, round(table.scroll_offset.y)


def trail(stage: Stage) -> tuple[str, ...]:
    """Of the screen that is shown."""
    screen = stage.app.screen
    assert isinstance(screen, LiveScreen)
    return screen.trail


async def come_to(stage: Stage, kind: type[Any]) -> None:
    """Wait for a screen."""
    await stage.until(lambda: isinstance(stage.app.screen, kind), kind.__name__)


def test_down_to_a_folder_and_back() -> None:
    """Domains, accounts, card, folder: four steps down, and four times Esc."""

    async def scene(stage: Stage) -> None:
        await stage.press("2", "slash")
        await stage.paste("example")
        await stage.press("enter", "less_than_sign", "j")
        domains = stage.app.screen
        assert isinstance(domains, DomainsScreen)
        before = place(domains.table), domains.filtered, domains.order
        domain = domains.table.row
        assert domain is not None
        await stage.press("enter")
        await stage.sees(f"─ Domains › {domain.name} ─")
        await stage.press("j", "j")
        accounts = place(stage.home.pane.table)
        address = stage.row.address
        await stage.press("enter")
        await stage.sees(f"─ Domains › {domain.name} › {address} ─", "▸")
        card = stage.app.screen
        assert isinstance(card, CardScreen)
        await stage.press("down")
        folder = card._card.chosen
        assert folder == card._names[1]
        await stage.press("enter")
        await stage.sees(f"─ Domains › {domain.name} › {address} › {folder} ─", "Largest messages")
        assert trail(stage) == ("Domains", domain.name, address, folder)
        await stage.press("escape")
        await stage.sees(f"─ Domains › {domain.name} › {address} ─", f"▸{folder}")
        await stage.press("escape")
        await stage.sees(f"─ Domains › {domain.name} ─")
        assert place(stage.home.pane.table) == accounts
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is domains, "domains")
        assert (place(domains.table), domains.filtered, domains.order) == before
        await stage.press("escape")
        await stage.loses("/ example")
        assert stage.app.screen is domains

    play(scene, prepare=remember, size=(130, 50))


def test_the_accounts_are_where_they_were() -> None:
    """Cursor, first line, filter and order, as before one came from Domains and went back."""

    async def scene(stage: Stage) -> None:
        table = stage.home.pane.table
        await stage.press("slash")
        await stage.paste("example")
        await stage.press("enter", "I", "G", "k", "k")
        before, wanted = place(table), stage.home.pane.accounts.wanted
        assert before[2] > 0
        await stage.press("2", "enter")
        await stage.sees("─ Domains › ")
        await stage.press("j", "escape")
        await stage.sees("of the disk")
        await stage.press("1")
        await stage.sees("─ Accounts / example")
        await stage.until(lambda: place(table) == before, "is where it was")
        assert stage.home.pane.accounts.wanted == wanted

    play(scene, prepare=remember)


def test_accounts_that_nobody_moved_in_stay_first() -> None:
    """The worst are seen, also after one was elsewhere."""

    async def scene(stage: Stage) -> None:
        table = stage.home.pane.table
        await stage.press("2", "enter")
        await stage.sees("─ Domains › ")
        await stage.press("j", "escape", "1")
        await stage.sees("─ Accounts ─")
        await stage.until(lambda: (table.index, table.held) == (0, None), "is unmoved")

    play(scene, prepare=remember)


def test_a_filter_within_a_domain_is_a_step_of_its_own() -> None:
    """Esc takes it away first; another filter than that of the domain leads out of it."""

    async def scene(stage: Stage) -> None:
        await stage.press("2", "enter")
        await stage.sees("─ Domains › ")
        names = trail(stage)
        count = len(stage.order)
        await stage.press("slash", "end", "space", "exclamation_mark", "i", "n", "f", "o", "enter")
        await stage.sees("› " + names[1] + " / !info")
        assert trail(stage) == names
        await stage.press("escape")
        await stage.loses("!info")
        assert (trail(stage), len(stage.order)) == (names, count)
        await stage.press("slash", "escape")
        assert trail(stage) == names
        await stage.press("slash", "ctrl+u")
        await stage.paste("john")
        await stage.press("enter")
        await stage.sees("─ Accounts / john")
        await stage.press("escape")
        await stage.sees("─ Accounts ─")

    play(scene, prepare=remember)


@pytest.mark.parametrize(
    ("mode", "key"), [("3", "a"), ("4", "a"), ("5", "enter")], ids=["decisions", "warnings", "journal"]
)
def test_to_a_card_and_back(mode: str, key: str) -> None:
    """From the lists of what happened: filter, order, line and first line stay."""

    async def scene(stage: Stage) -> None:
        await stage.press(mode)
        screen = stage.app.screen
        assert isinstance(screen, ListScreen)
        await stage.until(lambda: screen.table.count() > 3, "has rows")
        await stage.press("slash")
        await stage.paste("example")
        await stage.press("enter", "o", "enter", "j", "j")
        await stage.until(lambda: screen.table.index == 2, "moved")
        before = place(screen.table), screen.filtered
        await stage.press(key)
        await come_to(stage, CardScreen)
        card = stage.app.screen
        assert isinstance(card, CardScreen)
        assert card.trail == (str(screen.title), card.address)
        await stage.sees(f"─ {screen.title} › {card.address}")
        await stage.press("enter")
        await come_to(stage, FolderScreen)
        await stage.press("escape", "escape")
        await stage.until(lambda: stage.app.screen is screen, "is back")
        assert (place(screen.table), screen.filtered) == before

    peter = AccountRow("peter@example.org", 540 * MIB, 490 * MIB)
    play(scene, rows=[*past.accounts(40), peter], prepare=remember, size=(130, 40))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("room", [10, 20, 30, 50, 80, 200])
def test_a_trail_that_is_too_long_loses_its_first_steps(glyphs: Any, room: int) -> None:
    """The last step is always there, cut where it must be."""
    line = captions.steps(LONG, room, Context(world.NOW, glyphs))
    text = "".join(part for part, _look in line)
    assert fmt.width_of(line) <= room
    assert (text.isascii() or not glyphs.ascii_only) is True
    if room >= 30:
        assert LONG[-1] in text
    if room == 200:
        assert text == f" {f' {glyphs.step} '.join(LONG)} "
    if room == 80:
        assert text.startswith(f" {glyphs.ellipsis} {glyphs.step} {LONG[2]}")


def test_an_address_in_the_trail_is_only_text() -> None:
    """Control characters of a folder's name are shown as such."""
    line = captions.steps(("Accounts", "a@b", "x\x1b[31m\n"), 80, Context(world.NOW, UNICODE))
    assert "\x1b" not in "".join(part for part, _look in line)
