"""A label and an input on one line."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from tui.widgets.painted import Painted


class Field(Horizontal):
    """``id`` is the input's."""

    def __init__(self, label: str, value: str = "", *, id: str, placeholder: str = "") -> None:  # noqa: A002
        super().__init__(classes="field")
        self._label = label
        self._input = Input(value, placeholder, id=id, compact=True)
        self._input.cursor_blink = False

    def compose(self) -> ComposeResult:
        """As Textual asks."""
        label = Painted(classes="field-label")
        label.paint([((self._label, "quiet"),)])
        yield label
        yield self._input
