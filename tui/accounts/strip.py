"""The newest decisions below the accounts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from mailquota.core.control.results import DecisionRow

from ..decisions import columns
from ..desk.session import Session
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from ..widgets.painted import Painted

TIME, VERDICT, SIZE, MICROS, CLIENT = 8, 12, 9, 7, 24  # cells


def decision_line(row: DecisionRow, width: int, context: Context) -> Line:
    """A decision in one line: time, verdict, sender and recipient, size, duration; the client if there is room."""
    glyphs = context.glyphs
    word, style = columns.verdict(row, context)
    runs: list[Run] = [
        (f" {fmt.clock(row.at)}  ", "quiet"),
        (fmt.fit(word, VERDICT, glyphs), style),
        ("  ", "plain"),
    ]
    if width >= 130:
        text, style = columns.client(row, context)
        runs += [(fmt.fit(text, CLIENT, glyphs), style), ("  ", "plain")]
    room = width - fmt.width_of(runs) - SIZE - MICROS - 4
    runs += _path(row, max(10, room), context)
    text, style = columns.size(row, context)
    runs.append((fmt.fit(text, SIZE, glyphs, right=True) + "  ", style))
    runs.append((fmt.fit(fmt.micros(row.micros, glyphs), MICROS, glyphs, right=True), "quiet"))
    return tuple(runs)


def _path(row: DecisionRow, width: int, context: Context) -> list[Run]:
    """The sender, the recipient, and the mailbox behind an alias, in exactly ``width`` cells."""
    glyphs = context.glyphs
    sender, _style = columns.sender(row, context)
    recipient, _style = columns.recipient(row, context)
    tail = fmt.fit(recipient, min(width, fmt.width_of([(recipient, "")])), glyphs)
    arrow = f" {glyphs.arrow} "
    room = width - fmt.width_of([(tail, "")]) - len(arrow)
    if room < 6:
        return [(fmt.fit(tail, width, glyphs), "plain")]
    head = fmt.fit(sender, min(room, fmt.width_of([(sender, "")])), glyphs)
    rest = " " * (room - fmt.width_of([(head, "")]))
    return [(head, "quiet"), (arrow, "quiet"), (tail, "plain"), (rest, "plain")]


class DecisionStrip(Painted):
    """As many of the newest decisions as it has lines."""

    def __init__(self, session: Session, context: Callable[[], Context]) -> None:
        super().__init__(id="decisions")
        self._session = session
        self._get_context = context

    def on_resize(self) -> None:
        """Draw as many decisions as fit into the new size."""
        self.show()

    def show(self) -> None:
        """Draw the lines that differ."""
        height, context = self.size.height, self._get_context()
        if not height:
            return
        newest = list(islice(reversed(self._session.decisions), height))
        lines: list[Line] = [decision_line(row, self.size.width, context) for row in newest]
        if not lines:
            lines = [((" No decisions yet: each request of Postfix appears here.", "quiet"),)]
        self.paint(lines)
