"""The line that ``/`` opens. The list is filtered with each change of its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from .painted import Painted


class FilterLine(Horizontal):
    """Stands in place of the title. ``forms`` shows what can be typed; the result of the filter is on the right.

    ``history`` gives the filters that were used before, the newest first.
    """

    SIGN = " / "
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "Keep", tooltip="keep the filter and go to the table", key_display="⏎", priority=True),
        Binding("escape", "clear", "Clear", tooltip="show all again", key_display="Esc"),
        Binding("up", "older", "History", tooltip="the filter that was used before", key_display="↑↓"),
        Binding("down", "newer", "Newer", show=False, tooltip="the filter after that; after the last one to the table"),
    ]

    class Typed(Message):
        """The text was changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Kept(Message):
        """Enter was pressed: the filter stays."""

    class Cleared(Message):
        """Esc was pressed: the filter is removed."""

    def __init__(
        self,
        forms: str,
        glyphs: Glyphs,
        *,
        id: str | None = None,  # noqa: A002  Textual's name
        history: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        super().__init__(id=id)
        self._history = history
        self._at = -1  # where in the history the text is from; -1: it was typed
        self._draft = ""  # what was typed before
        self._glyphs = glyphs
        self._field = Input(placeholder=forms, compact=True)
        self._field.cursor_blink = False
        self._found = Painted(id="filter-found")

    def compose(self) -> ComposeResult:
        sign = Painted(id="filter-sign")
        sign.paint([((self.SIGN, "key"),)])
        yield sign
        yield self._field
        yield self._found

    @property
    def text(self) -> str:
        """The text of the field."""
        return self._field.value

    def open(self, text: str) -> None:
        """Give the keys to the field, which begins with the present filter."""
        self._at, self._draft = (0 if text and [*self._history()][:1] == [text] else -1), ""
        with self.prevent(Input.Changed):
            self._field.value = text
        self.screen.set_focus(self._field)  # at once, as the next key may have arrived already

    def say(self, text: str, look: str) -> None:
        """Show how many rows match, or why the text is not valid."""
        line: Line = ((f" {text} ", look),)
        room = self.app.size.width * 2 // 3  # the size of this widget may not be known yet
        if fmt.width_of(line) > room:
            line = ((f" {fmt.fit(text, max(0, room - 2), self._glyphs)} ", look),)
        self._found.styles.width = fmt.width_of(line)
        self._found.paint([line])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._recalled():
            self._at, self._draft = -1, event.value
        self.post_message(self.Typed(event.value))

    def _recalled(self) -> str:
        """The text at the present place in the history."""
        past = self._history()
        return past[self._at] if 0 <= self._at < len(past) else self._draft

    def action_older(self) -> None:
        """Put the filter before this one into the field."""
        self._go(min(self._at + 1, len(self._history()) - 1))

    def action_newer(self) -> None:
        """Put the filter after this one into the field; after the last one keep it and go to the table."""
        if self._at < 0:
            self.action_keep()
        else:
            self.step_newer()

    def step_newer(self) -> None:
        """Put the text after this one into the field; after the last one what was typed."""
        self._go(max(-1, self._at - 1))

    def _go(self, at: int) -> None:
        self._at = at
        self.put(self._recalled())

    def put(self, text: str) -> None:
        """Have this text in the field, with the cursor behind it."""
        self._field.value = text
        self._field.cursor_position = len(text)

    def action_keep(self) -> None:
        """Post that the filter stays."""
        self.post_message(self.Kept())

    def action_clear(self) -> None:
        """Post that the filter is removed."""
        self.post_message(self.Cleared())
