"""One choice of a few, beside each other on one line behind a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from ..draw.format import Run
from .painted import Painted

LABEL = 12  # cells, as those of Field


class Pick(Painted, can_focus=True):
    """Left and Right choose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "step(1)", "Choose", key_display="← →"),
        Binding("left,h", "step(-1)", "Choose back", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Previous field", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"chosen"}

    class Changed(Message):
        """Another choice was made."""

    def __init__(self, label: str, choices: Sequence[str], chosen: int = 0, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="pick")
        self._label = label
        self._choices = tuple(choices)
        self.chosen = chosen

    def on_mount(self) -> None:
        """Show the choices."""
        self._show()

    def _show(self) -> None:
        focused = self.has_focus
        runs: list[Run] = [(f"{self._label:<{LABEL}}", "quiet")]
        for number, choice in enumerate(self._choices):
            here = number == self.chosen
            look = ("badge" if focused else "accent") if here else "quiet"
            left, right = ("[", "]") if here else (" ", " ")
            runs += [(f"{left}{choice}{right}", look), (" ", "plain")]
        self.paint([tuple(runs)])

    def on_focus(self) -> None:
        """Show that the keys are here."""
        self._show()

    def on_blur(self) -> None:
        """Show that they are not."""
        self._show()

    def action_step(self, step: int) -> None:
        """The next choice (1), or the one before (-1)."""
        self.choose((self.chosen + step) % len(self._choices))

    def choose(self, number: int) -> None:
        """Make this choice."""
        self.chosen = number
        self._show()
        self.post_message(self.Changed())

    def on_click(self, event: events.Click) -> None:
        """Choose what is under the mouse."""
        at = LABEL
        for number, choice in enumerate(self._choices):
            if at <= event.x < at + len(choice) + 2:
                self.choose(number)
            at += len(choice) + 3
