"""The columns of the decisions table, as data. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailquota.core.base.units import format_size
from mailquota.core.control.results import DecisionRow
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Look

GAP = 2


@dataclass(frozen=True)
class Lane:
    """``priority``: the highest is dropped first. ``least``: cells, before any room that is left is given out."""

    title: str
    least: int
    priority: int
    cell: Callable[[DecisionRow, Look], Run]
    right: bool = False


@dataclass(frozen=True)
class Fitted:
    """A lane with its cells."""

    lane: Lane
    width: int


def verdict(row: DecisionRow, look: Look) -> Run:
    """What was decided, as a word; amber where somebody misses a mail that others get."""
    words, style = verdict_of(row.verdict, look, shadow=row.shadow)
    return words, "near" if row.missed else style


def verdict_of(value: str, look: Look, *, shadow: bool) -> Run:
    """The same for a verdict alone; one that this console does not know yet is shown as it is."""
    words, style = fmt.verdict_words(value, shadow=shadow)
    return fmt.literal(words, look.glyphs), style


def recipient(row: DecisionRow, look: Look) -> Run:
    """Whom it was for, and the mailbox behind it where that is more than another spelling."""
    text = fmt.literal(row.recipient, look.glyphs)
    if row.mailbox and row.mailbox.lower() != row.recipient.lower():
        text += f" {look.glyphs.becomes} {fmt.literal(row.mailbox, look.glyphs)}"
    return text, "plain"


def sender(row: DecisionRow, look: Look) -> Run:
    """The envelope's; ``<>`` is a bounce."""
    return fmt.literal(row.sender, look.glyphs) or "<>", "quiet"


def client(row: DecisionRow, look: Look) -> Run:
    """Who spoke to Postfix."""
    return fmt.literal(row.client, look.glyphs) or look.glyphs.nothing, "quiet"


def size(row: DecisionRow, look: Look) -> Run:
    """Announced by the sender; most announce it, some don't."""
    return format_size(row.size) if row.size else look.glyphs.nothing, "quiet"


LANES = (
    Lane("Time", 8, 2, lambda row, _look: (fmt.clock(row.at), "quiet")),
    Lane("Verdict", 12, 1, verdict),
    Lane("Client", 20, 6, client),
    Lane("Sender", 12, 4, sender),
    Lane("Recipient", 18, 0, recipient),
    Lane("Size", 8, 3, size, right=True),
    Lane("Took", 7, 5, lambda row, look: (fmt.micros(row.micros, look.glyphs), "quiet"), right=True),
)

# Who gets the room that is left, in turn, up to so many cells.
GROWTH = (("Recipient", 34), ("Sender", 34), ("Client", 34), ("Sender", 44), ("Recipient", 90))
SPARE = GROWTH[0][1] - next(lane.least for lane in LANES if lane.title == "Recipient")
ESSENTIAL = 4  # lanes up to this priority may squeeze the recipient; the others come when it has its first share


def arrange(width: int) -> tuple[Fitted, ...]:
    """Which lanes fit into ``width`` cells, and how wide; that with the recipient always does."""
    kept = list(LANES)
    while len(kept) > 1:
        last = max(kept, key=lambda lane: lane.priority)
        if _total(kept) + (SPARE if last.priority > ESSENTIAL else 0) <= width:
            break
        kept.remove(last)
    widths = {lane.title: lane.least for lane in kept}
    room = max(0, width - _total(kept))
    for title, most in GROWTH:
        if title in widths:
            more = min(room, most - widths[title])
            widths[title] += more
            room -= more
    return tuple(Fitted(lane, min(widths[lane.title], max(1, width - 1))) for lane in kept)


def _total(lanes: list[Lane]) -> int:
    return 1 + sum(lane.least for lane in lanes) + GAP * (len(lanes) - 1)


def cells(row: DecisionRow, fitted: tuple[Fitted, ...], look: Look) -> Line:
    """One decision as a line of the table."""
    runs: list[Run] = [(" ", "plain")]
    for place in fitted:
        text, style = place.lane.cell(row, look)
        if len(runs) > 1:
            runs.append((" " * GAP, "plain"))
        runs.append((fmt.fit(text, place.width, look.glyphs, right=place.lane.right), style))
    return tuple(runs)


def titles(fitted: tuple[Fitted, ...], look: Look) -> Line:
    """The header."""
    texts = (fmt.fit(place.lane.title, place.width, look.glyphs, right=place.lane.right) for place in fitted)
    return ((" " + (" " * GAP).join(texts), "title"),)
