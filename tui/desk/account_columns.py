"""The columns of the accounts table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from mailquota.core.base.filters import days_left
from mailquota.core.base.model import AccountRow, Level, percent_of
from mailquota.core.base.units import format_limit, format_size

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
    """A bar and the percentage; without one the level in a word."""
    if row.percent is None:
        return ((fmt.fit(row.level.value, width, context.glyphs), fmt.look_of(row.level)),)
    style = fmt.look_of(row.level)
    percent = fmt.fit(fmt.percent_text(row.percent, context.glyphs), _PERCENT_CELLS, context.glyphs, right=True)
    return (*fmt.limit_bar(row.percent, style, width - _PERCENT_CELLS, context.glyphs), (percent, style))


def left_of(row: AccountRow) -> int | None:
    """Bytes that are left to the limit, below 0 where it is over; None without a limit, or a known usage."""
    if row.limit_bytes is None or row.limit_bytes < 0 or row.used_bytes is None:
        return None
    return row.limit_bytes - row.used_bytes


def _left(row: AccountRow, width: int, context: Context) -> Line:
    left = left_of(row)
    text = context.glyphs.nothing if left is None else format_size(left)
    style = "over" if left is not None and left < 0 else "quiet"
    return ((fmt.fit(text, width, context.glyphs, right=True), style),)


def _trash(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.fit(fmt.size(row.trash_bytes, context.glyphs), width, context.glyphs, right=True)
    return ((text, "quiet"),)


def trash_share(row: AccountRow) -> float | None:
    """How much of the usage is in Trash, in percent; None where that is not known."""
    return None if row.trash_bytes is None else percent_of(row.trash_bytes, row.used_bytes)


def _trash_share(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.percent_text(trash_share(row), context.glyphs)
    return ((fmt.fit(text, width, context.glyphs, right=True), "plain" if row.trash_bytes else "quiet"),)


def _most_messages(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.count(row.limit_messages, context.glyphs)
    return ((fmt.fit(text, width, context.glyphs, right=True), "over" if row.has_most_messages else "quiet"),)


def dovecots_more(row: AccountRow) -> int | None:
    """How many bytes more Dovecot tells; below 0: less. None where it does not differ."""
    return None if row.witness_bytes is None or row.used_bytes is None else row.witness_bytes - row.used_bytes


def _dovecots_more(row: AccountRow, width: int, context: Context) -> Line:
    more = dovecots_more(row)
    text = context.glyphs.nothing if more is None else f"{'+' if more > 0 else '-'}{format_size(abs(more))}"
    return ((fmt.fit(text, width, context.glyphs, right=True), "quiet" if more is None else "near"),)


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
    if len(set(signs)) == 1:  # what stays the same is no news: a line at the bottom, at whatever height it is
        return ((fmt.fit(context.glyphs.steps[0] * len(signs), width, context.glyphs), "quiet"),)
    return ((fmt.fit(signs or context.glyphs.nothing, width, context.glyphs), "area" if signs else "quiet"),)


def _full_in(row: AccountRow, width: int, context: Context) -> Line:
    text, style = outlook.full_in(row, context.glyphs)
    style = "plain" if style == "over" else style  # the sign and the percentage are red already
    return ((fmt.fit(text, width, context.glyphs, right=True), style),)


def _refused(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.age(row.refused_at, context.now, context.glyphs)
    recent = row.refused_at is not None and abs(context.now - row.refused_at) < 3600
    return ((fmt.fit(text, width, context.glyphs, right=True), "plain" if recent else "quiet"),)


def _growth(row: AccountRow, width: int, context: Context) -> Line:
    text = outlook.growth_text(row.growth_bytes_per_day, context.glyphs)
    return ((fmt.fit(text, width, context.glyphs, right=True), "plain" if row.growth_bytes_per_day else "quiet"),)


def _changed(row: AccountRow, width: int, context: Context) -> Line:
    return (
        (fmt.fit(fmt.age(row.changed_at, context.now, context.glyphs), width, context.glyphs, right=True), "quiet"),
    )


def _verified(row: AccountRow, width: int, context: Context) -> Line:
    """How long ago Dovecot was asked; a sign if it told something else."""
    text = fmt.age(row.verified_at, context.now, context.glyphs)
    sign = context.glyphs.differs if row.differs and row.verified_at is not None and len(text) < width else ""
    return ((fmt.fit(sign + text, width, context.glyphs, right=True), "near" if row.differs else "quiet"),)


def _refusals(row: AccountRow, width: int, context: Context) -> Line:
    text = fmt.short_count(row.refused_day, width) if row.refused_day else context.glyphs.nothing
    return ((fmt.fit(text, width, context.glyphs, right=True), "plain" if row.refused_day else "quiet"),)


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


def _by_limit(row: AccountRow) -> float | None:
    return _NO_LIMIT if row.limit_bytes is None else row.limit_bytes


def _by_source(row: AccountRow) -> float | None:
    return _SOURCES.index(row.source) if row.source in _SOURCES else None


# In the order in which they are shown: the important ones on the left, as the others have no room first.
COLUMNS: tuple[Column[AccountRow], ...] = (
    Column("address", "Account", 18, 0, _address, falling=False, good=26, most=36, about="the address; always shown"),
    Column(
        "use", "Usage", 14, 1, _use, _by_percent, good=16, most=34, about="what is used of the limit, also beyond it"
    ),
    Column("used", "Used", 9, 2, _used, attrgetter("used_bytes"), right=True, about="what the mailbox holds"),
    Column("limit", "Limit", 8, 3, _limit, _by_limit, right=True, about="what the mailbox may hold"),
    Column(
        "left", "Left", 9, 4, _left, left_of, falling=False, right=True, about="what is left; below 0: over by so much"
    ),
    Column("week", "7 days", 8, 5, _week, attrgetter("growth_bytes_per_day"), about="the usage of the last days"),
    Column(
        "full", "Full in", 8, 6, _full_in, days_left, falling=False, right=True, about="when it is full, at that growth"
    ),
    Column(
        "refused", "Refused", 8, 7, _refused, attrgetter("refused_at"), right=True, about="when mail was refused last"
    ),
    Column("trash", "Trash", 8, 8, _trash, attrgetter("trash_bytes"), right=True, about="what Trash holds"),
    Column(
        "messages", "Msgs", 8, 9, _messages, attrgetter("messages"), right=True, about="how many messages there are"
    ),
    Column(
        "refusals",
        "In 24 h",
        8,
        10,
        _refusals,
        attrgetter("refused_day"),
        right=True,
        about="how often mail was refused in 24 hours",
    ),
    Column(
        "growth", "Per day", 9, 11, _growth, attrgetter("growth_bytes_per_day"), right=True, about="the growth a day"
    ),
    Column("measured", "Age", 7, 12, _measured, attrgetter("measured_at"), right=True, about="when it was measured"),
    Column("source", "Source", 11, 13, _source, _by_source, falling=False, about="how it was measured"),
    Column(
        "changed",
        "Changed",
        8,
        14,
        _changed,
        attrgetter("changed_at"),
        right=True,
        usual=False,
        about="when the usage last changed",
    ),
    Column(
        "verified",
        "Verified",
        9,
        15,
        _verified,
        attrgetter("verified_at"),
        right=True,
        usual=False,
        about="when Dovecot was asked last",
    ),
    Column(
        "trash-share",
        "Trash %",
        8,
        16,
        _trash_share,
        trash_share,
        right=True,
        usual=False,
        about="how much of the usage is in Trash",
    ),
    Column(
        "most-messages",
        "Most",
        8,
        17,
        _most_messages,
        attrgetter("limit_messages"),
        right=True,
        usual=False,
        about="the limit of messages",
    ),
    Column(
        "dovecot",
        "Dovecot",
        10,
        18,
        _dovecots_more,
        dovecots_more,
        right=True,
        usual=False,
        about="by how much Dovecot's own usage differs",
    ),
    Column(
        "level", "Level", 9, 19, _level, _by_level, usual=False, about="the level in a word; the sign before it says it"
    ),
)
BY_KEY = {column.key: column for column in COLUMNS}
DEFAULT = BY_KEY["use"]
USUAL = tuple(column for column in COLUMNS if column.usual)
LEAD = 3  # cells before the first column: sign of a marked account, level, blank

Columns = tuple[Column[AccountRow], ...]


def chosen(keys: Sequence[str]) -> Columns:
    """The columns of these keys, in this order, the address first; the usual ones where none is known."""
    found = tuple(BY_KEY[key] for key in dict.fromkeys(keys) if key in BY_KEY and key != "address")
    return (BY_KEY["address"], *found) if found else USUAL


def arrange(width: int, columns: Columns = USUAL, slid: int = 0) -> tuple[Placed[AccountRow], ...]:
    """The columns that fit into ``width`` cells: the address, and from the left those behind it.

    ``slid``: so many of these have gone to the left, out of sight.
    """
    return grid.arrange((columns[0], *columns[1 + slid :]), width, LEAD, in_order=True)


def slides(width: int, columns: Columns = USUAL) -> int:
    """How far the columns can be slid: until the last one is seen."""
    for slid in range(len(columns)):
        if slid + len(arrange(width, columns, slid)) == len(columns):
            return slid
    return len(columns) - 2


def cells(row: AccountRow, placed: Sequence[Placed[AccountRow]], context: Context, *, marked: bool) -> Line:
    """The line of an account."""
    glyphs, level = context.glyphs, row.level
    sign = (glyphs.levels[level], fmt.look_of(level)) if row.enabled else (glyphs.disabled, "quiet")
    lead = ((glyphs.mark if marked else " ", "mark"), (sign[0] + " ", sign[1]))
    return grid.cells(row, placed, context, lead)
