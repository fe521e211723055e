"""A widget of prepared lines that sends the terminal only the lines that differ from those on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from ..draw.format import Line

LOOKS = frozenset(
    {
        "plain", "quiet", "faint", "strong", "accent", "title", "sorted", "mark", "key", "badge", "badge-warn",
        "badge-bad", "good", "tab", "over", "critical", "near", "ok", "over-bar", "critical-bar", "near-bar", "ok-bar",
        "track", "area", "over-area",
    }
)  # fmt: skip


CURSORS = frozenset({"cursor", "cursor-blurred"})
# Dim text is hard to read on the background of the cursor's row.
ON_CURSOR = {"quiet": "cursor-quiet", "ok": "cursor-quiet"}

# The component classes of each screen. With them in each widget, most of the work of styling a screen went into them.
SCREEN_LOOKS = LOOKS | CURSORS | frozenset(ON_CURSOR.values())


def strip_of(widget: Widget, line: Line, width: int, *under: str) -> Strip:
    """The line in the widget's styles, cut or filled to ``width`` cells; ``under`` are styles below all others."""
    base = widget.rich_style
    for look in under:
        base += _style(widget, look)
    if base.reverse:  # other colours on a reversed row would be a patchwork
        return Strip([Segment(text, base) for text, _look in line]).simplify().adjust_cell_length(width, base)
    if not CURSORS.isdisjoint(under):
        line = tuple((text, ON_CURSOR.get(look, look)) for text, look in line)
    return Strip(_coloured(widget, line, base)).simplify().adjust_cell_length(width, base)


def _style(widget: Widget, look: str) -> Style:
    """The look as the widget's screen has it, or the widget's own."""
    owner = widget.screen if look in SCREEN_LOOKS else widget
    return owner.get_component_rich_style(look, partial=True)


def _coloured(widget: Widget, line: Line, base: Style) -> Iterator[Segment]:
    """Segments of the line. A blank keeps the style before it where that is invisible: each change costs bytes."""
    style, backed = base, False
    for text, look in line:
        if backed or not text.isspace():
            style = base + _style(widget, look)
            backed = style.bgcolor != base.bgcolor or bool(style.underline)
        yield Segment(text, style)


class Painted(Widget):
    """Draws lines of runs."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id, classes=classes)
        self.lines: tuple[Line, ...] = ()

    def paint(self, lines: Sequence[Line]) -> None:
        """Show these lines; those that differ from the present ones are drawn."""
        old, self.lines = self.lines, tuple(lines)
        for y in range(max(len(old), len(self.lines))):
            if self._at(old, y) != self._at(self.lines, y):
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        return strip_of(self, self._at(self.lines, y), self.size.width)

    @staticmethod
    def _at(lines: tuple[Line, ...], y: int) -> Line:
        return lines[y] if y < len(lines) else ()
