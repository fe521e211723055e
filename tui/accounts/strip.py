"""The newest decisions below the accounts, refusals first: accepted mail would hide them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mailquota.core.control.results import DecisionRow

from ..decisions import columns
from ..desk.session import Session
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from ..widgets.painted import Painted

TIME, VERDICT, SIZE, MICROS, CLIENT = 8, 12, 9, 7, 24  # cells
SENDER = 40  # cells, at most
FIGURES_FROM = 100  # cells; a narrower line has its room for the two addresses
FRESH = 3600.0  # seconds for which a refusal comes first
NOT_TAKEN = frozenset({"over_quota", "too_large", "trouble", "bounced"})


def decision_line(row: DecisionRow, width: int, context: Context) -> Line:
    """A decision in one line: time, verdict, sender and recipient; size, duration and client if there is room."""
    glyphs = context.glyphs
    word, style = columns.verdict(row, context)
    runs: list[Run] = [
        (f" {fmt.clock(row.at)}  ", "quiet"),
        (fmt.fit(word, VERDICT, glyphs), style),
        ("  ", "plain"),
    ]
    if width < FIGURES_FROM:
        return (*runs, *_path(row, max(10, width - fmt.width_of(runs) - 1), context))
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
    """The sender, the recipient, and the mailbox behind an alias, in exactly ``width`` cells.

    All recipients stand below each other, and each line has both: one alone would not say which it is.
    """
    glyphs = context.glyphs
    sender, _style = columns.sender(row, context)
    recipient, _style = columns.recipient(row, context)
    arrow = f" {glyphs.arrow} "
    head = min(SENDER, (width - len(arrow)) * 2 // 5)
    return [
        (fmt.fit(sender, head, glyphs), "quiet"),
        (arrow, "quiet"),
        (fmt.fit(recipient, width - head - len(arrow), glyphs), "plain"),
    ]


def first(decisions: Iterable[DecisionRow], most: int, now: float) -> list[DecisionRow]:
    """Of ``decisions``, which come newest first, at most ``most`` to show: refusals of the last hour before all others.

    The last line is for the newest of the others, so that one sees that mail flows.
    """
    refused: list[DecisionRow] = []
    others: list[DecisionRow] = []
    for row in decisions:
        if row.verdict in NOT_TAKEN and now - row.at < FRESH:
            refused.append(row)
        elif len(others) < most:
            others.append(row)
        if len(refused) >= most:
            break
    kept = refused[: most - 1] if others else refused[:most]
    return [*kept, *others[: most - len(kept)]]


class DecisionStrip(Painted):
    """As many decisions as it has lines."""

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
        shown = first(reversed(self._session.decisions), height, context.now)
        lines: list[Line] = [decision_line(row, self.size.width, context) for row in shown]
        if not lines:
            lines = [((" No decisions yet: each request of Postfix appears here.", "quiet"),)]
        self.paint(lines)
