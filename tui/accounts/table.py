"""The accounts table: a live table of an AccountList, whose cursor follows an address."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.message import Message

from mailquota.core.base.model import AccountRow

from ..desk import account_columns
from ..desk.account_list import AccountList
from ..desk.mark_range import MarkRange
from ..draw.format import Line
from ..draw.grid import Context, Placed
from ..widgets.live_table import LiveTable


class AccountTable(LiveTable):
    """Shows the accounts of the list in its order."""

    STAYS_FIRST = True  # as long as accounts are measured the worst are others each second

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Card", tooltip="everything about the account", key_display="⏎"),
        Binding("right", "slide(1)", "Columns right", show=False, tooltip="the columns that have no room, one by one"),
        Binding("left", "slide(-1)", "Columns left", show=False, tooltip="back to the columns before"),
    ]

    class LaidOut(Message):
        """Other columns are shown."""

    class Opened(Message):
        """Enter was pressed on an account, or it was double-clicked."""

        def __init__(self, row: AccountRow) -> None:
            super().__init__()
            self.row = row

    class Ranged(Message):
        """A range was marked by the mouse."""

    def __init__(self, accounts: AccountList, context: Callable[[], Context], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.accounts = accounts
        self.placed: tuple[Placed[AccountRow], ...] = ()
        self.columns: account_columns.Columns = account_columns.USUAL
        self._slid = 0  # columns behind the address that are out of sight to the left
        self._get_context = context
        self._range: MarkRange | None = None
        self.ranging = False  # the range goes along with each move of the cursor, until it is ended

    @property
    def row(self) -> AccountRow | None:
        """The account under the cursor."""
        return self.accounts.at(self.index)

    # ---- ranges of marks

    def begin_range(self) -> None:
        """From now on each move of the cursor marks."""
        if self.row is not None:
            self.hold()
            self._range, self.ranging = MarkRange(self.accounts, self.index), True

    def end_range(self, *, keep: bool = True) -> None:
        """Moves mark no more; ``keep`` False: what the range has marked is unmarked."""
        if self._range is not None and not keep:
            self._range.take_back()
        self._range, self.ranging = None, False

    def extend(self, index: int) -> None:
        """Mark from where the range began, else from the cursor, to a line, and move there."""
        if self.row is None:
            return
        self.hold()
        if self._range is None:
            self._range = MarkRange(self.accounts, self.index)
        self._range.go(max(0, min(index, self.count() - 1)))
        super().go_to(index)

    def go_to(self, index: int) -> None:
        """Move the cursor; a range goes along, but one by Shift ends."""
        if self.ranging:
            self.extend(index)
        else:
            self._range = None
            super().go_to(index)

    def clicked_with_shift(self, index: int) -> None:
        """Mark from the cursor to here."""
        self.extend(index)
        self.post_message(self.Ranged())

    def reorder(self) -> None:
        """Other accounts are between the ends of a range, so it ends, with its marks."""
        self.end_range()
        super().reorder()

    # ---- what is in it

    def on_screen(self) -> list[str]:
        """The addresses on the screen, from the top."""
        top = self.scroll_offset.y
        return self.accounts.order[top : top + self.size.height]

    def count(self) -> int:
        """How many match the filter."""
        return len(self.accounts)

    def identity_at(self, index: int) -> Hashable | None:
        """The address of the account."""
        row = self.accounts.at(index)
        return row.address if row is not None else None

    def find(self, key: Hashable) -> int | None:
        return self.accounts.find(cast("str", key))

    def line_at(self, index: int) -> Line:
        """The line of the account, with the sign of a marked one."""
        row = self.accounts.rows[self.accounts.order[index]]
        return account_columns.cells(row, self.placed, self._get_context(), marked=row.address in self.accounts.marks)

    @property
    def more(self) -> tuple[bool, bool]:
        """Whether there are columns out of sight to the left, and to the right."""
        return self._slid > 0, self._slid + len(self.placed) < len(self.columns)

    def lay_out(self) -> None:
        """Choose the columns that fit."""
        self._slid = min(self._slid, account_columns.slides(self.cells, self.columns))
        self.placed = account_columns.arrange(self.cells, self.columns, self._slid)
        self.post_message(self.LaidOut())

    def choose(self, columns: account_columns.Columns) -> None:
        """Show these columns."""
        self.columns = columns
        self._arrange()

    def action_slide(self, step: int) -> None:
        """Slide the columns behind the address by one."""
        self._slid = max(0, self._slid + step)
        self._arrange()

    def _arrange(self) -> None:
        self.lay_out()
        self.redraw()

    def action_open(self) -> None:
        """Post that the card of this account is to be shown."""
        if self.row is not None:
            self.hold()
            self.post_message(self.Opened(self.row))
