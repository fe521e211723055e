"""A scrolling list of prepared lines, of which only the visible ones are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ..draw import format as fmt
from ..draw.format import Line
from .painted import strip_of


class TextList(ScrollView, can_focus=True, inherit_bindings=False):
    """``fit``: as high as its lines, up to the height in its style sheet. ``wrap``: long lines continue below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("ctrl+u", "half(-1)", "Half page up", show=False),
        Binding("ctrl+d", "half(1)", "Half page down", show=False),
        Binding("home,g", "scroll_home", "Top", show=False),
        Binding("end,G", "scroll_end", "End", show=False),
    ]
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, fit: bool = True, wrap: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self._fit = fit
        self._wrap = wrap
        self._given: tuple[Line, ...] = ()
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; those that differ are drawn."""
        self._given = tuple(lines)
        self._lay_out()

    def action_half(self, direction: int) -> None:
        """Scroll by half a page."""
        self.scroll_to(y=self.scroll_offset.y + direction * max(1, self.size.height // 2), animate=False)

    def on_resize(self) -> None:
        """Wrap long lines to the new width."""
        if self._wrap:
            self._lay_out()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width - 1  # one cell may be taken by the scrollbar
        wrapped = (fmt.hanging(line, width) if self._wrap and width > 0 else [line] for line in self._given)
        old, self._lines = self._lines, tuple(line for lines in wrapped for line in lines)
        if len(old) == len(self._lines):
            self._refresh_changes(old)
            return
        self.virtual_size = Size(self.size.width, len(self._lines))
        if self._fit:
            # The max-height of the style sheet, here too: a dialog would otherwise make room for all lines.
            self.styles.height = max(1, min(len(self._lines), self.app.size.height * 7 // 10))
        self.refresh()

    def _refresh_changes(self, old: tuple[Line, ...]) -> None:
        """Draw the visible lines that differ."""
        top = self.scroll_offset.y
        for y in range(top, min(top + self.size.height, len(self._lines))):
            if old[y] != self._lines[y]:
                self.refresh(Region(0, y - top, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """``y`` counts from the top of the window."""
        index = self.scroll_offset.y + y
        line = self._lines[index] if index < len(self._lines) else ()
        return strip_of(self, line, self.scrollable_content_region.width)
