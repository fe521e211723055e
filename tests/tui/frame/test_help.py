"""Help and palette: made from the same bindings as the foot."""

from __future__ import annotations

import pytest

from mailquota.core.base import filters
from mailquota.tui.desk.account_columns import COLUMNS
from mailquota.tui.frame.help import help_lines
from tests.tui.stage import Stage, play
from tests.tui.world import FIVE


def names(stage: Stage) -> set[str]:
    """What the palette offers."""
    return {command.title for command in stage.app.get_system_commands(stage.home)}


def test_help_names_every_key_the_filter_language_and_the_signs() -> None:
    """Nothing that works is missing, and nothing that does not is there."""

    async def scene(stage: Stage) -> None:
        text = "\n".join("".join(run for run, _look in line) for line in help_lines(stage.home, stage.home.desk.glyphs))
        for active in stage.home.active_bindings.values():
            assert not active.binding.tooltip or active.binding.tooltip in text
        for form, meaning in filters.DOCS:
            assert form in text
            assert meaning in text
        for words in ("e  ", "Space", "PgDn", ">  F6", "^p", "q  ^c", "■ over", "? unknown", "used+1G"):
            assert words in text

    play(scene, rows=FIVE)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_is_whole_at_every_width(columns: int) -> None:
    """No form touches its meaning, and long meanings go on below themselves."""

    async def scene(stage: Stage) -> None:
        await stage.press("question_mark")
        seen = [line.rstrip() for line in stage.lines()[1:-1]]
        text = " ".join(" ".join(seen).split())
        for form, meaning in filters.DOCS:
            words = meaning.split()
            line = next(line for line in seen if line.lstrip().startswith(f"{form}  "))
            at = line.index(words[0], line.index(form) + len(form) + 2)
            assert [word for word in words if word not in text] == []
            if len(meaning) > columns - at:
                below = seen[seen.index(line) + 1]
                assert len(below) - len(below.lstrip()) == at

    play(scene, rows=FIVE, size=(columns, 200))


@pytest.mark.parametrize("key", ["escape", "q", "question_mark", "1"])
def test_help_opens_scrolls_and_goes_back(key: str) -> None:
    """At 80x24 it is longer than the screen."""

    async def scene(stage: Stage) -> None:
        await stage.press("question_mark")
        await stage.sees("Help", "edit the limit", "Esc Back")
        await stage.loses("used+1G")
        await stage.press("end")
        await stage.sees("set [ADDRESS...] SIZE [until DATE] [REASON]")
        await stage.press("pageup")
        await stage.sees("used+1G")
        await stage.press(*["j"] * 8)
        await stage.sees("not measured yet")
        await stage.press(key)
        await stage.sees("a@example.org")
        assert stage.app.is_running

    play(scene, rows=FIVE, size=(80, 24))


def test_the_palette_has_every_action_by_name() -> None:
    """Those of the screen, the columns, the themes."""

    async def scene(stage: Stage) -> None:
        wanted = {
            "Edit limit",
            "Recalculate",
            "Empty Trash",
            "Card",
            "Warn",
            "Undo",
            "Filter",
            "Mark all",
            "Copy",
            "Help",
            "Quit",
        }
        wanted |= {f"Sort by {column.title}" for column in COLUMNS} | {"Theme light"}
        assert wanted <= names(stage)

    play(scene, rows=FIVE)


def test_the_palette_of_those_who_may_only_look() -> None:
    """What they may not do says so; without themes where there are no colours."""

    async def scene(stage: Stage) -> None:
        assert names(stage) & {"Edit limit", "Theme light"} == {"Edit limit"}

    play(scene, rows=FIVE, read_only=True, no_color=True)


def test_the_palette_finds_and_does() -> None:
    """Typed in part, chosen by Enter."""

    async def scene(stage: Stage) -> None:
        await stage.press("ctrl+p")
        await stage.paste("sort by limit")
        await stage.sees("Sort by Limit")
        await stage.pilot.pause(0.3)
        await stage.press("enter")
        await stage.sees("Limit ▼")

    play(scene, rows=FIVE)


def test_there_is_no_palette_over_a_dialog() -> None:
    """Its actions are not for there."""

    async def scene(stage: Stage) -> None:
        await stage.press("e", "ctrl+p")
        assert len(stage.app.screen_stack) == 2

    play(scene, rows=FIVE)


def test_the_foot_shows_the_keys_of_the_moment() -> None:
    """Those of the table, then those of the filter line."""

    async def scene(stage: Stage) -> None:
        await stage.sees("e Edit limit", "⏎ Card", "? Help", "q Quit")
        await stage.press("slash")
        await stage.sees("⏎ Keep", "Esc Clear")
        await stage.loses("Edit limit", "< > Sort", "q Quit")

    play(scene, rows=FIVE, size=(200, 40))


def test_the_foot_keeps_the_keys_that_are_wanted_most() -> None:
    """At 80 columns, too: what acts on accounts; with marks also how to be rid of them."""

    async def scene(stage: Stage) -> None:
        always = ("e Limit", "t Trash", "r Recount", "? Help", "q Quit")
        await stage.sees(*always, "⏎ Card", "/ Filter", "Space Mark")
        assert "Unmark" not in stage.lines()[-1]
        await stage.press("asterisk")
        await stage.sees("1,204 marked", *always, "u Unmark")
        await stage.press("u")
        await stage.loses("u Unmark")
        await stage.pilot.resize_terminal(40, 10)
        await stage.until(lambda: len(stage.lines()[-1]) == 40, "resized")
        await stage.sees("e Limit", "? Help", "q Quit")

    play(scene, rows=1204, size=(80, 24))


def test_copying_an_address() -> None:
    """By the terminal's clipboard."""

    async def scene(stage: Stage) -> None:
        await stage.press("j", "y")
        await stage.sees("b@example.org: sent to the terminal's clipboard; Y shows it")
        assert stage.app.clipboard == "b@example.org"

    play(scene, rows=FIVE)
