"""Filters that are kept under a letter: one key more keeps the present filter, or brings one back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widget import Widget

from ..desk.desk import Desk, Tell
from ..desk.kept import LETTERS, is_filter
from ..desk.screen_memory import ScreenMemory
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.painted import Painted
from .dialog import Dialog

CELLS = 64  # of a line
AROUND = 12  # lines of the dialog besides the list
SAVING: list[BindingType] = [
    Binding(
        "F", "keep_filter", "Keep filter", show=False, tooltip="keep the filter under a letter; without one forget"
    ),
    Binding("apostrophe", "recall_filter", "Kept filters", show=False, tooltip="bring back the filter of a letter"),
]


class Lettered(Dialog[str]):
    """Lists the filters by letter, and ends with the letter that is pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Cancel", key_display="Esc")]
    question = ""

    def __init__(self, desk: Desk, memory: ScreenMemory) -> None:
        super().__init__(desk)
        self._memory = memory
        self._list = Painted(id="saved")

    def body(self) -> Iterable[Widget]:
        yield self._list

    def on_mount(self) -> None:
        """Draw the list, as far as it fits."""
        saved = sorted(self._memory.saved.items())
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

    def __init__(self, desk: Desk, memory: ScreenMemory, text: str) -> None:
        super().__init__(desk, memory)
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
        if letter in self._memory.saved:
            self.dismiss(letter)
        else:
            self.message(f"There is no filter under {letter}.", "near")


class SavesFilters(Widget):
    """What has the keys of SAVING: a subclass says which filter it has, and takes another one."""

    desk: Desk
    filters: ScreenMemory

    @property
    def filtered(self) -> str:
        """The text of the filter; empty without one."""
        raise NotImplementedError

    def use_filter(self, text: str) -> None:
        """Filter by this text."""
        raise NotImplementedError

    def action_keep_filter(self) -> None:
        """Ask for the letter to keep the filter under; without a filter, for the one to forget."""
        text = self.filtered
        if is_filter(text):
            self.app.push_screen(KeepFilter(self.desk, self.filters, text), partial(self._save, text))
        elif self.filters.saved:
            self.app.push_screen(ForgetFilter(self.desk, self.filters), partial(self._save, None))
        else:
            self.post_message(Tell((("There is no filter to keep; / makes one", "quiet"),)))

    def _save(self, text: str | None, letter: str | None) -> None:
        if letter is None:
            return
        self.filters.save(letter, text)
        said = (
            f"The filter is kept: ' {letter} brings it back" if text is not None else f"Forgot the filter of {letter}"
        )
        self.post_message(Tell(((said, "good"),)))

    def action_recall_filter(self) -> None:
        """Ask for the letter of a filter, and filter by it."""
        if self.filters.saved:
            self.app.push_screen(RecallFilter(self.desk, self.filters), self._recall_filter)
        else:
            self.post_message(Tell((("No filter is kept yet; F keeps the present one", "quiet"),)))

    def _recall_filter(self, letter: str | None) -> None:
        text = self.filters.saved.get(letter or "")
        if text is not None:
            self.use_filter(text)
