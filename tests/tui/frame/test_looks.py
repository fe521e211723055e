"""Sizes, themes, terminals without colours or Unicode, and text from outside."""

from __future__ import annotations

import pytest
from textual.color import Color

from mailquota.core.base.model import AccountRow
from mailquota.core.control.results import DecisionRow
from tests.tui import world
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE, MIB


@pytest.mark.parametrize("size", [(80, 24), (120, 32), (200, 50), (40, 10), (20, 5), (1, 1)])
def test_every_size_shows_something_and_nothing_breaks(size: tuple[int, int]) -> None:
    """The screen has exactly the terminal's cells; from 40 columns on the worst account is there."""

    async def scene(stage: Stage) -> None:
        lines = stage.lines()
        assert len(lines) == size[1]
        assert {len(line) for line in lines} == {size[0]}
        if size[0] >= 40:
            assert stage.order[0][:15] in stage.text()
            assert "ENFORCING" in stage.text()
            assert "q Quit" in stage.text()
        if size[0] >= 80:
            assert " Accounts " in stage.text()
            assert "Decisions" in stage.text()
            assert "maildirsize" in stage.text() or "scan" in stage.text()

    play(scene, size=size)


def test_a_terminal_that_is_resized_is_drawn_anew() -> None:
    """Down to 40x10 and back."""

    async def scene(stage: Stage) -> None:
        for size in ((40, 10), (200, 50), (80, 24)):
            await stage.pilot.resize_terminal(*size)
            width = size[0]
            await stage.until(lambda: {len(line) for line in stage.lines()} == {width}, "resized")  # noqa: B023
            await stage.sees("ENFORCING", stage.order[0][:15])

    play(scene)


def test_text_from_outside_is_shown_literally() -> None:
    """Control characters are visible, markup is text, in the table, the head and the decisions."""
    evil = "\x1b[31mx\x07@[red]example[/].org"

    async def scene(stage: Stage) -> None:
        await stage.sees("␛[31mx␇@[red]example[/].org")
        stage.engine.decide(DecisionRow(world.NOW, "accept", evil, evil, "[blink]\x9b@x", "h\x00lo", 1, 1))
        await stage.sees("[blink]·@x  ", "→ ␛[31mx␇@[red]example[/].org")
        assert not {char for line in stage.lines() for char in line if ord(char) < 32 or 127 <= ord(char) < 160}
        await stage.press("e")
        await stage.sees("Edit limit")
        assert "\x1b" not in stage.text()

    play(scene, rows=[AccountRow(evil, MIB, MIB)], size=(160, 32))


@pytest.mark.parametrize("size", [(80, 17), (40, 10)])
@pytest.mark.parametrize(
    ("key", "name"),
    [("e", "Edit limit"), ("t", "Empty Trash"), ("r", "Recalculate"), ("w", "Warn"), ("U", "Undo"), ("q", "Quit")],
)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_dialogs_keep_their_name_on_low_terminals(size: tuple[int, int], key: str, name: str, ascii_only: bool) -> None:
    """It stands in the line above them, and the way out below."""

    async def scene(stage: Stage) -> None:
        await stage.press(key)
        await stage.until(lambda: any(_is_rule(line, name) for line in stage.lines()), f"sees {name}")
        await stage.until(lambda: any(key in stage.text() for key in ("Esc ", " Close")), "the way out")

    play(scene, rows=FIVE, size=size, ascii_only=ascii_only)


def _is_rule(line: str, name: str) -> bool:
    """The name, and nothing but the line beside it."""
    return line.strip(" ─-+").strip() == name and line.strip()[-1] in "─-+"


def test_low_terminals_have_no_decisions() -> None:
    """The accounts need the room."""

    async def scene(stage: Stage) -> None:
        assert "─ Decisions" not in stage.text()
        assert stage.order[5] in stage.text()

    play(scene, size=(80, 16))


@pytest.mark.parametrize("theme", ["dark", "light", "terminal"])
def test_themes(theme: str) -> None:
    """All draw the same text."""

    async def scene(stage: Stage) -> None:
        while stage.app.theme != theme:
            await stage.press("T")
        await stage.sees("a@example.org", "90 %", "near", "ENFORCING")

    play(scene, rows=FIVE)


def contrast(one: Color, other: Color) -> float:
    """As WCAG counts it."""
    dark, light = sorted(_luminance(color) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_quiet_text_can_be_read_on_the_cursors_row(theme: str) -> None:
    """Which is no ground as dark, or as light, as the screen's."""

    async def scene(stage: Stage) -> None:
        while stage.app.theme != theme:
            await stage.press("T")
        await stage.until(lambda: len(_colours(stage, "100 MiB")) == 4, "all rows are drawn")
        for front, ground in _colours(stage, "100 MiB"):
            assert contrast(front, ground) >= 4.5

    play(scene, rows=FIVE)


def _colours(stage: Stage, words: str) -> list[tuple[Color, Color]]:
    """In which colours these words stand, and on which."""
    segments = (segment for strip in stage.app.screen._compositor.render_strips() for segment in strip)
    styles = [segment.style for segment in segments if words in segment.text]
    return [
        (Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor))
        for style in styles
        if style is not None
    ]


def test_without_colours_everything_is_told_by_signs_and_words() -> None:
    """No colour is sent, the cursor is reversed, and there is no theme to change to."""

    async def scene(stage: Stage) -> None:
        await stage.press("T")
        await stage.sees("△ a@example.org", "near", "━╸─")
        for strip in stage.app.screen._compositor.render_strips():
            for segment in strip:
                assert segment.style is None or not segment.style.color or segment.style.color.is_default
                assert segment.style is None or not segment.style.bgcolor or segment.style.bgcolor.is_default

    play(scene, rows=FIVE, no_color=True)


def test_the_chosen_entry_of_the_palette_is_seen_without_colours() -> None:
    """It is underlined, and Down goes on to the next."""

    def chosen(stage: Stage) -> str:
        strips = stage.app.screen._compositor.render_strips()
        return " ".join(part.text.strip() for strip in strips for part in strip if part.style and part.style.underline)

    async def scene(stage: Stage) -> None:
        await stage.press("ctrl+p")
        await stage.until(lambda: "Card" in chosen(stage), "the first is chosen")
        await stage.press("down")
        await stage.until(lambda: "Clear filter" in chosen(stage), "the second is chosen")
        assert "Card" not in chosen(stage)

    play(scene, rows=FIVE, no_color=True)


@pytest.mark.parametrize(
    "keys", [(), ("e",), ("t",), ("w",), ("U",), ("q",), ("question_mark",), ("slash", "x"), ("ctrl+p",), ("enter",)]
)
def test_ascii_terminals_get_nothing_but_ascii(keys: tuple[str, ...]) -> None:
    """On every screen and in every dialog."""

    async def scene(stage: Stage) -> None:
        await stage.press(*keys)
        await stage.pilot.pause(0.2)
        assert stage.text().isascii(), [line for line in stage.lines() if not line.isascii()]

    play(scene, ascii_only=True, no_color=True)
