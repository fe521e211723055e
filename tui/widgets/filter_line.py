"""The line that ``/`` opens: it filters as one types."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.glyphs import Glyphs
from mailquota.tui.widgets.painted import Painted


class FilterLine(Horizontal):
    """Stands where the title is. ``forms``: what can be typed. What it says about the filter is on its right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "Keep", tooltip="keep the filter and go to the table", key_display="⏎", priority=True),
        Binding("escape", "clear", "Clear", tooltip="show all again", key_display="Esc"),
        Binding("down", "keep", "Table", show=False, tooltip="keep the filter and go to the table"),
    ]

    class Typed(Message):
        """Another text stands there."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Kept(Message):
        """Enter: the filter stays."""

    class Cleared(Message):
        """Esc: no filter any more."""

    def __init__(self, forms: str, glyphs: Glyphs, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._glyphs = glyphs
        self._field = Input(placeholder=forms, compact=True)
        self._field.cursor_blink = False
        self._found = Painted(id="filter-found")

    def compose(self) -> ComposeResult:
        """The sign of a filter, as everywhere; the field; what it finds."""
        sign = Painted(id="filter-sign")
        sign.paint([((" / ", "key"),)])
        yield sign
        yield self._field
        yield self._found

    @property
    def text(self) -> str:
        """What stands there."""
        return self._field.value

    def open(self, text: str) -> None:
        """Begin with the filter that holds."""
        with self.prevent(Input.Changed):
            self._field.value = text
        self.screen.set_focus(self._field)  # at once: the next key may be there already

    def say(self, text: str, look: str) -> None:
        """What the filter finds, or why it can't be read."""
        line: Line = ((f" {text} ", look),)
        room = self.app.size.width * 2 // 3  # its own size is not known yet where keys come fast
        if fmt.width_of(line) > room:
            line = ((f" {fmt.fit(text, max(0, room - 2), self._glyphs)} ", look),)
        self._found.styles.width = fmt.width_of(line)
        self._found.paint([line])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    def action_keep(self) -> None:
        """Enter."""
        self.post_message(self.Kept())

    def action_clear(self) -> None:
        """Esc."""
        self.post_message(self.Cleared())
