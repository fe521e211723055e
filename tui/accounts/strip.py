"""The strip with the newest decisions, newest first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from mailquota.core.control.results import DecisionRow
from mailquota.tui.decisions import columns as lanes
from mailquota.tui.desk.session import Session
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Look
from mailquota.tui.widgets.painted import Painted

TIME, VERDICT, SIZE, MICROS, CLIENT = 8, 12, 9, 7, 24  # cells


def decision_line(row: DecisionRow, width: int, look: Look) -> Line:
    """When, what, from whom to whom, how large, how fast; the client's name only where there is room."""
    glyphs = look.glyphs
    word, style = lanes.verdict(row, look)
    runs: list[Run] = [
        (f" {fmt.clock(row.at)}  ", "quiet"),
        (fmt.fit(word, VERDICT, glyphs), style),
        ("  ", "plain"),
    ]
    if width >= 130:
        text, style = lanes.client(row, look)
        runs += [(fmt.fit(text, CLIENT, glyphs), style), ("  ", "plain")]
    room = width - fmt.width_of(runs) - SIZE - MICROS - 4
    runs += _path(row, max(10, room), look)
    text, style = lanes.size(row, look)
    runs.append((fmt.fit(text, SIZE, glyphs, right=True) + "  ", style))
    runs.append((fmt.fit(fmt.micros(row.micros, glyphs), MICROS, glyphs, right=True), "quiet"))
    return tuple(runs)


def _path(row: DecisionRow, width: int, look: Look) -> list[Run]:
    """Sender to recipient, and the mailbox behind an alias; exactly ``width`` cells."""
    glyphs = look.glyphs
    sender, _look = lanes.sender(row, look)
    recipient, _look = lanes.recipient(row, look)
    tail = fmt.fit(recipient, min(width, fmt.width_of([(recipient, "")])), glyphs)
    arrow = f" {glyphs.arrow} "
    room = width - fmt.width_of([(tail, "")]) - len(arrow)
    if room < 6:
        return [(fmt.fit(tail, width, glyphs), "plain")]
    head = fmt.fit(sender, min(room, fmt.width_of([(sender, "")])), glyphs)
    rest = " " * (room - fmt.width_of([(head, "")]))
    return [(head, "quiet"), (arrow, "quiet"), (tail, "plain"), (rest, "plain")]


class DecisionStrip(Painted):
    """As many of the newest decisions as there are lines."""

    def __init__(self, session: Session, look: Callable[[], Look]) -> None:
        super().__init__(id="decisions")
        self._session = session
        self._look = look

    def on_resize(self) -> None:
        """Other lines fit."""
        self.show()

    def show(self) -> None:
        """Draw what changed."""
        height, look = self.size.height, self._look()
        if not height:
            return
        newest = list(islice(reversed(self._session.decisions), height))
        lines: list[Line] = [decision_line(row, self.size.width, look) for row in newest]
        if not lines:
            lines = [((" No decisions yet: each request of Postfix appears here.", "quiet"),)]
        self.paint(lines)
