"""The Warnings screen: which mailbox owners were warned, at which threshold, and who is due."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import GetWarnings
from mailquota.core.control.results import WarningRow

from ..desk.desk import Desk
from ..desk.tiles import Tile
from ..desk.typed import Doing, takes
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.rows import RowList
from ..draw.sheet import Sheet, parts
from ..frame import guide
from ..frame.list_screen import TO_CARD
from ..frame.polled_screen import PolledScreen
from ..widgets.row_table import RowTable
from . import rows as warning_rows
from .preview import Preview
from .trial import SendTest
from .warn import AGAIN, Warn


class WarningTable(RowTable[WarningRow]):
    """The warnings; Enter shows the mail."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Preview", tooltip="show the mail as it would be sent now", key_display="⏎"),
    ]


class WarningsScreen(PolledScreen[WarningRow]):
    """The newest warnings first, with those that wait to be sent."""

    TITLE = "Warnings"
    START = GIVEN = "when"
    FEED = True
    FORMS = "text  queued  failed  sent  below  operator  !word"
    EMPTY = (
        "Nobody was warned yet.",
        "A mailbox that reaches a threshold gets a mail, even if it is full:",
        "see warnings.thresholds, by default 80 and 95 percent. Each is listed here.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "warn", "Warn again", tooltip="send it again now; shows it first", id="warn"),
        Binding("s", "send_test", "Send test", tooltip="send this warning to an address of yours"),
        *TO_CARD,
    ]

    def __init__(self, desk: Desk) -> None:
        rows: RowList[WarningRow] = RowList(lambda row: row.id, warning_rows.text)
        super().__init__(
            desk, WarningTable(rows, warning_rows.COLUMNS, desk.context, warning_rows.lead, warning_rows.LEAD)
        )

    async def fetch(self) -> list[WarningRow]:
        """The newest warnings. Raises MailquotaError."""
        rows: list[WarningRow] = await self.desk.link.ask(
            lambda number: GetWarnings(number, most=warning_rows.LISTED), list[WarningRow]
        )
        return rows

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """The states of a warning."""
        return guide.warnings(glyphs)

    def tiles(self) -> tuple[Tile, ...]:
        """How many warnings are due, failed, and were sent within a day."""
        return warning_rows.totals(self.rows.all, self.desk.session.status, self.desk.context())

    def detail_line(self) -> Line:
        """The warning under the cursor."""
        return warning_rows.detail(self.table.row, self.size.width, self.desk.context())

    def sheet(self) -> Sheet[WarningRow]:
        """The warnings that match the filter."""
        columns = parts(self.placed, warning_rows.KEYS)
        return Sheet("warnings", self.rows.shown, columns, warning_rows.record, "warning")

    # ---- keys

    def action_card(self) -> None:
        """Show the card of the account."""
        row = self.table.row
        if row is not None:
            self.table.hold()
            self.show_card(row.address)

    def open(self, row: WarningRow) -> None:
        """Show the mail."""
        self.app.push_screen(Preview(self.desk, row.address, warning_rows.order_threshold(row.mark)))

    def action_send_test(self) -> None:
        """Ask for the address to send the mail to as a test."""
        self._send_test()

    @takes("ADDRESS")
    def typed_send_test(self, rest: str) -> Doing:
        """``send-test me@example.org``: the warning under the cursor."""
        return partial(self._send_test, rest)

    def _send_test(self, to: str = "") -> None:
        row = self.table.row
        if row is not None and not self.refuses("send_test"):
            mark = warning_rows.order_threshold(row.mark)
            self.app.push_screen(SendTest(self.desk, row.address, mark, to), self.done)

    def action_warn(self) -> None:
        """Ask whether to warn once more. The mail is sent even if the owner was warned a short time ago."""
        row = self.table.row
        if row is not None and not self.refuses("warn"):
            account = self.desk.accounts.rows.get(row.address) or AccountRow(row.address, row.limit_bytes)
            mark = warning_rows.order_threshold(row.mark)
            self.app.push_screen(Warn(self.desk, [account], mark=mark, source=AGAIN), self.done)
