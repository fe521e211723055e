"""The command line that ``:`` opens in place of the foot: actions by name, with arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from mailquota.core.base.errors import UsageError
from mailquota.core.base.units import format_count

from ..desk.desk import Desk, LiveScreen
from ..desk.screen_memory import ScreenMemory
from ..desk.typed import Choice, Command, Doing, cut, find, matches, read
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.filter_line import FilterLine
from ..widgets.painted import SCREEN_LOOKS, Painted

LISTED = 8  # matches; on a low terminal fewer
AROUND = 16  # lines that stay free for the screen and the head
NAME = 15  # cells of a match
FORMS = "set +2G until friday   sort used   filter over|near   Tab lists"


class CommandEntry(FilterLine):
    """Up and Down go through the commands of before, Tab completes."""

    SIGN = " : "
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "Do it", priority=True),
        Binding("escape", "clear", "Cancel"),
        Binding("tab", "complete(1)", "Complete"),
        Binding("shift+tab", "complete(-1)", "Complete back", show=False),
        Binding("up", "older", "History"),
        Binding("down", "newer", "Newer", show=False),
    ]

    def action_newer(self) -> None:
        """Put the command after this one into the field; after the last one what was typed."""
        self.step_newer()

    def action_complete(self, step: int) -> None:
        """Complete the last word."""
        if isinstance(self.screen, CommandLine):
            self.screen.complete(step)


class CommandLine(ModalScreen[Doing | None], LiveScreen):
    """Dismissed with what is to be done; None if nothing is. ``commands`` are those of the screen below."""

    AUTO_FOCUS = "Input"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)

    def __init__(self, desk: Desk, commands: Sequence[Command]) -> None:
        super().__init__()
        self.desk = desk
        self._commands = commands
        self._memory = ScreenMemory(desk.memory, "commands")
        self._entry = CommandEntry(FORMS, desk.glyphs, history=lambda: self._memory.last)
        self._list = Painted(id="matches")
        self._found: list[Choice] = []  # for what is typed
        self._at = -1  # which of them Tab has put into the field
        self._base = ""  # the line before that word
        self._set = ""  # the text that Tab made

    def compose(self) -> ComposeResult:
        yield self._list
        yield self._entry

    def on_mount(self) -> None:
        """Begin with an empty line."""
        self._entry.open("")
        self._show([])

    def on_resize(self) -> None:
        """List as many as there is room for now."""
        self.call_after_refresh(self._show_found)

    # ---- matches

    def _show(self, lines: Sequence[Line]) -> None:
        self._list.display = bool(lines)
        self._list.styles.height = max(1, len(lines))
        self._list.paint(lines)

    def _show_found(self) -> None:
        """The matches around the one that is chosen; none for an empty line that nobody asked about."""
        if not self._entry.text.strip() and self._at < 0:
            self._show([])
            return
        room = max(2, min(LISTED, self.app.size.height - AROUND))
        first = max(0, min(self._at - room // 2, len(self._found) - room))
        lines = [self._line(number) for number in range(first, min(first + room, len(self._found)))]
        more = len(self._found) - len(lines)
        if more > 0 and lines:
            lines[-1] = (*lines[-1], (f"   {format_count(more)} more", "quiet"))
        self._show([*self._usage(), *lines])

    def _usage(self) -> list[Line]:
        """What the command that was begun takes."""
        start, _last = cut(self._entry.text)
        try:
            command = find(self._commands, start.split()[0]) if start.strip() else None
        except UsageError:
            return []
        if command is None:
            return []
        form = command.arguments.form or "takes nothing behind it"
        return [((f" {command.name} {form}", "quiet"),)]

    def _line(self, number: int) -> Line:
        choice, glyphs = self._found[number], self.desk.glyphs
        word = fmt.literal(choice.word, glyphs)
        look = "badge" if number == self._at else "key"
        room = max(8, self.app.size.width - max(NAME, len(word)) - 18)
        return (
            (f" {word} ", look),
            (" " * (NAME - len(word)), "plain"),
            (fmt.fit(choice.about, room, glyphs).rstrip(), "quiet"),
        )

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        if event.text == self._set and self._at >= 0:
            return
        self._at, self._set = -1, ""
        self._found = matches(self._commands, event.text)
        self._show_found()

    def complete(self, step: int) -> None:
        """Extend the last word as far as all matches agree; else put the next or the previous one there."""
        if self._at < 0:
            self._base, word = cut(self._entry.text)
            self._found = matches(self._commands, self._entry.text)
            if not self._found:
                return
            common = _shared([choice.word for choice in self._found])
            if len(self._found) == 1:
                self._put(f"{self._base}{common} ")
                self._typed(FilterLine.Typed(self._entry.text))
                return
            if len(common) > len(word):
                self._put(f"{self._base}{common}")
                self._typed(FilterLine.Typed(self._entry.text))
                return
            self._at = 0 if step > 0 else len(self._found) - 1
        else:
            self._at = (self._at + step) % len(self._found)
        self._put(f"{self._base}{self._found[self._at].word}")
        self._show_found()

    def _put(self, text: str) -> None:
        self._set = text
        self._entry.put(text)

    # ---- the end

    @on(FilterLine.Cleared)
    def _cleared(self) -> None:
        self.dismiss(None)

    @on(FilterLine.Kept)
    def _kept(self) -> None:
        """Do it. The line stays open where it means nothing, and says why."""
        text = self._entry.text.strip()
        if not text:
            self.dismiss(None)
            return
        try:
            doing = read(self._commands, text, self.desk.why_not)
        except UsageError as error:
            words = fmt.literal(str(error), self.desk.glyphs)
            self._show(fmt.hanging(((" ", "plain"), (words, "near")), max(8, self.app.size.width - 1)))
            return
        self._memory.used(text)
        self.dismiss(doing)


def _shared(words: Sequence[str]) -> str:
    """What all of these begin with."""
    first, last = min(words, default=""), max(words, default="")
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]
