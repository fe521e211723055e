"""The entries of the command palette: every action of the screen that has a key, and those with a choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from textual.app import SystemCommand
from textual.screen import Screen

from ..desk import typed
from ..desk.typed import Command
from ..draw.glyphs import Glyphs
from ..widgets.foot import key_name
from ..widgets.live_table import LiveTable

OPENING = frozenset({"command_line", "command_palette"})  # these only lead to the others


def commands_of(screen: Screen[Any]) -> list[Command]:
    """The commands of a screen; not those that only move in a table."""
    return typed.commands_of(screen, LiveTable)


def system_commands(commands: Iterable[Command], glyphs: Glyphs) -> Iterator[SystemCommand]:
    """The actions that are possible now, then the choices of those that list them."""
    possible = [each for each in commands if each.enabled and each.action not in OPENING]
    for each in possible:
        words = f"{each.binding.tooltip} (key {key_name(each.binding, glyphs)})"
        yield SystemCommand(each.binding.description, words, each.run)
    for each in possible:
        for choice in each.choices([]) if each.arguments.listed else ():
            title = f"{each.binding.description} {choice.about or choice.word}"
            yield SystemCommand(title, each.about, each.read(choice.word))
