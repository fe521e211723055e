"""The page of a folder: its lines at every width, its faces, and its keys."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from mailquota.core.control.contents import FolderContents
from mailquota.core.control.messages import GetDetails, GetFolder
from mailquota.tui.card.folder_page import FolderPage
from mailquota.tui.card.folder_screen import FolderScreen
from mailquota.tui.card.screen import CardScreen
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.glyphs import ASCII, UNICODE
from mailquota.tui.draw.grid import Context
from tests.tui import past, world
from tests.tui.fake_engine import FakeEngine
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE

JANE = msgspec.structs.replace(past.JOHN, trash_bytes=0, trash_messages=0)  # so INBOX is her largest folder
CONTEXT = Context(world.NOW, UNICODE)
PAGE = FolderPage(past.JOHN, "INBOX", past.contents(past.JOHN, "INBOX"))
EMPTY = FolderContents(past.JOHN.address, "Empty", 0, 0, None, None, [], [], [])


def text(page: FolderPage, width: int = 120, context: Context = CONTEXT) -> str:
    """The page as one text."""
    return "\n".join("".join(part for part, _look in line) for line in page.lines(width, context))


@pytest.mark.parametrize("width", [38, 60, 79, 100, 119, 199])
@pytest.mark.parametrize("page", [PAGE, replace(PAGE, contents=EMPTY), replace(PAGE, contents=None, error="x" * 30)])
def test_every_width(page: FolderPage, width: int) -> None:
    """No line is too long, and ASCII stays ASCII."""
    for line in page.lines(width, CONTEXT):
        assert fmt.width_of(line) <= max(width, 46)
    assert text(page, width, Context(world.NOW, ASCII)).isascii()


def test_what_it_says() -> None:
    """Sums, years, the largest; and that they are a part, where they are."""
    shown = text(PAGE)
    for words in ("of the mailbox)", "oldest 2021-", "Received", "last 30 days", "By year", "2026", "Largest messages"):
        assert words in shown
    assert "a part of it" not in shown
    contents = PAGE.contents
    assert contents is not None
    part = msgspec.structs.replace(contents, complete=False, method="doveadm")
    shown = text(replace(PAGE, contents=part))
    assert "a part of it" in shown
    assert "of the mailbox" not in shown
    assert "told by doveadm" in shown
    assert text(replace(PAGE, contents=EMPTY)).count(" none") == 2


def test_as_text() -> None:
    """One column, without rules and colours, for a ticket."""
    copied = PAGE.text(CONTEXT)
    assert copied.startswith("john@example.org  INBOX\nAs of ")
    assert "─ " not in copied.replace("━", "─").split("Largest")[1]
    assert "Largest messages" in copied


def asked(stage: Stage) -> list[str]:
    """The folders that the engine was asked for."""
    return [order.folder for order in stage.engine.orders if isinstance(order, GetFolder)]


def test_the_keys_of_the_card_and_of_the_page() -> None:
    """Arrows choose a folder, Enter opens it, brackets lead to the neighbours, Esc to the card with the last one."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("▸INBOX")
        await stage.press("down")
        await stage.sees("▸Archive")
        await stage.press("down")
        await stage.sees("▸├ 2025")
        await stage.press("up", "enter")
        await stage.sees("› Archive ─", "By year")
        await stage.press("right_square_bracket")
        await stage.sees("› Archive/2025 ─")
        await stage.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await stage.sees("› INBOX ─", "No folder is beyond it on the card")
        await stage.press("right_square_bracket")
        await stage.press("r")
        await stage.sees("› Archive ─", "Looking through the folder again")
        await stage.until(lambda: asked(stage)[-1] == "Archive", "asks again")
        await stage.press("escape")
        await stage.sees("▸Archive")
        assert isinstance(stage.app.screen, CardScreen)
        await stage.press("escape")
        await stage.sees("─ Accounts ")

    play(scene, rows=[JANE], size=(120, 50), prepare=remember)


def test_the_mouse_chooses_and_opens() -> None:
    """A click on a folder; a double click."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("▸INBOX")
        line = next(number for number, words in enumerate(stage.lines()) if words.startswith(" Sent "))
        await stage.pilot.click(offset=(3, line))
        await stage.sees("▸Sent")
        await stage.pilot.click(offset=(3, line), times=2)
        await stage.sees("› Sent ─")

    play(scene, rows=[JANE], size=(120, 50), prepare=remember)


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50)])
def test_the_way_down_is_the_first_key_of_the_foot(size: tuple[int, int]) -> None:
    """It changes nothing, and on a narrow terminal other keys go before it."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("⏎ Folder")
        assert stage.lines()[-1].startswith(" ⏎ Folder ")

    play(scene, rows=[JANE], size=size, prepare=remember)


def test_on_a_low_terminal_the_card_scrolls_to_its_folders() -> None:
    """First the lines above them go by, then the folders one by one, then what is below."""

    async def scene(stage: Stage) -> None:
        await stage.press("enter")
        await stage.sees("90 days")
        screen = stage.app.screen
        assert isinstance(screen, CardScreen)
        await stage.until(lambda: screen._card.details is not None, "has details")
        seen = []
        for _ in range(40):
            await stage.press("down")
            seen.append(screen._card.chosen)
        assert list(dict.fromkeys([screen._names[0], *seen])) == [name for name in screen._names if name]
        for _ in range(60):
            await stage.press("up")
        assert screen._card.chosen == screen._names[0]
        assert screen._text.scroll_offset.y == 0

    play(scene, rows=[JANE], size=(80, 24), prepare=remember)


def remember(engine: FakeEngine) -> None:
    """A plot stands above the folders."""
    engine.remembers = True


def test_its_faces() -> None:
    """Loading, failed, lost, and back with an engine that is there again."""

    async def scene(stage: Stage) -> None:
        stage.engine.failing[GetFolder] = "INBOX can't be looked through: no answer within 30 s"
        await stage.press("enter")
        await stage.sees("▸INBOX")
        await stage.press("enter")
        await stage.sees("no answer within 30 s", "r looks again")
        stage.engine.failing.clear()
        stage.engine.holding = GetFolder
        stage.engine.held.clear()
        await stage.press("right_square_bracket")
        await stage.sees("Looking through the folder …", "› Archive ─")
        stage.engine.holding = ()
        stage.engine.held.set()
        await stage.sees("By year")
        stage.engine.drop()
        await stage.sees("as of ", "By year")
        screen = stage.app.screen
        assert isinstance(screen, FolderScreen)
        await stage.until(lambda: screen.desk.session.state.value == "live", "is back")
        stage.engine.failing[GetFolder] = "no"
        await stage.press("r")
        await stage.sees("By year", " no")

    play(scene, rows=[JANE], size=(120, 50), prepare=remember)


def test_no_folder_to_open() -> None:
    """Where none is known yet, Enter says so."""

    async def scene(stage: Stage) -> None:
        stage.engine.holding = GetDetails
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, CardScreen), "card")
        screen = stage.app.screen
        assert isinstance(screen, CardScreen)
        screen._names, screen._card = [], replace(screen._card, chosen="", details=None)
        await stage.press("enter")
        await stage.sees("The folders are not known yet")

    play(scene, rows=FIVE)
