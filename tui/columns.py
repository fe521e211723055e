"""The columns of the accounts table, as data. Pure.

A column says what it shows, how wide, how it sorts, and how early a narrow terminal drops it. ``arrange`` gives each
column its cells; ``cells`` turns one account into the line that the table draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from core.model import AccountRow, Level
from tui import format as fmt
from tui.format import Line, Run
from tui.glyphs import Glyphs


@dataclass(frozen=True)
class Look:
    """What a cell needs to know besides the account: the time and the signs."""

    now: float
    glyphs: Glyphs


@dataclass(frozen=True)
class Column:
    """``priority``: the highest is dropped first. ``sort`` gives None for what is not known, which sorts last.

    Without ``sort`` the column sorts by address. ``falling``: largest first until inverted. ``good`` and ``most``: the
    width that it should have before less important columns come, and the widest that it may grow to.
    """

    key: str
    title: str
    width: int
    priority: int
    cell: Callable[[AccountRow, int, Look], Line]
    sort: Callable[[AccountRow], float | None] | None = None
    falling: bool = True
    right: bool = False
    good: int = 0
    most: int = 0


@dataclass(frozen=True)
class Placed:
    """A column with the cells it got."""

    column: Column
    x: int
    width: int


def _address(row: AccountRow, width: int, look: Look) -> Line:
    text = fmt.fit(fmt.literal(row.address, look.glyphs), width, look.glyphs)
    return ((text, "plain" if row.enabled else "quiet"),)


def _level(row: AccountRow, width: int, look: Look) -> Line:
    level = row.level
    return ((fmt.fit(level.value if row.enabled else "disabled", width, look.glyphs), fmt.look_of(level)),)


def _use(row: AccountRow, width: int, look: Look) -> Line:
    if row.percent is None:
        return ((fmt.fit(look.glyphs.nothing, width, look.glyphs, right=True), "quiet"),)
    style = fmt.look_of(row.level)
    figure = fmt.fit(fmt.percent_text(row.percent, look.glyphs), _FIGURE, look.glyphs, right=True)
    return (*fmt.meter(row.percent, style, width - _FIGURE, look.glyphs), (figure, style))


def _sized(field: str, accent: str = "plain") -> Callable[[AccountRow, int, Look], Line]:
    get: Callable[[AccountRow], int | None] = attrgetter(field)

    def cell(row: AccountRow, width: int, look: Look) -> Line:
        value = get(row)
        text = fmt.fit(fmt.size(value, look.glyphs), width, look.glyphs, right=True)
        return ((text, accent if value else "quiet"),)

    return cell


def _used(row: AccountRow, width: int, look: Look) -> Line:
    """With a sign where a recount did not agree."""
    size = fmt.size(row.used_bytes, look.glyphs)
    sign = look.glyphs.differs if row.drift_bytes and len(size) < width else ""
    return ((fmt.fit(sign + size, width, look.glyphs, right=True), "plain" if row.used_bytes else "quiet"),)


def _messages(row: AccountRow, width: int, look: Look) -> Line:
    return ((fmt.fit(fmt.count(row.messages, look.glyphs), width, look.glyphs, right=True), "quiet"),)


def _refused(row: AccountRow, width: int, look: Look) -> Line:
    text = fmt.age(row.refused_at, look.now, look.glyphs)
    recent = row.refused_at is not None and look.now - row.refused_at < 3600
    return ((fmt.fit(text, width, look.glyphs, right=True), "plain" if recent else "quiet"),)


def _measured(row: AccountRow, width: int, look: Look) -> Line:
    text = fmt.age(row.measured_at, look.now, look.glyphs)
    return ((fmt.fit(text, width, look.glyphs, right=True), "quiet"),)


def _source(row: AccountRow, width: int, look: Look) -> Line:
    return ((fmt.fit(fmt.literal(row.source or look.glyphs.nothing, look.glyphs), width, look.glyphs), "quiet"),)


_FIGURE = 7  # cells of the percentage beside the bar
_NO_LIMIT = 2.0**64  # above every limit
_SOURCES = ("maildirsize", "scan", "doveadm", "sql")
_SEVERITY = (Level.OVER, Level.CRITICAL, Level.NEAR, Level.OK, Level.UNLIMITED, Level.UNKNOWN)


def _by_percent(row: AccountRow) -> float | None:
    """No limit counts as emptier than empty; what is not known is last either way."""
    if row.limit_bytes is None:
        return -1.0
    return row.percent


def _by_level(row: AccountRow) -> float | None:
    return -float(_SEVERITY.index(row.level))


def _by_limit(row: AccountRow) -> float | None:
    return _NO_LIMIT if row.limit_bytes is None else row.limit_bytes


def _by_source(row: AccountRow) -> float | None:
    return _SOURCES.index(row.source) if row.source in _SOURCES else None


COLUMNS = (
    Column("address", "Account", 18, 0, _address, falling=False, good=26, most=60),
    Column("level", "Level", 9, 4, _level, _by_level),
    Column("use", "Use", 14, 1, _use, _by_percent, good=19, most=46),
    Column("used", "Used", 9, 2, _used, attrgetter("used_bytes"), right=True),
    Column("limit", "Limit", 9, 3, _sized("limit_bytes", "quiet"), _by_limit, right=True),
    Column("messages", "Messages", 10, 6, _messages, attrgetter("messages"), right=True),
    Column("trash", "Trash", 9, 5, _sized("trash_bytes", "quiet"), attrgetter("trash_bytes"), right=True),
    Column("refused", "Refused", 9, 7, _refused, attrgetter("refused_at"), right=True),
    Column("measured", "Age", 7, 8, _measured, attrgetter("measured_at"), right=True),
    Column("source", "Source", 11, 9, _source, _by_source, falling=False),
)
BY_KEY = {column.key: column for column in COLUMNS}
DEFAULT = BY_KEY["use"]

LEAD = 3  # cells before the first column: mark, level, blank
GAP = 2
ESSENTIAL = 4  # columns up to this priority may squeeze the others


def arrange(columns: tuple[Column, ...], width: int) -> tuple[Placed, ...]:
    """Which columns fit into ``width`` cells, and where. The account's address is always there."""
    kept = sorted(columns, key=lambda column: column.priority)
    while kept[-1].priority > ESSENTIAL and _total(kept, good=True) > width:
        kept.pop()
    while len(kept) > 1 and _total(kept) > width:
        kept.pop()
    spare = max(0, width - _total(kept))
    widths = _grown(kept, spare)
    placed, x = [], LEAD
    for column in columns:
        if column in kept:
            cells = min(widths[column.key], max(1, width - x))
            placed.append(Placed(column, x, cells))
            x += cells + GAP
    return tuple(placed)


