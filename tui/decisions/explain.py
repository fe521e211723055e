"""The dialog about one decision: request and answer, and each step to the answer that the engine would give now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.units import format_limit, format_size
from mailquota.core.control.messages import Explain as ExplainOrder
from mailquota.core.control.results import DecisionRow, Explanation, Target

from ..desk.desk import Desk
from ..draw import format as fmt
from ..draw.format import Line
from ..frame.dialog import Dialog
from ..widgets.background import background
from ..widgets.painted import Painted
from ..widgets.text_list import TextList
from . import captions as feed_captions
from . import columns

NAME = 13  # cells of the names of facts


class Explain(Dialog[None]):
    """The engine decides as for a request of Postfix, but does not count it."""

    HEADING = "Decision"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", key_display="Esc")]

    def __init__(self, desk: Desk, row: DecisionRow) -> None:
        super().__init__(desk)
        self._row = row
        self._answer: Explanation | None = None

    def body(self) -> Iterable[Widget]:
        """The recipient, and the text."""
        yield Painted(id="who")
        yield TextList(id="details")

    def on_mount(self) -> None:
        """Show the decision, then ask the engine for the steps."""
        self.query_one("#who", Painted).paint([((fmt.literal(self._row.recipient, self.desk.glyphs), "strong"),)])
        self._show()
        self._load()

    def on_resize(self) -> None:
        """Wrap sentences to the new width."""
        super().on_resize()
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        table = self.query_one(TextList)
        lines = list(facts(self._row, self.desk))
        if self._answer is not None:
            lines += steps(self._answer, self.desk, max(20, table.size.width - 1))
        table.show(lines)

    @background()
    async def _load(self) -> None:
        recipient, size = self._row.recipient, self._row.size
        try:
            self._answer = await self.desk.link.ask(lambda number: ExplainOrder(number, recipient, size), Explanation)
        except MailquotaError as error:
            self.message(str(error))
        else:
            self._show()


def facts(row: DecisionRow, desk: Desk) -> Iterator[Line]:
    """The request and its answer."""
    context = desk.context()
    words, style = columns.verdict(row, context)
    when = f" at {fmt.clock(row.at)}, after {fmt.micros(row.micros, desk.glyphs)}"
    yield (*_name("Verdict"), (words, "strong" if style == "quiet" else style), (when, "quiet"))
    yield _fact("Client", columns.client(row, context)[0])
    yield _fact("Sender", columns.sender(row, context)[0])
    if row.mailbox:
        yield _fact("Mailbox", fmt.literal(row.mailbox, desk.glyphs))
    if row.missed:
        yield (*_name("Missed by"), (feed_captions.names(row.missed, context), "near"))
    yield _fact("Size", format_size(row.size) if row.size else "not announced")


def steps(answer: Explanation, desk: Desk, width: int) -> Iterator[Line]:
    """The steps from the recipient to the answer."""
    glyphs = desk.glyphs
    words, style = columns.verdict_of(answer.verdict, desk.context(), shadow=desk.shadow)
    yield ()
    yield (("What would be answered now", "title"),)
    for target in answer.targets:
        yield from _target(target, answer, desk)
    yield (*_name("Verdict"), (words, "strong" if style == "quiet" else style))
    for number, line in enumerate(textwrap.wrap(fmt.literal(answer.action, glyphs), width - NAME)):
        yield _fact("" if number else "Answer", line)
    for line in textwrap.wrap(fmt.literal(answer.why, glyphs), width):
        yield ((line, "quiet"),)


def _target(target: Target, answer: Explanation, desk: Desk) -> Iterator[Line]:
    glyphs = desk.glyphs
    way = [answer.recipient, *target.via, target.address]
    names = list({name.lower(): name for name in reversed(way)}.values())[::-1]
    path = f" {glyphs.becomes} ".join(fmt.literal(name, glyphs) for name in names)
    yield _fact("Resolves to", path if target.kind == "mailbox" else f"{path}, {fmt.literal(target.kind, glyphs)}")
    if target.kind != "mailbox":
        return
    limit = "no limit" if target.limit_bytes is None else f"of {format_limit(target.limit_bytes)}"
    used = "usage not known" if target.used_bytes is None else f"{format_size(target.used_bytes)} used"
    grace = f", grace {format_size(target.grace_bytes)}" if target.grace_bytes else ""
    fits = ("fits", "good") if target.fits else ("does not fit", "over")
    yield (*_name("Usage"), (f"{used} {limit}{grace}  ", "plain"), fits)


def _name(name: str) -> Line:
    return ((f"{name:<{NAME}}", "quiet"),)


def _fact(name: str, value: str) -> Line:
    return (*_name(name), (value, "plain"))
