"""The themes as colours, and which one the console starts with."""

from __future__ import annotations

from itertools import product

import pytest
from textual.color import Color
from textual.theme import Theme

from mailquota.core.base.model import AccountRow
from mailquota.core.settings.config import keys, sections
from mailquota.tui.frame import theme as themes
from tests.tui.stage import Stage, play
from tests.tui.world import MIB

TEXTS = ("quiet", "over", "critical", "near", "ok")
COLOURED = [theme for theme in themes.THEMES if not theme.ansi]


def colours(theme: Theme) -> dict[str, Color]:
    """All that it names."""
    named = {name: getattr(theme, name) for name in ("primary", "accent", "warning", "error", "success", "foreground")}
    return {name: Color.parse(value) for name, value in {**named, **theme.variables}.items()}


def contrast(one: Color, other: Color) -> float:
    """By WCAG 2, 1.4.3."""

    def luminance(colour: Color) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", themes.THEMES, ids=lambda theme: theme.name)
def test_every_theme_names_the_same(theme: Theme) -> None:
    """A look that a theme forgets would be drawn in a colour of another one."""
    assert themes.DARK.variables.keys() <= theme.variables.keys()


@pytest.mark.parametrize("theme", COLOURED, ids=lambda theme: theme.name)
def test_texts_can_be_read(theme: Theme) -> None:
    """On the background and on the cursor's row; in the theme for poor sight, by the stricter rule (WCAG 1.4.6)."""
    found = colours(theme)
    row, least = Color.parse(theme.variables["row"]), 7.0 if theme is themes.CONTRAST else 4.5
    behind = Color.parse(theme.background or "")
    for name in (*TEXTS, "foreground", "accent"):
        assert contrast(behind, found[name]) >= least, name
    for name in ("quiet-on-row", "foreground"):
        assert contrast(row, found[name]) >= least, name
    for name in ("over", "critical", "near"):
        assert contrast(row, found[name]) >= least - 1.5, name


def test_mono_has_only_shades() -> None:
    """No colour at all."""
    assert {(c.r == c.g == c.b) for c in colours(themes.MONO).values()} == {True}


def test_blue_orange_has_no_red_beside_green() -> None:
    """No colour whose blue is between the others', which red and green are mixed from alone; orange and blue only."""
    for name, colour in colours(themes.BLUE_ORANGE).items():
        assert colour.r > colour.g > colour.b or colour.b > colour.g > colour.r, name


def test_the_settings_name_all_themes() -> None:
    """And auto."""
    meaning = keys(sections()["console"])["theme"].description or ""
    assert [word.split()[0] for word in meaning.split(";")[0].split(" | ")] == ["auto", *themes.NAMES]


@pytest.mark.parametrize(
    ("wanted", "background", "many", "name"),
    [
        ("auto", "", True, "dark"),
        ("auto", "15;0", True, "dark"),
        ("auto", "0;15", True, "light"),
        ("auto", "0;default;7", True, "light"),
        ("mono", "0;15", True, "mono"),
        ("no such theme", "", True, "dark"),
        ("contrast", "", False, "terminal"),
    ],
)
def test_at_start(wanted: str, background: str, many: bool, name: str) -> None:
    """What is wanted, where there are colours for it."""
    assert themes.at_start(wanted, {"COLORFGBG": background}, colours=many) == name


def test_all_themes_by_one_key() -> None:
    """Each says its name, and is remembered."""

    async def scene(stage: Stage) -> None:
        shown = []
        for _ in range(len(themes.THEMES)):
            await stage.press("T")
            shown.append(stage.app.theme)
            await stage.sees(f"Theme: {stage.app.theme}")
            assert stage.app.desk.memory.kept.theme == stage.app.theme
        assert shown == [*themes.NAMES[1:], themes.NAMES[0]]

    play(scene)


def test_with_no_colours_there_is_no_theme_to_choose() -> None:
    """And nothing is remembered."""

    async def scene(stage: Stage) -> None:
        await stage.press("T")
        assert stage.app.theme == "terminal"
        assert not stage.app.desk.memory.kept.theme

    play(scene, no_color=True, theme="mono")


@pytest.mark.parametrize(("theme", "look"), list(product(["mono", "blue-orange", "contrast"], ["over", "quiet"])))
def test_a_theme_is_drawn_in_its_colours(theme: str, look: str) -> None:
    """Also as the first one."""

    async def scene(stage: Stage) -> None:
        style = stage.home.get_component_rich_style(look, partial=True)
        wanted = next(each for each in themes.THEMES if each.name == theme).variables[look]
        assert style.color is not None
        assert style.color.name == wanted

    play(scene, theme=theme)


def test_another_theme_is_drawn_at_once() -> None:
    """The screen changes its styles, and all that is drawn in them follows."""
    row = AccountRow("full@example.org", 100 * MIB, 120 * MIB, 900, 0, 0)

    async def scene(stage: Stage) -> None:
        for _ in COLOURED:
            stage.app.use_theme(themes.after(stage.app.theme))
            if stage.app.theme != "terminal":
                await stage.until(lambda: _over(stage) in _colours(stage), f"draws {stage.app.theme}")

    play(scene, rows=[row], theme="mono")


def _over(stage: Stage) -> str:
    """The present theme's colour of an account over its limit."""
    return next(each for each in themes.THEMES if each.name == stage.app.theme).variables["over"]


def _colours(stage: Stage) -> set[str]:
    """The colours of the text on the screen."""
    strips = stage.app.screen._compositor.render_strips()
    styles = (segment.style for strip in strips for segment in strip)
    return {style.color.name for style in styles if style and style.color}
