"""The text of a card: a list of lines in which the folders can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message

from ..draw.format import Line
from ..widgets.text_list import TextList


class CardText(TextList):
    """Up and Down move from folder to folder as far as these are in view, and scroll beyond them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.open_folder", "Folder", tooltip="what is in the folder", key_display="⏎"),
    ]

    class Chosen(Message):
        """Another folder was chosen, by its place among them. ``opens``: it was double-clicked."""

        def __init__(self, place: int, *, opens: bool) -> None:
            super().__init__()
            self.place = place
            self.opens = opens

    def __init__(self) -> None:
        super().__init__(id="card", fit=False)
        self._from = 0  # the line of the first folder
        self._choices: Sequence[str] = ()
        self._chosen = -1  # its place; -1 where there is none

    def show_card(self, lines: Sequence[Line], folders_from: int, names: Sequence[str], chosen: str) -> None:
        """Show these lines. ``names`` are the folders from line ``folders_from`` on, "" for lines that are none."""
        self._from, self._choices = folders_from, names
        self._chosen = names.index(chosen) if chosen and chosen in names else -1
        self.show(lines)

    def action_scroll_up(self) -> None:
        """To the folder before; else scroll."""
        if not self._move(-1):
            super().action_scroll_up()

    def action_scroll_down(self) -> None:
        """To the next folder; else scroll."""
        if not self._move(1):
            super().action_scroll_down()

    def _move(self, step: int) -> bool:
        """Whether there was a folder to move to. One that is out of view is scrolled to before."""
        if self._chosen < 0 or not self._in_view(self._chosen):
            return False
        place = self._chosen + step
        while 0 <= place < len(self._choices) and not self._choices[place]:
            place += step
        if not 0 <= place < len(self._choices):
            return False
        self.bring_into_view(place)
        self.post_message(self.Chosen(place, opens=False))
        return True

    def bring_into_view(self, place: int) -> None:
        """Scroll as far as is needed for the line of a folder."""
        line, top = self._from + place, self.scroll_offset.y
        if line < top:
            self.scroll_to(y=line, animate=False, force=True)
        elif line >= top + self.size.height:
            self.scroll_to(y=line - self.size.height + 1, animate=False, force=True)

    def _in_view(self, place: int) -> bool:
        return 0 <= self._from + place - self.scroll_offset.y < self.size.height

    def cursor_spot(self) -> Offset:
        """The cell of the chosen folder; the first one where it is out of view."""
        seen = self._chosen >= 0 and self._in_view(self._chosen)
        return self.region.offset + Offset(0, self._from + self._chosen - self.scroll_offset.y if seen else 0)

    def on_click(self, event: events.Click) -> None:
        """A click chooses a folder, a double click opens it."""
        place = self.scroll_offset.y + event.y - self._from
        if 0 <= place < len(self._choices) and self._choices[place]:
            self.post_message(self.Chosen(place, opens=event.chain == 2))
