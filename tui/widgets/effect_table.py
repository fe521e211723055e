"""A list of what a new limit means for each account; ``x`` leaves one out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, cast

from textual.binding import Binding, BindingType
from textual.message import Message

from ..draw import effects, grid
from ..draw.effects import Effect
from ..draw.format import Line
from ..draw.grid import Context, Placed
from .live_table import LiveTable
from .table_header import TableHeader


class EffectTable(LiveTable):
    """``out`` has the addresses that are left out. ``choosing`` False: none can be."""

    STAYS_FIRST = True  # another limit may make others the worst

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "x,space", "leave_out", "Leave out", tooltip="leave this account out, or take it in again", key_display="x"
        ),
        Binding("enter", "apply", "Apply", key_display="⏎"),
    ]

    class LeftOut(Message):
        """Another account is left out, or taken in again."""

    class Applied(Message):
        """Enter was pressed."""

    def __init__(
        self, context: Callable[[], Context], header: TableHeader, *, choosing: bool = True, id: str | None = None  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(id=id)
        self.out: set[str] = set()
        self.placed: Sequence[Placed[Effect]] = ()
        self._rows: Sequence[Effect] = ()
        self._places: dict[str, int] = {}
        self._get_context = context
        self._header = header
        self._choosing = choosing

    def show(self, rows: Sequence[Effect]) -> None:
        """Show these, in this order."""
        self._rows = rows
        self._places = {row.address: place for place, row in enumerate(rows)}
        self.reload()

    def count(self) -> int:
        return len(self._rows)

    def identity_at(self, index: int) -> Hashable | None:
        return self._rows[index].address if 0 <= index < len(self._rows) else None

    def find(self, key: Hashable) -> int | None:
        return self._places.get(cast("str", key))

    def line_at(self, index: int) -> Line:
        row, context = self._rows[index], self._get_context()
        line = grid.cells(row, self.placed, context, effects.lead(row, context))
        return effects.left_out(line) if row.address in self.out else line

    def lay_out(self) -> None:
        """Choose the columns that fit, and show their titles."""
        self.placed = grid.arrange(effects.COLUMNS, self.cells, effects.LEAD)
        self._header.show(self.placed)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer to leave accounts out only where that can be done."""
        return self._choosing or action != "leave_out"

    def action_leave_out(self) -> None:
        """Leave the account under the cursor out, or take it in again, and move to the next."""
        address = self.identity_at(self.index)
        if isinstance(address, str):
            self.out.symmetric_difference_update({address})
            self.action_move(1)
            self.post_message(self.LeftOut())

    def action_apply(self) -> None:
        """Post that the dialog is to be carried out."""
        self.post_message(self.Applied())
