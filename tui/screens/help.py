"""All keys, made from the bindings, the filter language, the signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from core import filters
from core.model import Level
from tui import format as fmt
from tui.desk import Desk
from tui.format import Line
from tui.glyphs import Glyphs
from tui.widgets.account_table import AccountTable
from tui.widgets.foot import Foot, key_name
from tui.widgets.painted import Painted
from tui.widgets.text_list import TextList

LEVELS = {
    Level.OVER: "at its limit or over: new mail is refused",
    Level.CRITICAL: "from 95 % of the limit",
    Level.NEAR: "from 80 % of the limit",
    Level.OK: "below that",
    Level.UNLIMITED: "no limit",
    Level.UNKNOWN: "not measured yet, or not readable",
}

LIMITS = (
    ("5G  512M  5000", "a size, by powers of 1024; without a unit in bytes"),
    ("unlimited  0", "no limit"),
    ("+500M  -1G  +20%", "more or less than now"),
    ("x2", "times what it is now"),
    ("used+1G  used*1.2", "from the present use"),
)


class HelpScreen(ModalScreen[None]):
    """About the screen it was called from."""

    CSS_PATH = "help.tcss"
    TITLE = "Help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,1", "dismiss", "Back", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, about: Screen[Any]) -> None:
        super().__init__()
        self.desk = desk
        self._about = about

    def compose(self) -> ComposeResult:
        """A title, a list to scroll, the keys."""
        yield Painted(id="title")
        yield TextList(id="help", fit=False)
        yield Foot(self.desk.glyphs)

    def on_mount(self) -> None:
        """The text is made once."""
        self.query_one("#title", Painted).paint([((" Help", "strong"), (f"  {self._about.title or ''}", "quiet"))])
        self.query_one(TextList).show(list(help_lines(self._about, self.desk.glyphs)))


def help_lines(screen: Screen[Any], glyphs: Glyphs) -> Iterator[Line]:
    """Keys by where they work, then the languages and the signs."""
    for name, keys in _keys(screen, glyphs).items():
        yield from _section(name)
        yield from keys
    yield from _section("Filter: words are joined, each must match")
    for form, meaning in filters.DOCS:
        yield _entry(form, meaning)
    yield from _section("Limits")
    yield from (_entry(form, meaning) for form, meaning in LIMITS)
    yield from _section("Signs")
    for level, meaning in LEVELS.items():
        yield ((f"  {glyphs.levels[level]} {level.value:<15}", fmt.look_of(level)), (meaning, "quiet"))


def _section(name: str) -> Iterator[Line]:
    yield ()
    yield ((f" {name}", "title"),)


def _keys(screen: Screen[Any], glyphs: Glyphs) -> dict[str, list[Line]]:
    """By where they work; each action once with all its keys."""
    here = screen.title or "Here"
    found: dict[str, dict[str, tuple[str, list[str]]]] = {here: {}, "Moving": {}, "Everywhere": {}}
    for active in screen.active_bindings.values():
        binding, node = active.binding, active.node
        if binding.tooltip:
            name = "Everywhere" if node is screen.app else "Moving" if isinstance(node, AccountTable) else here
            _words, keys = found[name].setdefault(binding.action, (binding.tooltip, []))
            keys.append(key_name(Binding(binding.key, binding.action), glyphs))
    return {
        name: [_entry("  ".join(sorted(keys, key=len)), words) for words, keys in actions.values()]
        for name, actions in found.items()
    }


def _entry(form: str, meaning: str) -> Line:
    return ((f"  {form:<17}", "key"), (meaning, "quiet"))
