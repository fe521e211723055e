"""The columns of the accounts table, as data. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.base.units import format_limit
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw import grid, outlook
from mailquota.tui.draw.format import Line
from mailquota.tui.draw.grid import Column, Look, Placed


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


def _limit(row: AccountRow, width: int, look: Look) -> Line:
    text = look.glyphs.nothing if row.limit_bytes is None else format_limit(row.limit_bytes)
    return ((fmt.fit(text, width, look.glyphs, right=True), "quiet"),)


def _used(row: AccountRow, width: int, look: Look) -> Line:
    """With a sign where a recount did not agree."""
    size = fmt.size(row.used_bytes, look.glyphs)
    sign = look.glyphs.differs if row.drift_bytes and len(size) < width else ""
    return ((fmt.fit(sign + size, width, look.glyphs, right=True), "plain" if row.used_bytes else "quiet"),)


def _messages(row: AccountRow, width: int, look: Look) -> Line:
    text = look.glyphs.nothing if row.messages is None else fmt.short_count(row.messages, width)
    return ((fmt.fit(text, width, look.glyphs, right=True), "quiet"),)


def _week(row: AccountRow, width: int, look: Look) -> Line:
    signs = outlook.spark(row.week, look.glyphs)
    return ((fmt.fit(signs or look.glyphs.nothing, width, look.glyphs), "area" if signs else "quiet"),)


def _full_in(row: AccountRow, width: int, look: Look) -> Line:
    text, style = outlook.full_in(row, look.glyphs)
    return ((fmt.fit(text, width, look.glyphs, right=True), style),)


def _refused(row: AccountRow, width: int, look: Look) -> Line:
    text = fmt.age(row.refused_at, look.now, look.glyphs)
    recent = row.refused_at is not None and abs(look.now - row.refused_at) < 3600
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


def _by_days(row: AccountRow) -> float | None:
    return 0.0 if row.level is Level.OVER else row.days_to_full


def _by_limit(row: AccountRow) -> float | None:
    return _NO_LIMIT if row.limit_bytes is None else row.limit_bytes


def _by_source(row: AccountRow) -> float | None:
    return _SOURCES.index(row.source) if row.source in _SOURCES else None


COLUMNS: tuple[Column[AccountRow], ...] = (
    Column("address", "Account", 18, 0, _address, falling=False, good=26, most=60),
    Column("level", "Level", 9, 4, _level, _by_level),
    Column("use", "Use", 14, 1, _use, _by_percent, good=16, most=46),
    Column("used", "Used", 9, 2, _used, attrgetter("used_bytes"), right=True),
    Column("limit", "Limit", 8, 3, _limit, _by_limit, right=True),
    Column("messages", "Msgs", 8, 9, _messages, attrgetter("messages"), right=True),
    Column("trash", "Trash", 8, 8, _sized("trash_bytes", "quiet"), attrgetter("trash_bytes"), right=True),
    Column("week", "7 days", 8, 5, _week, attrgetter("growth_bytes_per_day")),
    Column("full", "Full in", 8, 6, _full_in, _by_days, falling=False, right=True),
    Column("refused", "Refused", 8, 7, _refused, attrgetter("refused_at"), right=True),
    Column("measured", "Age", 7, 10, _measured, attrgetter("measured_at"), right=True),
    Column("source", "Source", 11, 11, _source, _by_source, falling=False),
)
BY_KEY = {column.key: column for column in COLUMNS}
DEFAULT = BY_KEY["use"]
LEAD = 3  # cells before the first column: mark, level, blank


def arrange(width: int) -> tuple[Placed[AccountRow], ...]:
    """Which columns fit into ``width`` cells, and where. The account's address is always there."""
    return grid.arrange(COLUMNS, width, LEAD)


def cells(row: AccountRow, placed: Sequence[Placed[AccountRow]], look: Look, *, marked: bool) -> Line:
    """One account as the line of the table."""
    glyphs, level = look.glyphs, row.level
    lead = ((glyphs.mark if marked else " ", "mark"), (glyphs.levels[level] + " ", fmt.look_of(level)))
    return grid.cells(row, placed, look, lead)
