"""Filters that are kept under a letter: one key more keeps the present filter, or brings one back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ..desk.desk import Desk
from ..desk.kept import LETTERS
from ..draw import format as fmt
from ..draw.format import Line
from ..frame.dialog import Dialog
from ..widgets.painted import Painted

CELLS = 64  # of a line
AROUND = 12  # lines of the dialog besides the list


class Lettered(Dialog[str]):
    """Lists the filters by letter, and ends with the letter that is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]
    question = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._list = Painted(id="saved")

    def body(self) -> Iterable[Widget]:
        yield self._list

    def on_mount(self) -> None:
        """Draw the list, as far as it fits."""
        saved = sorted(self.desk.memory.kept.saved.items())
        room = max(1, self.app.size.height - AROUND)
        lines = [self._line(letter, text) for letter, text in saved[:room]]
        self._list.styles.height = max(1, len(lines))
        self._list.paint(lines or [(("None yet.", "quiet"),)])
        self.message(self.question, "quiet")

    def _line(self, letter: str, text: str) -> Line:
        words = fmt.literal(text, self.desk.glyphs)
        return ((f" {letter} ", "key"), (f" {fmt.fit(words, CELLS, self.desk.glyphs)}", "plain"))

    def on_key(self, event: events.Key) -> None:
        """Take the letter."""
        if event.character is not None and LETTERS.fullmatch(event.character):
            event.stop()
            self.chosen(event.character)

    def chosen(self, letter: str) -> None:
        """A letter or digit was pressed."""
        self.dismiss(letter)


class KeepFilter(Lettered):
    """Under which letter? One that has a filter already gets the new one."""

    HEADING = "Keep the filter"

    def __init__(self, desk: Desk, text: str) -> None:
        super().__init__(desk)
        self.question = f"Press the letter or digit to keep this one under: {text}"


class ForgetFilter(Lettered):
    """Which letter is to have no filter any more?"""

    HEADING = "Forget a filter"
    question = "No filter is set now. Press the letter whose filter is to be forgotten."


class RecallFilter(Lettered):
    """Which one?"""

    HEADING = "Filters"
    question = "Press the letter of the filter."

    def chosen(self, letter: str) -> None:
        """Take only a letter that has a filter."""
        if letter in self.desk.memory.kept.saved:
            self.dismiss(letter)
        else:
            self.message(f"There is no filter under {letter}.", "near")
