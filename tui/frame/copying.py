"""Copying: by the way that there is on this terminal, with an honest word about how far it reaches.

- In tmux the text goes into tmux's own buffer, and tmux passes it on to the terminal if it is set so (set-clipboard).
- Elsewhere it is sent to the terminal's clipboard (OSC 52). Terminals do not say whether they took it.
- GNU screen, the console of Linux and old terminals have no clipboard that could be reached.

What can't be copied, or for whoever doubts it, stands on a plain screen from which the mouse can select it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from mailquota.core.base.programs import find
from mailquota.core.base.threads import in_thread

from ..desk.desk import Copied, Desk, LiveScreen
from ..draw import format as fmt
from ..draw.format import Line
from ..widgets.foot import Foot
from ..widgets.painted import SCREEN_LOOKS
from ..widgets.text_list import TextList

_NOWHERE = ("linux", "vt", "dumb", "ansi", "cons", "sun")
_BETWEEN = ("screen", "tmux")
TMUX_SECONDS = 3.0
LONGEST = 74_000  # characters; terminals take about 100,000 of base64


class Way(Enum):
    """How a text leaves the console, with what is said of it."""

    TMUX = "in tmux's buffer: its prefix and ] paste it"
    TERMINAL = "sent to the terminal's clipboard; Y shows it, if it did not arrive"
    MAYBE = "sent to the terminal's clipboard, which tmux or screen may keep from it; Y shows it"
    NOWHERE = "not copied: no clipboard can be reached from here; Y shows the text, to select it"
    TOO_LONG = "not copied: too long for the terminal's clipboard; Y shows the text, to select it"


def way_out(environ: Mapping[str, str], length: int) -> Way:
    """The way for a text of this many characters, by the environment of the console."""
    term = environ.get("TERM", "")
    if environ.get("TMUX"):
        return Way.TMUX
    if environ.get("STY") or term.startswith(_NOWHERE):
        return Way.NOWHERE
    if length > LONGEST:
        return Way.TOO_LONG
    return Way.MAYBE if term.startswith(_BETWEEN) else Way.TERMINAL


def to_tmux(text: str) -> bool:
    """Put a text into tmux's buffer; whether that worked. Blocks."""
    tmux = find("tmux")
    if tmux is None:
        return False
    for options in (["-w"], []):  # from tmux 3.2 on, -w passes it on to the terminal
        try:
            done = subprocess.run(
                [tmux, "load-buffer", *options, "-"],
                input=text.encode(), capture_output=True, timeout=TMUX_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode == 0:
            return True
    return False


async def copy(app: App[Any], text: str, environ: Mapping[str, str]) -> Way:
    """Copy a text by the way that there is; which it was."""
    way = way_out(environ, len(text))
    if way is Way.TMUX and not await in_thread(lambda: to_tmux(text)):
        way = Way.NOWHERE
    if way in {Way.TERMINAL, Way.MAYBE}:
        app.copy_to_clipboard(text)
    return way


def said(what: str, way: Way) -> Line:
    """The line about what was copied."""
    good = way in {Way.TMUX, Way.TERMINAL}
    return ((f"{what}: ", "plain"), (way.value, "good" if good else "near"))


class PlainText(Screen[None], LiveScreen):
    """A text without anything beside it, so that the terminal's own mouse can select it.

    ``give_mouse`` is called with True while it is shown, and with False afterwards.
    """

    TITLE = "Text"
    AUTO_FOCUS = "TextList"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(SCREEN_LOOKS)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", tooltip="copy all of the text"),
        Binding("escape,Y", "back", "Back", key_display="Esc", tooltip="back to where it was opened"),
    ]

    def __init__(self, desk: Desk, text: Copied, give_mouse: Callable[[bool], None]) -> None:
        super().__init__()
        self.desk = desk
        self._copied = text
        self._give_mouse = give_mouse

    def compose(self) -> ComposeResult:
        yield TextList(id="plain", fit=False, wrap=True)
        yield Foot(self.desk.glyphs, indent=0)

    def on_mount(self) -> None:
        """Show the text."""
        lines: list[Line] = [
            ((fmt.literal(line, self.desk.glyphs), "plain"),) for line in self._copied.text.splitlines()
        ]
        self.query_one(TextList).show(lines)

    def on_screen_resume(self) -> None:
        """Leave the mouse to the terminal."""
        self._give_mouse(True)

    def on_screen_suspend(self) -> None:
        """Take it again."""
        self._give_mouse(False)

    def on_unmount(self) -> None:
        """Take it again."""
        self._give_mouse(False)

    def say(self, line: Line) -> None:
        """Show a message before the keys."""
        self.query_one(Foot).show(line)

    def action_copy(self) -> None:
        """Copy it all."""
        self.post_message(self._copied)

    def action_back(self) -> None:
        """Close it."""
        self.dismiss(None)
