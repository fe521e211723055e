"""A warning as it would be sent now, to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.base.errors import MailquotaError
from mailquota.core.control.messages import PreviewWarning
from mailquota.core.control.results import Preview as PreviewResult
from mailquota.tui.desk.desk import Desk
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.grid import Look
from mailquota.tui.frame.dialog import Dialog
from mailquota.tui.warnings import rows as warned
from mailquota.tui.warnings.send_test import SendTest
from mailquota.tui.widgets.background import background
from mailquota.tui.widgets.painted import Painted
from mailquota.tui.widgets.text_list import TextList


class Preview(Dialog[None]):
    """With a key to send it to oneself."""

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
        """To whom, and a list to scroll."""
        yield Painted(id="who")
        yield TextList(id="details", wrap=True)

    def on_mount(self) -> None:
        """Ask for it."""
        name = fmt.literal(self._address, self.desk.glyphs)
        about = warned.mark_words(self._mark, self.desk.look())
        self.query_one("#who", Painted).paint([((name, "strong"), (f"   {about}", "quiet"))])
        self._load()

    @background()
    async def _load(self) -> None:
        try:
            preview = await ask_preview(self.desk, self._address, self._mark)
        except MailquotaError as error:
            self.message(str(error))
            return
        self.query_one(TextList).show(list(preview_lines(preview, self.desk.look())))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Who may only look sends nothing."""
        return self.desk.may_change or action != "send_test"

    def action_send_test(self) -> None:
        """Ask where to."""
        self.app.push_screen(SendTest(self.desk, self._address, self._mark), self._done)

    def _done(self, line: Line | None) -> None:
        if line is not None:
            self.message("".join(text for text, _look in line), line[-1][1])


async def ask_preview(desk: Desk, address: str, mark: str) -> PreviewResult:
    """Of the engine. Raises MailquotaError."""
    result: PreviewResult = await desk.link.ask(lambda number: PreviewWarning(number, address, mark), PreviewResult)
    return result


def preview_lines(preview: PreviewResult, look: Look) -> Iterator[Line]:
    """The subject, the text, and what is to be said about the template."""
    glyphs = look.glyphs
    yield (("Subject  ", "quiet"), (fmt.literal(preview.subject, glyphs), "strong"))
    yield ()
    for line in preview.text.rstrip().splitlines():
        yield (("", "plain"), (fmt.literal(line, glyphs), "plain"))
    if preview.remark:
        yield ()
        yield (("", "plain"), (fmt.literal(preview.remark, glyphs), "near"))