def _total(columns: list[Column], *, good: bool = False) -> int:
    widths = (max(column.width, column.good) if good else column.width for column in columns)
    return LEAD + sum(widths) + GAP * (len(columns) - 1)


def _grown(columns: list[Column], spare: int) -> dict[str, int]:
    """Addresses first get what most of them need; the rest goes to those that can use it, cell by cell."""
    widths = {column.key: column.width for column in columns}
    address = columns[0]
    needed = min(spare, max(0, address.good - address.width))
    widths[address.key] += needed
    for _cell in range(spare - needed):
        wanting = [column for column in columns if widths[column.key] < column.most]
        if not wanting:
            break
        narrow = min(wanting, key=lambda column: widths[column.key] / column.most)
        widths[narrow.key] += 1
    return widths


def cells(row: AccountRow, placed: tuple[Placed, ...], look: Look, *, marked: bool) -> Line:
    """One account as the line of the table; alike neighbours are one run, to send less."""
    glyphs, level = look.glyphs, row.level
    runs: list[Run] = [(glyphs.mark if marked else " ", "mark"), (glyphs.levels[level] + " ", fmt.look_of(level))]
    at = LEAD
    for place in placed:
        if place.x > at:
            runs.append((" " * (place.x - at), "plain"))
        runs.extend(place.column.cell(row, place.width, look))
        at = place.x + place.width
    return tuple(runs)


def titles(placed: tuple[Placed, ...], sorted_by: str, inverted: bool, glyphs: Glyphs) -> Line:
    """The header; an arrow tells the sorted column and its direction."""
    runs: list[Run] = [(" " * LEAD, "title")]
    at = LEAD
    for place in placed:
        column = place.column
        runs.append((" " * (place.x - at), "title"))
        arrow = ""
        if column.key == sorted_by:
            arrow = " " + (glyphs.down if column.falling != inverted else glyphs.up)
        text = fmt.fit(column.title + arrow, place.width, glyphs, right=column.right)
        runs.append((text, "sorted" if arrow else "title"))
        at = place.x + place.width
    return tuple(run for run in runs if run[0])


def column_at(placed: tuple[Placed, ...], x: int) -> Column | None:
    """The column under cell ``x``, gaps counted to the column on their left."""
    found = None
    for place in placed:
        if place.x <= x:
            found = place.column
    return found
