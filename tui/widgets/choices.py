"""A few choices, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from mailquota.tui.draw.format import Line
from mailquota.tui.widgets.painted import Painted, strip_of


class Choices(Painted, can_focus=True):
    """The first is the default."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", key_display="⏎"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"chosen"}

    class Chosen(Message):
        """Enter or a click on choice number ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, choices: Sequence[Line], *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self._chosen = 0
        self.paint(choices)
        self.styles.height = len(choices)

    def render_line(self, y: int) -> Strip:
        """As Textual asks."""
        line: Line = ((" ", "plain"), *self.lines[y]) if y < len(self.lines) else ()
        if y != self._chosen:
            return strip_of(self, line, self.size.width)
        return strip_of(self, tuple((text, "chosen") for text, _look in line), self.size.width, "chosen")

    def action_move(self, step: int) -> None:
        """Another one."""
        self._chosen = max(0, min(self._chosen + step, len(self.lines) - 1))
        self.refresh()

    def action_choose(self) -> None:
        """This one."""
        self.post_message(self.Chosen(self._chosen))

    def on_click(self, event: events.Click) -> None:
        """The one under the mouse."""
        if event.y < len(self.lines):
            self._chosen = event.y
            self.refresh()
            self.action_choose()
