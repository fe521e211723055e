"""The first key after a change of screens reaches the screen, and no field."""

from __future__ import annotations

from typing import Any

import pytest
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from mailquota.tui.card.screen import CardScreen
from mailquota.tui.desk.modes import MODES
from mailquota.tui.widgets.filter_line import FilterLine
from tests.tui.stage import Stage, play


def test_no_field_has_the_focus_while_a_screen_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is not hidden yet, as for a moment on a busy machine."""
    focused: list[Widget | None] = []
    given, make = Screen.set_focus, FilterLine.__init__

    def set_focus(screen: Screen[Any], widget: Widget | None, *arguments: Any, **options: Any) -> None:
        focused.append(widget)
        given(screen, widget, *arguments, **options)

    def shown(line: FilterLine, *arguments: Any, **options: Any) -> None:
        make(line, *arguments, **options)
        line.styles.display = "block"

    monkeypatch.setattr(Screen, "set_focus", set_focus)
    monkeypatch.setattr(FilterLine, "__init__", shown)

    async def scene(stage: Stage) -> None:
        for mode in [*MODES[1:], MODES[0]]:
            await stage.press(mode.key)
            await stage.until(lambda name=mode.name: stage.app.current_mode == name, mode.title)  # type: ignore[misc]
        await stage.press("enter")
        await stage.until(lambda: isinstance(stage.app.screen, CardScreen), "card")
        assert not any(isinstance(widget, Input) for widget in focused)
        assert focused

    play(scene)
