"""A short list of choices, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip

from ..draw.format import Line
from .painted import Painted, strip_of


class Choices(Painted, can_focus=True):
    """``chosen`` is selected at the start."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", key_display="⏎"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"chosen"}

    class Chosen(Message):
        """Choice number ``index`` was chosen by Enter or a click."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, choices: Sequence[Line], chosen: int = 0, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._chosen = chosen
        self.paint(choices)
        self.styles.height = len(choices)

    def render_line(self, y: int) -> Strip:
        line: Line = ((" ", "plain"), *self.lines[y]) if y < len(self.lines) else ()
        if y != self._chosen:
            return strip_of(self, line, self.size.width)
        return strip_of(self, tuple((text, "chosen") for text, _look in line), self.size.width, "chosen")

    def cursor_spot(self) -> Offset:
        """The cell of the screen at which the selected choice begins."""
        return self.region.offset + Offset(0, self._chosen)

    def action_move(self, step: int) -> None:
        """Select another choice."""
        self._chosen = max(0, min(self._chosen + step, len(self.lines) - 1))
        self.refresh()

    def action_choose(self) -> None:
        """Post the selected choice."""
        self.post_message(self.Chosen(self._chosen))

    def on_click(self, event: events.Click) -> None:
        """Post the choice under the mouse."""
        if event.y < len(self.lines):
            self._chosen = event.y
            self.refresh()
            self.action_choose()
