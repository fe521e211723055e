"""The rule with the name of the screen and those of the others; a click on another name shows that screen."""

from __future__ import annotations

from textual import events

from ..desk.modes import MODES
from .painted import Painted


class TitleRule(Painted):
    """One line, painted by its screen."""

    def __init__(self) -> None:
        super().__init__(id="title")

    def on_click(self, event: events.Click) -> None:
        """Press the key of the screen whose name or key was clicked."""
        key, x = "", 0
        for text, look in self.lines[0] if self.lines else ():
            key = text.strip() if look == "key" else key if look == "tab" else ""
            x += len(text)
            if event.x < x:
                break
        if key in {mode.key for mode in MODES}:
            self.app.simulate_key(key)
