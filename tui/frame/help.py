"""The help: all keys, made from the bindings, and what else the screen has to explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from ..desk.desk import Desk, LiveScreen
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..widgets.foot import Foot, key_name
from ..widgets.live_table import LiveTable
from ..widgets.painted import SCREEN_LOOKS, Painted
from ..widgets.text_list import TextList
from . import guide
from .palette import commands_of


class HelpScreen(ModalScreen[None]):
    """The help of the screen that it was opened from."""

    TITLE = "Help"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,1,f1", "dismiss", "Back", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, about: Screen[Any]) -> None:
        super().__init__()
        self.desk = desk
        self._about = about

    def compose(self) -> ComposeResult:
        yield Painted(id="title")
        yield TextList(id="help", fit=False, wrap=True)
        yield Foot(self.desk.glyphs)

    def on_mount(self) -> None:
        """Make the text; it does not change while it is shown."""
        self.query_one("#title", Painted).paint([((" Help", "strong"), (f"  {self._about.title or ''}", "quiet"))])
        self.query_one(TextList).show(list(help_lines(self._about, self.desk.glyphs)))


def help_lines(screen: Screen[Any], glyphs: Glyphs) -> Iterator[Line]:
    """The keys by where they work, then the screen's own explanations."""
    for name, keys in keys_of(screen, glyphs).items():
        yield from guide.section(name, keys)
    if isinstance(screen, LiveScreen):
        yield from screen.guide(glyphs)
    yield from guide.typed(typed_of(screen))


def typed_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """The commands of a screen that take arguments: as they are typed, and what they do."""
    found = [each for each in commands_of(screen) if each.arguments.form]
    return sorted((f"{each.name} {each.arguments.form}", each.about) for each in found)


def keys_of(screen: Screen[Any], glyphs: Glyphs) -> dict[str, list[tuple[str, str]]]:
    """The keys and what they do, under the names of where they work. Each action is listed once, with all its keys."""
    here = screen.title or "Here"
    found: dict[str, dict[str, tuple[str, list[str]]]] = {here: {}, "Moving": {}, "Everywhere": {}}
    for active in screen.active_bindings.values():
        binding, node = active.binding, active.node
        if binding.tooltip:
            moves = isinstance(node, LiveTable) and binding.action != "open"
            name = "Everywhere" if node is screen.app else "Moving" if moves else here
            _words, keys = found[name].setdefault(binding.action, (binding.tooltip, []))
            keys.append(key_name(Binding(binding.key, binding.action), glyphs))
    return {
        name: [("  ".join(sorted(keys, key=len)), words) for words, keys in actions.values()]
        for name, actions in found.items()
    }
