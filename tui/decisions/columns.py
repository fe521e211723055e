"""The columns of the decisions table. Pure.

They differ from those of the other tables: what room is left over is given to chosen columns in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mailquota.core.base.units import format_size
from mailquota.core.control.results import DecisionRow

from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context

GAP = 2


@dataclass(frozen=True)
class DecisionColumn:
    """``priority``: the highest is dropped first where there is no room. ``least``: its smallest width in cells."""

    title: str
    least: int
    priority: int
    cell: Callable[[DecisionRow, Context], Run]
    right: bool = False


@dataclass(frozen=True)
class PlacedColumn:
    """A column with its width in cells."""

    column: DecisionColumn
    width: int


def verdict(row: DecisionRow, context: Context) -> Run:
    """The verdict as text; amber if a mailbox behind the alias misses a mail that others get."""
    words, style = verdict_of(row.verdict, context, shadow=row.shadow)
    return words, "near" if row.missed else style


def verdict_of(value: str, context: Context, *, shadow: bool) -> Run:
    """A verdict as text. One that this console does not know is shown as it is."""
    words, style = fmt.verdict_words(value, shadow=shadow)
    return fmt.literal(words, context.glyphs), style


def recipient(row: DecisionRow, context: Context) -> Run:
    """The recipient, and the mailbox behind it if the address differs in more than case."""
    text = fmt.literal(row.recipient, context.glyphs)
    if row.mailbox and row.mailbox.lower() != row.recipient.lower():
        text += f" {context.glyphs.becomes} {fmt.literal(row.mailbox, context.glyphs)}"
    return text, "plain"


def sender(row: DecisionRow, context: Context) -> Run:
    """The envelope sender; ``<>`` for a bounce."""
    return fmt.literal(row.sender, context.glyphs) or "<>", "quiet"


def client(row: DecisionRow, context: Context) -> Run:
    """The host that spoke to Postfix."""
    return fmt.literal(row.client, context.glyphs) or context.glyphs.nothing, "quiet"


def size(row: DecisionRow, context: Context) -> Run:
    """The size that the client announced with SIZE (RFC 1870); a dash if it announced none."""
    return format_size(row.size) if row.size else context.glyphs.nothing, "quiet"


def _time(row: DecisionRow, _context: Context) -> Run:
    return fmt.clock(row.at), "quiet"


def _took(row: DecisionRow, context: Context) -> Run:
    return fmt.micros(row.micros, context.glyphs), "quiet"


COLUMNS = (
    DecisionColumn("Time", least=8, priority=2, cell=_time),
    DecisionColumn("Verdict", least=12, priority=1, cell=verdict),
    DecisionColumn("Client", least=20, priority=6, cell=client),
    DecisionColumn("Sender", least=12, priority=4, cell=sender),
    DecisionColumn("Recipient", least=18, priority=0, cell=recipient),
    DecisionColumn("Size", least=8, priority=3, cell=size, right=True),
    DecisionColumn("Took", least=7, priority=5, cell=_took, right=True),
)

# Which column gets the cells that are left, in this order, and up to which width.
GROWTH = (("Recipient", 34), ("Sender", 34), ("Client", 34), ("Sender", 44), ("Recipient", 90))
SPARE = GROWTH[0][1] - next(column.least for column in COLUMNS if column.title == "Recipient")
ESSENTIAL = 4  # others are shown only if the recipient still gets its first width of GROWTH


def arrange(width: int) -> tuple[PlacedColumn, ...]:
    """The columns that fit into ``width`` cells, with their widths; the recipient is always among them."""
    kept = list(COLUMNS)
    while len(kept) > 1:
        last = max(kept, key=lambda column: column.priority)
        if _total(kept) + (SPARE if last.priority > ESSENTIAL else 0) <= width:
            break
        kept.remove(last)
    widths = {column.title: column.least for column in kept}
    room = max(0, width - _total(kept))
    for title, most in GROWTH:
        if title in widths:
            more = min(room, most - widths[title])
            widths[title] += more
            room -= more
    return tuple(PlacedColumn(column, min(widths[column.title], max(1, width - 1))) for column in kept)


def _total(columns: list[DecisionColumn]) -> int:
    return 1 + sum(column.least for column in columns) + GAP * (len(columns) - 1)


def cells(row: DecisionRow, placed: tuple[PlacedColumn, ...], context: Context) -> Line:
    """The line of a decision."""
    runs: list[Run] = [(" ", "plain")]
    for place in placed:
        text, style = place.column.cell(row, context)
        if len(runs) > 1:
            runs.append((" " * GAP, "plain"))
        runs.append((fmt.fit(text, place.width, context.glyphs, right=place.column.right), style))
    return tuple(runs)


def titles(placed: tuple[PlacedColumn, ...], context: Context) -> Line:
    """The line of titles."""
    texts = (fmt.fit(place.column.title, place.width, context.glyphs, right=place.column.right) for place in placed)
    return ((" " + (" " * GAP).join(texts), "title"),)
