"""The dialog that sends warnings now: it shows the mail, then asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_count
from mailquota.core.control.messages import Warn as WarnOrder
from mailquota.core.control.results import WarnResult

from ..desk.desk import Desk
from ..draw import command_line
from ..draw import format as fmt
from ..draw.format import Line
from ..frame.dialog import MANY, Dialog, is_number
from ..widgets.background import background
from ..widgets.field import Field
from ..widgets.painted import Painted
from ..widgets.text_list import TextList
from . import rows as warning_rows
from .preview import ask_preview, preview_lines

TYPING_SECONDS = 0.3
OPERATOR, AGAIN = "operator", "again"  # an AGAIN is sent even if the owner was warned a short time ago


class Warn(Dialog[Line | None]):
    """For one account it shows the mail. Dismissed with a line about what was sent."""

    HEADING = "Warn"
    AUTO_FOCUS = "#send"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next", key_display="Tab"),
        Binding("left", "app.focus_previous", "Previous", show=False),
        Binding("right", "app.focus_next", "Next", show=False),
        Binding("escape", "close", "Cancel", key_display="Esc"),
        Binding("escape,enter", "finish", "Close", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, rows: list[AccountRow], *, mark: str = "", source: str = OPERATOR) -> None:
        super().__init__(desk)
        self._rows = rows
        self._mark = mark
        self._source = source
        self._sent = False
        self._done: Line | None = None

    def body(self) -> Iterable[Widget]:
        """The accounts, the threshold, the mail, the buttons."""
        yield Painted(id="who")
        yield Field("About", self._mark, id="mark", placeholder="as it is now; or 80, 95, below")
        if len(self._rows) > MANY:
            yield Field("How many", id="count", placeholder=f"type {len(self._rows)} to confirm")
        yield TextList(id="mail", wrap=True)
        with Horizontal(id="buttons"):
            yield Button("Send", id="send", compact=True)
            yield Button("Cancel", id="cancel", compact=True)

    def on_mount(self) -> None:
        """Ask the engine for the mail, if it is for one account."""
        self.show_who(self._rows)
        if len(self._rows) == 1:
            self._ask_preview()
        else:
            self._list([(("Each owner gets a warning about their own mailbox.", "quiet"),)])

    def _list(self, lines: list[Line]) -> None:
        self.query_one(TextList).show(lines)

    @property
    def _about(self) -> str:
        return self.query_one("#mark", Input).value.strip().removesuffix("%").strip()

    def addresses(self) -> Sequence[str]:
        """The accounts whose owners are warned."""
        return [row.address for row in self._rows]

    def command(self, addresses: Sequence[str]) -> list[list[str]]:
        """``mailquota warn``, once for each account."""
        options = ["--again"] if self._source == AGAIN else []
        return [command_line.addressed("warn", options, [self._about or "now", each]) for each in addresses]

    @on(Input.Changed, "#mark")
    def _typed(self) -> None:
        self.show_command()
        if len(self._rows) == 1:
            self._ask_preview(TYPING_SECONDS)

    @background(exclusive=True, group="preview")
    async def _ask_preview(self, delay: float = 0.0) -> None:
        await asyncio.sleep(delay)
        try:
            preview = await ask_preview(self.desk, self._rows[0].address, self._about)
        except MailquotaError as error:
            self.message(str(error), "near")
            return
        self.message("")
        self._list(list(preview_lines(preview, self.desk.context())))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Esc is Cancel; once something was sent, Esc and Enter are Close."""
        return {"close": self._done is None, "finish": self._done is not None}.get(action, True)

    @on(Button.Pressed, "#cancel")
    def action_finish(self) -> None:
        """Close, and hand over what was sent: the list shows it too."""
        if self.may_leave():
            self.dismiss(self._done)

    @on(Button.Pressed, "#send")
    def _pressed(self) -> None:
        if len(self._rows) > MANY and not is_number(self.query_one("#count", Input).value, len(self._rows)):
            self.message(f"These are {format_count(len(self._rows))} accounts: type the number to confirm.", "near")
            self.set_focus(self.query_one("#count", Input))
            return
        if self._sent:
            return
        self._sent = True
        self.sent(f"Sending {self.desk.glyphs.ellipsis}")
        self._send()

    @background(outlives=True)
    async def _send(self) -> None:
        addresses, mark, source = [row.address for row in self._rows], self._about, self._source
        try:
            results: list[WarnResult] = await self.desk.link.ask(
                lambda number: WarnOrder(number, addresses, mark, source), list[WarnResult]
            )
        except MailquotaError as error:
            self._try_again(str(error))
            return
        context = self.desk.context()
        if len(results) > 1:
            self._end(list(warning_rows.outcomes(results, context)))
            return
        words, style = warning_rows.outcome(results[0], context)
        if results[0].error:
            self._try_again(words)
        else:
            self.end(((f"{fmt.literal(results[0].address, context.glyphs)}: {words}", style),))

    def _try_again(self, reason: str) -> None:
        self._sent = False
        self.failed(reason)

    def _end(self, lines: list[Line]) -> None:
        """Show what was done for each of several accounts; the dialog can then only be closed."""
        self._done = lines[0]
        if not self.answered(lines[0]):
            return
        self.message("")
        self._list(lines)
        for each in self.query(".field, #buttons"):
            each.display = False
        self.set_focus(self.query_one(TextList))
        self.refresh_bindings()
