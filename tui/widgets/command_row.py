"""The line of a dialog with the command that does the same, and the key that copies all of it."""

from __future__ import annotations

from ..draw import format as fmt
from ..draw.glyphs import Glyphs
from .painted import Painted

KEY = (("  ^y", "key"), (" copies", "quiet"))


class CommandRow(Painted):
    """Hidden while there is no command; one that does not fit is cut."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="command")
        self._glyphs = glyphs
        self._text = ""
        self.display = False

    def show(self, text: str) -> None:
        """Show this command, with control characters visible."""
        self._text = fmt.literal(text, self._glyphs)
        self.display = bool(text)
        self.on_resize()

    def on_resize(self) -> None:
        """Cut it to the new width."""
        room = self.size.width - 2 - fmt.width_of(KEY)
        text = fmt.fit(self._text, max(0, min(room, fmt.width_of([(self._text, "")]))), self._glyphs)
        self.paint([(("$ ", "faint"), (text, "quiet"), *KEY)])
