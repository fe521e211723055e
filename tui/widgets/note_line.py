"""The line about the row under the cursor; in its place a message, for ten seconds or until the cursor moves."""

from __future__ import annotations

from collections.abc import Callable

from ..draw.format import Line
from .painted import Painted

NOTE_SECONDS = 10.0


class NoteLine(Painted):
    """``steady`` is the clock by which a message ends; it never goes back."""

    def __init__(self, steady: Callable[[], float]) -> None:
        super().__init__(id="detail")
        self._steady = steady
        self._note: Line | None = None
        self._until = 0.0
        self._line: Line = ()

    def show(self, line: Line) -> None:
        """Set the line that is shown while there is no message."""
        self._line = line
        if self._note is not None and self._steady() > self._until:
            self._note = None
        self.paint([self._line if self._note is None else self._note])

    def say(self, line: Line) -> None:
        """Show a message."""
        self._note, self._until = ((" ", "plain"), *line), self._steady() + NOTE_SECONDS
        self.show(self._line)

    def forget(self) -> None:
        """End the message: the cursor has moved."""
        self._note = None
