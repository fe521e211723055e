"""The dialog that shows a warning as it would be sent now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.messages import PreviewWarning
from mailquota.core.control.results import Preview as PreviewResult

from ..desk.desk import Desk
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.grid import Context
from ..frame.dialog import Dialog
from ..widgets.background import background
from ..widgets.painted import Painted
from ..widgets.text_list import TextList
from .trial import SendTest


class Preview(Dialog[None]):
    """Shows the mail, with a key that sends it to another address as a test."""

    HEADING = "Warning"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "send_test", "Send test"),
        Binding("escape,enter,q", "close", "Close", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, address: str, mark: str) -> None:
        super().__init__(desk)
        self._address = address
        self._mark = mark

    def body(self) -> Iterable[Widget]:
        """The account and the threshold, and the mail."""
        yield Painted(id="who")
        yield TextList(id="details", wrap=True)

    def on_mount(self) -> None:
        """Ask the engine for the mail."""
        name = fmt.literal(self._address, self.desk.glyphs)
        about = fmt.threshold(self._mark, self.desk.glyphs)
        self.query_one("#who", Painted).paint([((name, "strong"), (f"   {about}", "quiet"))])
        self._load()

    @background()
    async def _load(self) -> None:
        try:
            preview = await ask_preview(self.desk, self._address, self._mark)
        except MailquotaError as error:
            self.message(str(error))
            return
        self.query_one(TextList).show(list(preview_lines(preview, self.desk.context())))

    def action_send_test(self) -> None:
        """Ask for the address to send the mail to as a test."""
        if not self.refuses("send_test"):
            self.app.push_screen(SendTest(self.desk, self._address, self._mark), self._done)

    def _done(self, line: Line | None) -> None:
        if line is not None:
            self.message("".join(text for text, _look in line), line[-1][1])


async def ask_preview(desk: Desk, address: str, mark: str) -> PreviewResult:
    """The mail for a threshold, or for the present state if ``mark`` is empty. Raises MailquotaError."""
    result: PreviewResult = await desk.link.ask(lambda number: PreviewWarning(number, address, mark), PreviewResult)
    return result


def preview_lines(preview: PreviewResult, context: Context) -> Iterator[Line]:
    """The subject and the text of the mail, and what is wrong with the template."""
    glyphs = context.glyphs
    yield (("Subject  ", "quiet"), (fmt.literal(preview.subject, glyphs), "strong"))
    yield ()
    for line in preview.text.rstrip().splitlines():
        yield (("", "plain"), (fmt.literal(line, glyphs), "plain"))
    if preview.remark:
        yield ()
        yield (("", "plain"), (fmt.literal(preview.remark, glyphs), "near"))
