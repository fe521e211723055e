"""All about one account as lines: for the screen, in as many columns as fit, and as text for a ticket. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import local_time
from mailquota.core.base.units import format_age, format_limit, format_messages, format_size
from mailquota.core.control.results import Details

from ..decisions import columns
from ..draw import format as fmt
from ..draw import outlook, plot
from ..draw.format import Line, Run
from ..draw.grid import Context
from ..journal import rows as journal
from ..warnings import rows as warning_rows
from . import folders

WITHOUT_ENGINE = "Folders, history and changes come when the engine answers again"
BARE = Details(row=AccountRow("", None), folders=[], aliases=[], refusals=[])  # before the engine has answered
STALE = 300.0  # seconds; the age of a usage that was measured longer ago is amber
GAP = 3  # cells between two columns
TEXT = 100  # cells of a line of the text for a ticket
TWO, THREE = 110, 170  # cells; widths from which there are two and three columns
PLOT_FROM = 30  # cells
LAYOUTS = (
    (("folders", "refusals", "warnings", "changes", "aliases"),),
    (("folders", "aliases"), ("refusals", "warnings", "changes")),
    (("folders",), ("refusals", "warnings"), ("changes", "aliases")),
)
NAMES = {
    "folders": "Folders",
    "aliases": "Aliases of this mailbox",
    "refusals": "Last refusals",
    "warnings": "Last warnings",
    "changes": "Last changes",
}


NO_HISTORY = "no history yet"


class LaidOut(NamedTuple):
    """The lines of a card; the first folder, if there is one, is on line ``folders_from``."""

    lines: list[Line]
    folders_from: int


@dataclass(frozen=True)
class Card:
    """``details`` is None until the engine has answered; ``problem`` is why there is no history.

    ``chosen`` is the folder that Enter opens, ``lost`` whether the engine is gone.
    """

    row: AccountRow
    details: Details | None = None
    problem: str = ""
    chosen: str = ""
    lost: bool = False

    def lines(self, width: int, height: int, context: Context) -> list[Line]:
        """The card for a screen of ``width`` cells and ``height`` lines; it may have more lines than that."""
        return self.laid_out(width, height, context).lines

    def laid_out(self, width: int, height: int, context: Context) -> LaidOut:
        """The same, and where its folders are."""
        found = [*head(self, width, context), ()]
        found += self._plot(width, max(5, min(15, height * 3 // 10)), context)
        if self.details is None:
            words = WITHOUT_ENGINE if self.lost else f"Loading {context.glyphs.ellipsis}"
            return LaidOut([*found, ((f" {words}", "quiet"),)], len(found))
        layout = LAYOUTS[(width >= TWO) + (width >= THREE)]
        cells = (width - GAP * (len(layout) - 1)) // len(layout)
        blocks = [[line for name in names for line in self._section(name, cells, context)] for names in layout]
        return LaidOut([*found, *beside(blocks, cells, context)], len(found) + 1)

    def text(self, context: Context) -> str:
        """The card as text in one column, with numbers in place of the plot."""
        found: list[Line] = [
            ((fmt.literal(self.row.address, context.glyphs), "plain"),),
            ((f"As of {local_time(context.now)}", "plain"),),
            (),
        ]
        found += head(self, TEXT, context)
        if self.details is not None:
            found += [(), *title("Usage", 0, context), ((f" {'; '.join(past(self.details, context))}", "plain"),), ()]
            for name in LAYOUTS[0][0]:
                found += self._section(name, TEXT, context, ruled=False)
        return "\n".join("".join(text for text, _look in line).rstrip() for line in found) + "\n"

    def _plot(self, width: int, height: int, context: Context) -> Iterator[Line]:
        details = self.details
        if details is None:
            return
        yield from title(title_of_plot(details, context.now), width, context)
        if self.problem:
            yield ((f" history off: {fmt.literal(self.problem, context.glyphs)}", "near"),)
        if not details.points:
            yield ((f" {fmt.literal(details.missing, context.glyphs) or NO_HISTORY}", "quiet"),)
        elif width >= PLOT_FROM:
            yield from plot.plot(details, width - 1, height, context)
        yield ()

    def _section(self, name: str, width: int, context: Context, *, ruled: bool = True) -> Iterator[Line]:
        details = self.details or BARE
        why = {"changes": details.remark, "folders": details.missing, "aliases": details.missing}.get(name)
        nothing = why or "none"
        yield from title(NAMES[name], width if ruled else 0, context)
        if name == "folders":
            given = list(folders.lines(details.folders, width, context, self.chosen if ruled else ""))
        else:
            given = list(_LINES[name](details, width, context))
        given = given or [((f" {fmt.literal(nothing, context.glyphs)}", "quiet"),)]
        yield from (part for line in given for part in fmt.hanging(line, width))
        yield ()


def title_of_plot(details: Details, now: float) -> str:
    """The title of the plot, with the time since which the usage is known."""
    if not details.points:
        return "Usage"
    start = max(plot.beginning(details, now), details.points[0].at)
    if now - start >= plot.PAST * plot.DAY:
        return f"Usage over {plot.PAST} days"
    return f"Usage since {plot.moment(start, start, now)}"


# ---- at the top


def head(card: Card, width: int, context: Context) -> Iterator[Line]:
    """How full the mailbox is, when it will be full, what it contains, and how old that is."""
    row = card.row
    yield tuple(_bar(row, max(12, min(48, width // 3)), context))
    yield from flow([*_outlook(card, context)], width, context)
    yield from flow([*_contents(card, context)], width, context)
    yield from flow([*_figures(row, context)], width, context)


def _bar(row: AccountRow, width: int, context: Context) -> Iterator[Run]:
    style = fmt.look_of(row.level)
    yield " ", "plain"
    if row.percent is None:
        yield f"{context.glyphs.levels[row.level]} {row.level.value}", style
    else:
        yield from fmt.meter(row.percent, style, width, context.glyphs)
        yield f"  {fmt.percent_text(row.percent, context.glyphs)} {row.level.value}", style
    used = "usage not known" if row.used_bytes is None else format_size(row.used_bytes)
    yield f"   {used}", "strong"
    if row.limit_bytes is not None:
        yield f" of {format_limit(row.limit_bytes)}", "plain"
        if row.used_bytes is not None:
            free = row.limit_bytes - row.used_bytes
            yield f"   {format_size(abs(free))} {'left' if free > 0 else 'over'}", "quiet"


def _outlook(card: Card, context: Context) -> Iterator[Run]:
    details = card.details or BARE
    full = outlook.full_words(card.row, details.forecast, context.glyphs)
    if full is not None:
        yield full
    if details.trend is not None:
        yield outlook.growth_words(details.trend), "quiet"


def _contents(card: Card, context: Context) -> Iterator[Run]:
    row = card.row
    if row.messages is not None and row.limit_messages is not None:
        of = f"{format_messages(row.messages, row.limit_messages)} messages"
        yield of, "over" if row.has_most_messages else "plain"
    elif row.messages is not None:
        yield fmt.plural(row.messages, "message"), "plain"
    if row.trash_bytes is not None:
        holds = f" in {fmt.plural(row.trash_messages, 'message')}" if row.trash_messages else ""
        yield f"Trash {format_size(row.trash_bytes)}{holds}{_share(row.trash_bytes, row)}", "plain"
    junk = folders.junk((card.details or BARE).folders)
    if junk:
        yield f"Junk {format_size(junk)}{_share(junk, row)}", "plain"
    if not row.enabled:
        yield "disabled in the accounts database", "near"
    for text in filter(None, (row.why, row.differs)):
        yield fmt.literal(text, context.glyphs), "near"


def _share(part: int, row: AccountRow) -> str:
    return f" ({part * 100 // row.used_bytes} %)" if row.used_bytes and part else ""


def _figures(row: AccountRow, context: Context) -> Iterator[Run]:
    if row.measured_at is None:
        yield "not measured yet", "quiet"
    else:
        age, source = context.now - row.measured_at, fmt.literal(row.source or "?", context.glyphs)
        yield f"measured {format_age(age)} ago from {source}", "near" if age > STALE else "quiet"
    if row.drift_bytes:
        more = "more" if row.drift_bytes > 0 else "less"
        yield f"last recount {format_size(abs(row.drift_bytes))} {more}", "near"
    if row.refused_at is not None:
        yield f"mail refused {format_age(context.now - row.refused_at)} ago", "quiet"


# ---- sections


def _aliases(details: Details, _width: int, context: Context) -> Iterator[Line]:
    return (((f" {fmt.literal(alias, context.glyphs)}", "plain"),) for alias in details.aliases)


def _refusals(details: Details, width: int, context: Context) -> Iterator[Line]:
    """When which sender was refused, and the size of the mail."""
    for row in details.refusals:
        size = format_size(row.size) if row.size else context.glyphs.nothing
        if row.origin == "log":
            size += "  mail log"
        when = f" {fmt.age(row.at, context.now, context.glyphs):>7} ago  "
        sender = context.glyphs.nothing if row.verdict == "bounced" else columns.sender(row, context)[0]
        style = columns.verdict(row, context)
        room = max(8, min(40, width - len(when) - len(style[0]) - len(size) - 4))
        yield (when, "quiet"), style, (f"  {fmt.fit(sender, room, context.glyphs)}", "plain"), (f"  {size}", "quiet")


def _warnings(details: Details, _width: int, context: Context) -> Iterator[Line]:
    return (warning_rows.line(row, context) for row in details.warnings)


def _changes(details: Details, width: int, context: Context) -> Iterator[Line]:
    return (line for entry in journal.entries(details.changes) for line in journal.lines(entry, width, context))


_LINES = {
    "aliases": _aliases,
    "refusals": _refusals,
    "warnings": _warnings,
    "changes": _changes,
}


def past(details: Details, context: Context) -> Iterator[str]:
    """The usage of the time that the plot covers, in words."""
    for days in (plot.PAST, 30, 7, 1):
        held = [point for point in details.points if point.at <= context.now - days * plot.DAY]
        if held:
            yield f"{fmt.plural(days, 'day')} ago {format_size(held[-1].used_bytes)}"
    if details.points and context.now - details.points[0].at < plot.DAY:
        yield f"{format_age(context.now - details.points[0].at)} ago {format_size(details.points[0].used_bytes)}"
    yield f"now {fmt.size(details.row.used_bytes, context.glyphs)}" if details.points else details.missing or NO_HISTORY


# ---- how lines stand on a screen


def title(name: str, width: int, context: Context) -> Iterator[Line]:
    """The name of a section, and a rule behind it up to ``width`` cells."""
    rest = max(0, width - len(name) - 2)
    yield ((f" {name} ", "title"), (context.glyphs.rule * rest, "faint"))


def flow(facts: list[Run], width: int, context: Context) -> Iterator[Line]:
    """Facts with dots between them, in as many lines as they need."""
    line: list[Run] = []
    for fact in facts:
        if line and fmt.width_of([*line, fact]) + 3 > width:
            yield (" ", "plain"), *line
            line = []
        line += [(f" {context.glyphs.dot} ", "quiet"), fact] if line else [fact]
    if line:
        yield (" ", "plain"), *line


def beside(blocks: list[list[Line]], width: int, context: Context) -> Iterator[Line]:
    """Blocks of lines side by side, each ``width`` cells wide."""
    for parts in zip_longest(*blocks, fillvalue=()):
        line: list[Run] = []
        for number, part in enumerate(parts):
            line += [(" " * GAP, "plain")] * (number > 0) + list(fmt.cut(part, width, context.glyphs))
        yield tuple(line)
