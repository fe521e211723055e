"""The dialog that sends a warning to another address, as a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.messages import TrialWarning
from mailquota.core.control.results import WarnResult

from ..desk.desk import Desk
from ..draw import command_line
from ..draw import format as fmt
from ..draw.format import Line
from ..frame.dialog import Dialog
from ..widgets.background import background
from ..widgets.field import Field
from ..widgets.painted import Painted
from . import rows as warning_rows


class SendTest(Dialog[Line | None]):
    """The owner of the mailbox gets nothing. Dismissed with a line about what was sent."""

    HEADING = "Send test"
    AUTO_FOCUS = "#to"

    def __init__(self, desk: Desk, address: str, mark: str, to: str = "") -> None:
        super().__init__(desk)
        self._start = to
        self._address = address
        self._mark = mark
        self._sent = False

    def body(self) -> Iterable[Widget]:
        """Whose warning it is, and the field for the address."""
        yield Painted(id="who")
        yield Field("Send to", self._start, id="to", placeholder="an address of yours", applies=True)

    def on_mount(self) -> None:
        """Show whose warning would be sent."""
        name = fmt.literal(self._address, self.desk.glyphs)
        about = fmt.threshold(self._mark, self.desk.glyphs)
        self.query_one("#who", Painted).paint(
            [(("The warning of ", "quiet"), (name, "strong"), (f", {about}", "quiet"))]
        )

    @property
    def _to(self) -> str:
        return self.query_one("#to", Input).value.strip()

    def command(self, addresses: Sequence[str]) -> list[list[str]]:  # noqa: ARG002
        """``mailquota warn --test-to``."""
        if "@" not in self._to:
            return []
        to = command_line.option("--test-to", self._to)
        return [command_line.addressed("warn", to, [self._mark or "now", self._address])]

    @on(Input.Changed)
    def _typed(self) -> None:
        self.show_command()

    @on(Input.Submitted)
    def _apply(self) -> None:
        to = self._to
        if "@" not in to:
            self.message("That is no mail address", "near")
        elif not self._sent:
            self._sent = True
            self.sent(f"Sending {self.desk.glyphs.ellipsis}")
            self._send(to)

    @background(outlives=True)
    async def _send(self, to: str) -> None:
        address, mark = self._address, self._mark
        try:
            result: WarnResult = await self.desk.link.ask(
                lambda number: TrialWarning(number, address, mark, to), WarnResult
            )
        except MailquotaError as error:
            self._fail(str(error))
            return
        if result.error:
            self._fail(result.error)
        else:
            words = (
                f"Test to {fmt.literal(to, self.desk.glyphs)}: {warning_rows.outcome(result, self.desk.context())[0]}"
            )
            self.end(((words, "good"),))

    def _fail(self, reason: str) -> None:
        self._sent = False
        self.failed(reason)
