"""The columns of the decisions table. Pure.

They differ from those of the other tables: what room is left over is given to chosen columns in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from mailquota.core.base.units import format_size
from mailquota.core.control.results import DecisionRow

from ..draw import format as fmt
from ..draw import grid
from ..draw.format import Line, Run
from ..draw.grid import GAP, Column, Context, Placed, text_cell
from ..draw.order import by_text

LEAD = 1  # cell before the first column


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


def _words(row: DecisionRow) -> str:
    return fmt.verdict_words(row.verdict, shadow=row.shadow)[0]


COLUMNS: tuple[Column[DecisionRow], ...] = (
    Column("at", "Time", width=8, priority=2, cell=text_cell(_time)),
    Column("verdict", "Verdict", width=12, priority=1, cell=text_cell(verdict), sort=_words, falling=False),
    Column("client", "Client", 20, 6, cell=text_cell(client), sort=by_text(attrgetter("client")), falling=False),
    Column("sender", "Sender", 12, 4, cell=text_cell(sender), sort=by_text(attrgetter("sender")), falling=False),
    Column(
        "recipient", "Recipient", 18, 0, cell=text_cell(recipient), sort=by_text(attrgetter("recipient")), falling=False
    ),
    Column("size", "Size", width=8, priority=3, cell=text_cell(size, right=True), sort=attrgetter("size"), right=True),
    Column("micros", "Took", 7, 5, cell=text_cell(_took, right=True), sort=attrgetter("micros"), right=True),
)

# Which column gets the cells that are left, in this order, and up to which width.
GROWTH = (("recipient", 34), ("sender", 34), ("client", 34), ("sender", 44), ("recipient", 90))
SPARE = GROWTH[0][1] - next(column.width for column in COLUMNS if column.key == "recipient")
ESSENTIAL = 4  # others are shown only if the recipient still gets its first width of GROWTH


def arrange(width: int) -> tuple[Placed[DecisionRow], ...]:
    """The columns that fit into ``width`` cells, with their widths; the recipient is always among them."""
    kept = list(COLUMNS)
    while len(kept) > 1:
        last = max(kept, key=lambda column: column.priority)
        if _total(kept) + (SPARE if last.priority > ESSENTIAL else 0) <= width:
            break
        kept.remove(last)
    widths = {column.key: column.width for column in kept}
    room = max(0, width - _total(kept))
    for key, most in GROWTH:
        if key in widths:
            more = min(room, most - widths[key])
            widths[key] += more
            room -= more
    placed, x = [], LEAD
    for column in kept:
        cells = min(widths[column.key], max(1, width - LEAD))
        placed.append(Placed(column, x, cells))
        x += cells + GAP
    return tuple(placed)


def _total(columns: list[Column[DecisionRow]]) -> int:
    return LEAD + sum(column.width for column in columns) + GAP * (len(columns) - 1)


def cells(row: DecisionRow, placed: Sequence[Placed[DecisionRow]], context: Context) -> Line:
    """The line of a decision."""
    return grid.cells(row, placed, context, ((" " * LEAD, "plain"),))
