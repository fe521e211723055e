"""A table whose rows come, go and move while they are read; only the visible lines are drawn.

Theory of operation. The cursor is the key of a row; its line is looked up after each change, so it follows its row
through sorting, filtering and changes. If the row goes away the cursor stays on the line. While the cursor is in view
it is kept on the same line of the screen, as far as the ends of the list allow. In a table that is sorted by a
value (STAYS_FIRST) a cursor that nobody has moved follows no row: it stays on the first line, whatever row that is.

``_drawn`` has what each visible line shows. After a change the visible lines are made anew, a few dozen, and only
those that differ are drawn; how many rows there are does not matter.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ..draw.format import Line
from .painted import strip_of


class LiveTable(ScrollView, can_focus=True, inherit_bindings=False):
    """A subclass says what is in the table."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k,N", "move(-1)", "Up", show=False, tooltip="one line up"),  # with a filter, each is a match
        Binding("down,j,n", "move(1)", "Down", show=False, tooltip="one line down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, tooltip="one page up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, tooltip="one page down"),
        Binding("ctrl+u", "page(-1, 2)", "Half page up", show=False, tooltip="half a page up"),
        Binding("ctrl+d", "page(1, 2)", "Half page down", show=False, tooltip="half a page down"),
        Binding("home,g", "edge(0)", "First", show=False, tooltip="to the first line"),
        Binding("end,G", "edge(-1)", "Last", show=False, tooltip="to the last line"),
    ]
    ALLOW_SELECT = False
    STAYS_FIRST: ClassVar[bool] = False

    class Moved(Message):
        """The operator moved the cursor."""

    class Scrolled(Message):
        """Other rows may be visible."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.notice: tuple[Line, ...] = ()
        self.index = 0  # the cursor's line in the list
        self._key: Hashable | None = None
        self._moved = False  # the operator has moved the cursor
        self._laid_out = 0  # the width in cells that the columns were chosen for
        self._drawn: dict[int, tuple[Line, str]] = {}

    # ---- what is in it

    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def identity_at(self, index: int) -> Hashable | None:
        """The key of the row on line ``index``; None beyond the ends."""
        raise NotImplementedError

    def find(self, key: Hashable) -> int | None:
        """The line of the row with this key; None if it is not shown."""
        raise NotImplementedError

    def line_at(self, index: int) -> Line:
        """The row on line ``index``, which exists."""
        raise NotImplementedError

    def lay_out(self) -> None:
        """The table has another width: choose the columns that fit."""

    def action_open(self) -> None:
        """Show more about the row under the cursor."""

    # ---- the cursor

    @property
    def cells(self) -> int:
        """The width of a line; the scrollbar has a cell of its own."""
        return self.scrollable_content_region.width

    def pinned(self, index: int) -> Hashable | None:
        """The key that the cursor follows if it is moved to this line."""
        return self.identity_at(index)

    def stays(self, index: int) -> bool:
        """Whether the window stays where it is although the row under the cursor moved to line ``index``."""
        return self.scroll_offset.y == 0 and index < self.size.height

    def cursor_spot(self) -> Offset:
        """The cell of the screen at which the row under the cursor begins; the first line if it is out of view."""
        line = self.index - self.scroll_offset.y
        return self.region.offset + Offset(0, line if 0 <= line < self.size.height else 0)

    def action_move(self, step: int) -> None:
        """Move the cursor by so many lines."""
        self.go_to(self.index + step)

    def action_page(self, direction: int, part: int = 1) -> None:
        """Move the cursor and the window by a page, less one line, which stays visible, or by a ``part`` of it."""
        page = max(1, (self.size.height - 1) // part)
        self._scroll(self.scroll_offset.y + direction * page)
        self.go_to(self.index + direction * page)

    def action_edge(self, index: int) -> None:
        """Move to the first (0) or the last (-1) row."""
        self.go_to(index if index >= 0 else self.count() - 1)

    def go_to(self, index: int) -> None:
        """Move the cursor to a line, or to the nearest one that exists."""
        self._moved = True
        self._go_to(index)

    def hold(self) -> None:
        """From now on the cursor follows the row that it is on: the operator has acted on that."""
        self._moved = True
        self._key = self.pinned(self.index)

    @property
    def held(self) -> Hashable | None:
        """The key of the row that the cursor is on and follows; None where nobody has moved it yet."""
        return self._key if self._moved else None

    def go_back(self, key: Hashable | None, top: int) -> None:
        """The cursor and the first line as they were: on the row of this key, or unmoved."""
        found = self.find(key) if key is not None else None
        self._moved = key is not None
        self._scroll(top)
        self._go_to(found if found is not None else 0)

    def _go_to(self, index: int) -> None:
        self.index = max(0, min(index, self.count() - 1))
        self._key = self.pinned(self.index)
        top, height = self.scroll_offset.y, self.size.height
        if self.index < top:
            self._scroll(self.index)
        elif self.index >= top + height:
            self._scroll(self.index - height + 1)
        self.redraw()
        self.post_message(self.Moved())

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, force=True)

    # ---- changes

    def reload(self) -> None:
        """The rows changed: find the row of the cursor again, and draw the lines that differ."""
        count = self.count()
        if self.virtual_size.height != count:
            self.virtual_size = Size(self.cells, count)
        follows = self._moved or not self.STAYS_FIRST
        found = self.find(self._key) if self._key is not None and follows else None
        index = found if found is not None else max(0, min(self.index, count - 1))
        on_line = self.index - self.scroll_offset.y  # where the cursor was on the screen; it stays there
        self.index = index
        self._key = self.pinned(index)
        if 0 <= on_line < self.size.height and not self.stays(index):
            self._scroll(index - on_line)
        self.redraw()
        self.post_message(self.Scrolled())

    def reorder(self) -> None:
        """The operator sorted or filtered. A cursor that was never moved stays on the first line."""
        if not self.index:
            self._key = None
        self.reload()

    def redraw(self) -> None:
        """Draw the lines that differ from those on the screen."""
        self._lay_out()
        for y in range(self.size.height):
            if self._line(y) != self._drawn.get(y):
                self.refresh(Region(0, y, self.cells, 1))

    # ---- drawing

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._go_to(self.index)
        self.post_message(self.Scrolled())

    def _lay_out(self) -> None:
        """Lay out after the resize: the scrollbar takes its cell later."""
        if self._laid_out != self.cells:
            self._laid_out = self.cells
            self.lay_out()
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """``y`` counts from the top of the window."""
        self._lay_out()
        line, under = self._line(y)
        self._drawn[y] = (line, under)
        return strip_of(self, line, self.cells, under)

    def _line(self, y: int) -> tuple[Line, str]:
        index = self.scroll_offset.y + y
        if not 0 <= index < self.count():
            return self._notice_line(y), "plain"
        line = self.line_at(index)
        if index != self.index:
            return line, "plain"
        return line, "cursor" if self.has_focus else "cursor-blurred"

    def _notice_line(self, y: int) -> Line:
        """A line of the text in place of rows."""
        start = max(0, (self.size.height - len(self.notice)) // 3)
        inside = not self.count() and start <= y < start + len(self.notice)
        return self.notice[y - start] if inside else ()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw the rows that come into view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())

    # ---- the mouse

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click opens the row."""
        index = self.scroll_offset.y + event.y
        if index < self.count():
            if event.shift:
                self.clicked_with_shift(index)
                return
            self.clicked(index)
            if event.chain == 2:
                self.action_open()

    def clicked(self, index: int) -> None:
        """Move the cursor to the line that was clicked."""
        self.go_to(index)

    def clicked_with_shift(self, index: int) -> None:
        """A click with Shift, from terminals that pass it on, is a plain one where there are no ranges."""
        self.clicked(index)

    def on_focus(self) -> None:
        """Draw the cursor as that of the table with the keys."""
        self.redraw()

    def on_blur(self) -> None:
        """Draw the cursor as that of a table without the keys."""
        self.redraw()
