"""The accounts table: a window on an AccountList, of which only the visible lines are ever drawn.

Theory of operation. The cursor is an address; its line is looked up after each change, so it follows its account
through sorting, filtering and refreshes. If the account goes away the cursor stays on the line. While the cursor is in
view it is kept on the same line of the screen, as far as the ends of the list allow.

``_drawn`` holds what each visible line shows. After a change the visible lines are made anew, a few dozen, and only
those that differ are drawn again; how many accounts there are does not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.model import AccountRow
from tui import columns
from tui.columns import Look, Placed
from tui.format import Line
from tui.model import AccountList
from tui.widgets.painted import LOOKS, strip_of


class AccountTable(ScrollView, can_focus=True, inherit_bindings=False):
    """See the theory of operation above."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, tooltip="one account up"),
        Binding("down,j", "move(1)", "Down", show=False, tooltip="one account down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, tooltip="one page up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, tooltip="one page down"),
        Binding("home,g", "edge(0)", "First", show=False, tooltip="to the first account"),
        Binding("end,G", "edge(-1)", "Last", show=False, tooltip="to the last account"),
        Binding("enter", "open", "Details", tooltip="everything about the account", key_display="⏎"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {*LOOKS, "cursor", "cursor-blurred"}
    ALLOW_SELECT = False

    class Moved(Message):
        """The operator moved the cursor."""

    class Scrolled(Message):
        """Other accounts may be visible."""

    class Opened(Message):
        """Enter or a double click on an account."""

        def __init__(self, row: AccountRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, accounts: AccountList, look: Callable[[], Look], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.accounts = accounts
        self.placed: tuple[Placed, ...] = ()
        self.notice: tuple[Line, ...] = ()
        self._look = look
        self._arranged = 0  # cells
        self._index = 0
        self._address: str | None = None
        self._drawn: dict[int, tuple[Line, str]] = {}

    # ---- the cursor

    @property
    def cells(self) -> int:
        """The width of a line; the scrollbar has its own cell."""
        return self.scrollable_content_region.width

    @property
    def row(self) -> AccountRow | None:
        """The account under the cursor."""
        return self.accounts.at(self._index)

    def on_screen(self) -> list[str]:
        """The addresses on the screen, from the top."""
        top = self.scroll_offset.y
        return self.accounts.order[top : top + self.size.height]

    def action_move(self, step: int) -> None:
        """Move the cursor by lines."""
        self._go(self._index + step)

    def action_page(self, direction: int) -> None:
        """Move the cursor and the window by what is visible, less one line to keep the eye oriented."""
        page = max(1, self.size.height - 1)
        self._scroll(self.scroll_offset.y + direction * page)
        self._go(self._index + direction * page)

    def action_edge(self, index: int) -> None:
        """To the first (0) or the last (-1) account."""
        self._go(index if index >= 0 else len(self.accounts) - 1)

    def action_open(self) -> None:
        """Tell that this account is wanted."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def _go(self, index: int) -> None:
        self._index = max(0, min(index, len(self.accounts) - 1))
        row = self.row
        self._address = row.address if row is not None else None
        top, height = self.scroll_offset.y, self.size.height
        if self._index < top:
            self._scroll(self._index)
        elif self._index >= top + height:
            self._scroll(self._index - height + 1)
        self.redraw()
        self.post_message(self.Moved())

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=top, animate=False, force=True)

    # ---- changes

    def reload(self) -> None:
        """The list changed: find the cursor's account again and draw what differs."""
        count = len(self.accounts)
        if self.virtual_size.height != count:
            self.virtual_size = Size(self.cells, count)
        found = self.accounts.find(self._address) if self._address is not None else None
        index = found if found is not None else max(0, min(self._index, count - 1))
        top, on_line = self.scroll_offset.y, self._index - self.scroll_offset.y
        self._index = index
        row = self.row
        self._address = row.address if row is not None else None
        if 0 <= on_line < self.size.height and not (top == 0 and index < self.size.height):
            self._scroll(index - on_line)
        self.redraw()
        self.post_message(self.Scrolled())

    def reorder(self) -> None:
        """Another order or another filter by hand. A cursor that was never moved stays at the top, with the answer."""
        if not self._index:
            self._address = None
        self.reload()

    def redraw(self) -> None:
        """Draw the lines that differ from what is on the screen."""
        self._arrange()
        for y in range(self.size.height):
            if self._line(y) != self._drawn.get(y):
                self.refresh(Region(0, y, self.cells, 1))

    # ---- drawing

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._go(self._index)
        self.post_message(self.Scrolled())

    def _arrange(self) -> None:
        """Give the columns their cells; the scrollbar takes its cell after the resize was told."""
        if self._arranged != self.cells:
            self._arranged = self.cells
            self.placed = columns.arrange(columns.COLUMNS, self.cells)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """As Textual asks; ``y`` counts from the top of the window."""
        self._arrange()
        line, under = self._line(y)
        self._drawn[y] = (line, under)
        return strip_of(self, line, self.cells, under)

    def _line(self, y: int) -> tuple[Line, str]:
        index = self.scroll_offset.y + y
        row = self.accounts.at(index)
        if row is None:
            return self._notice_line(y), "plain"
        line = columns.cells(row, self.placed, self._look(), marked=row.address in self.accounts.marks)
        if index != self._index:
            return line, "plain"
        return line, "cursor" if self.has_focus else "cursor-blurred"

    def _notice_line(self, y: int) -> Line:
        """What stands where no accounts are."""
        start = max(0, (self.size.height - len(self.notice)) // 3)
        inside = not self.accounts and start <= y < start + len(self.notice)
        return self.notice[y - start] if inside else ()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other accounts come into view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled())

    # ---- the mouse

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a double click opens."""
        index = self.scroll_offset.y + event.y
        if index < len(self.accounts):
            self._go(index)
            if event.chain == 2:
                self.action_open()

    def on_focus(self) -> None:
        """The cursor shows whether keys go here."""
        self.redraw()

    def on_blur(self) -> None:
        """Same."""
        self.redraw()
