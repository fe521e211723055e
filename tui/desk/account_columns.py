"""The columns of the accounts table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.base.units import format_limit

from ..draw import format as fmt
from ..draw import grid, outlook
from ..draw.format import Line
from ..draw.grid import Column, Context, Placed


def _address(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.fit(fmt.literal(row.address, context.glyphs), width, context.glyphs)
    return ((text, "plain" if row.enabled else "quiet"),)


def _level(row: AccountRow, width: int, context: Context) -> Line:
    level = row.level
    return ((fmt.fit(level.value if row.enabled else "disabled", width, context.glyphs), fmt.look_of(level)),)


def _use(row: AccountRow, width: int, context: Context) -> Line:
    if row.percent is None:
        return ((fmt.fit(context.glyphs.nothing, width, context.glyphs, right=True), "quiet"),)
    style = fmt.look_of(row.level)
    percent = fmt.fit(fmt.percent_text(row.percent, context.glyphs), _PERCENT_CELLS, context.glyphs, right=True)
    return (*fmt.meter(row.percent, style, width - _PERCENT_CELLS, context.glyphs), (percent, style))


def _trash(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.fit(fmt.size(row.trash_bytes, context.glyphs), width, context.glyphs, right=True)
    return ((text, "quiet"),)


def _limit(row: AccountRow, width: int, context: Context) -> Line:
    text = context.glyphs.nothing if row.limit_bytes is None else format_limit(row.limit_bytes)
    return ((fmt.fit(text, width, context.glyphs, right=True), "quiet"),)


def _used(row: AccountRow, width: int, context: Context) -> Line:
    """The usage, with a sign if Dovecot told another usage or limit, or the background check differed from it."""
    size = fmt.size(row.used_bytes, context.glyphs)
    sign = context.glyphs.differs if (row.drift_bytes or row.differs) and len(size) < width else ""
    return ((fmt.fit(sign + size, width, context.glyphs, right=True), "plain" if row.used_bytes else "quiet"),)


def _messages(row: AccountRow, width: int, context: Context) -> Line:
    text = context.glyphs.nothing if row.messages is None else fmt.short_count(row.messages, width)
    return ((fmt.fit(text, width, context.glyphs, right=True), "quiet"),)


def _week(row: AccountRow, width: int, context: Context) -> Line:
    signs = outlook.spark(row.week, context.glyphs)
    return ((fmt.fit(signs or context.glyphs.nothing, width, context.glyphs), "area" if signs else "quiet"),)


def _full_in(row: AccountRow, width: int, context: Context) -> Line:
    text, style = outlook.full_in(row, context.glyphs)
    return ((fmt.fit(text, width, context.glyphs, right=True), style),)


def _refused(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.age(row.refused_at, context.now, context.glyphs)
    recent = row.refused_at is not None and abs(context.now - row.refused_at) < 3600
    return ((fmt.fit(text, width, context.glyphs, right=True), "plain" if recent else "quiet"),)


def _measured(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.age(row.measured_at, context.now, context.glyphs)
    return ((fmt.fit(text, width, context.glyphs, right=True), "quiet"),)


def _source(row: AccountRow, width: int, context: Context) -> Line:
    return (
        (fmt.fit(fmt.literal(row.source or context.glyphs.nothing, context.glyphs), width, context.glyphs), "quiet"),
    )


_PERCENT_CELLS = 7  # of the percentage beside the bar
_NO_LIMIT = 2.0**64  # above every limit
_SOURCES = ("maildirsize", "scan", "doveadm", "sql")
_SEVERITY = (Level.OVER, Level.CRITICAL, Level.NEAR, Level.OK, Level.UNLIMITED, Level.UNKNOWN)


def _by_percent(row: AccountRow) -> float | None:
    """Sorts accounts without a limit below empty ones."""
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
    Column("address", "Account", width=18, priority=0, cell=_address, falling=False, good=26, most=60),
    Column("level", "Level", width=9, priority=4, cell=_level, sort=_by_level),
    Column("use", "Usage", width=14, priority=1, cell=_use, sort=_by_percent, good=16, most=46),
    Column("used", "Used", width=9, priority=2, cell=_used, sort=attrgetter("used_bytes"), right=True),
    Column("limit", "Limit", width=8, priority=3, cell=_limit, sort=_by_limit, right=True),
    Column("messages", "Msgs", width=8, priority=9, cell=_messages, sort=attrgetter("messages"), right=True),
    Column("trash", "Trash", width=8, priority=8, cell=_trash, sort=attrgetter("trash_bytes"), right=True),
    Column("week", "7 days", width=8, priority=5, cell=_week, sort=attrgetter("growth_bytes_per_day")),
    Column("full", "Full in", width=8, priority=6, cell=_full_in, sort=_by_days, falling=False, right=True),
    Column("refused", "Refused", width=8, priority=7, cell=_refused, sort=attrgetter("refused_at"), right=True),
    Column("measured", "Age", width=7, priority=10, cell=_measured, sort=attrgetter("measured_at"), right=True),
    Column("source", "Source", width=11, priority=11, cell=_source, sort=_by_source, falling=False),
)
BY_KEY = {column.key: column for column in COLUMNS}
DEFAULT = BY_KEY["use"]
LEAD = 3  # cells before the first column: sign of a marked account, level, blank


def arrange(width: int) -> tuple[Placed[AccountRow], ...]:
    """The columns that fit into ``width`` cells; the address is always among them."""
    return grid.arrange(COLUMNS, width, LEAD)


def cells(row: AccountRow, placed: Sequence[Placed[AccountRow]], context: Context, *, marked: bool) -> Line:
    """The line of an account."""
    glyphs, level = context.glyphs, row.level
    lead = ((glyphs.mark if marked else " ", "mark"), (glyphs.levels[level] + " ", fmt.look_of(level)))
    return grid.cells(row, placed, context, lead)
