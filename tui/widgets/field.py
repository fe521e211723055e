"""A label and an input on one line."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from .painted import Painted


class ApplyInput(Input):
    """An input in which Enter applies the dialog; the foot then shows that key first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Apply", key_display="⏎"),
        Binding("tab", "app.focus_next", "Next field", key_display="Tab"),
    ]


class Field(Horizontal):
    """``id`` is that of the input. ``applies``: Enter in it applies the dialog."""

    def __init__(
        self,
        label: str,
        value: str = "",
        *,
        id: str,  # noqa: A002  Textual's name
        placeholder: str = "",
        applies: bool = False,
    ) -> None:
        super().__init__(classes="field")
        self._label = label
        self._input = (ApplyInput if applies else Input)(value, placeholder, id=id, compact=True)
        self._input.cursor_blink = False

    def compose(self) -> ComposeResult:
        label = Painted(classes="field-label")
        label.paint([((self._label, "quiet"),)])
        yield label
        yield self._input
