"""All keys, made from the bindings, the filter language, the signs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from core import filters
from core.model import Level
from core.units import LIMIT_FORMS
from tui import format as fmt
from tui.desk import Desk
from tui.format import Line
from tui.glyphs import Glyphs
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


class HelpScreen(ModalScreen[None]):
    """About the screen it was called from."""

    CSS_PATH = "help.tcss"
    TITLE = "Help"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,1", "dismiss", "Back", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, about: Screen[object]) -> None:
        super().__init__()
        self.desk = desk
        self._about = about

    def compose(self) -> ComposeResult:
        """A title, a list to scroll, the keys."""
        yield Painted(id="title")
        yield TextList(id="help")
        yield Foot(self.desk.glyphs)

    def on_mount(self) -> None:
        """The text is made once."""
        self.query_one("#title", Painted).paint([((" Help", "strong"), (f"  {self._about.title or ''}", "quiet"))])
        table = self.query_one(TextList)
        table.show(list(help_lines(self._about, self.desk.glyphs)))
        table.focus()


def help_lines(screen: Screen[object], glyphs: Glyphs) -> Iterator[Line]:
    """Keys by screen and by list, then the languages and the signs."""
    yield from _section("Keys")
    yield from _keys(screen, glyphs)
    yield from _section("Filter: words are joined, each must match")
    for form, meaning in filters.DOCS:
        yield _entry(form, meaning)
    yield from _section("Limits")
    yield ((f"  {LIMIT_FORMS}", "quiet"),)
    yield from _section("Signs")
    for level, meaning in LEVELS.items():
        yield ((f"  {glyphs.levels[level]} {level.value:<15}", fmt.look_of(level)), (meaning, "quiet"))


def _section(name: str) -> Iterator[Line]:
    yield ()
    yield ((f" {name}", "title"),)


def _keys(screen: Screen[object], glyphs: Glyphs) -> Iterator[Line]:
    by_action: dict[str, tuple[list[str], str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.tooltip:
            keys, _words = by_action.setdefault(binding.action, ([], binding.tooltip))
            keys.append(key_name(Binding(binding.key, binding.action), glyphs))
    for keys, words in by_action.values():
        yield _entry("  ".join(keys), words)


def _entry(form: str, meaning: str) -> Line:
    return ((f"  {form:<17}", "key"), (meaning, "quiet"))
