"""The command palette: by name, every action of the screen that has a key, and the screen's own commands."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from ..desk.desk import LiveScreen
from ..draw.glyphs import Glyphs
from ..widgets.foot import key_name
from ..widgets.live_table import LiveTable


def commands_of(app: App[Any], screen: Screen[Any], glyphs: Glyphs) -> Iterator[SystemCommand]:
    """The actions that are possible now."""
    seen = {"command_palette"}
    for namespace, binding, enabled, _tooltip in screen.active_bindings.values():
        moving = isinstance(namespace, LiveTable) and not binding.show
        if enabled and binding.tooltip and not moving and binding.action not in seen:
            seen.add(binding.action)
            run = partial(app.run_action, binding.action, namespace)
            words = f"{binding.tooltip} (key {key_name(binding, glyphs)})"
            yield SystemCommand(binding.description, words, run)
    if isinstance(screen, LiveScreen):
        yield from screen.commands()
