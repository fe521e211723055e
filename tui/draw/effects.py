"""What another limit means for each of several accounts: rows of a table, the worst first. Pure; sizes in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mailquota.core.base.model import Level, level_of, percent_of
from mailquota.core.base.units import format_count, format_limit, format_message_limit, format_size

from . import format as fmt
from .format import Line, Run
from .grid import Column, Context, text_cell

LEAD = 3  # cells before the first column
_SEVERITY = {
    level: rank
    for rank, level in enumerate((Level.OVER, Level.CRITICAL, Level.NEAR, Level.OK, Level.UNLIMITED, Level.UNKNOWN), 1)
}
_HIGHEST = 1e6  # percent; what is above sorts as this


class Effect(msgspec.Struct, frozen=True, gc=False):  # thousands are made at each key
    """The limit of one account before and after; None is unlimited. ``level`` is that of the new limit.

    ``error`` says why the limit stays as it is. ``messages``: the limits are numbers of messages, and so is ``used``.
    """

    address: str
    old: int | None
    new: int | None
    used: int | None
    level: Level
    error: str = ""
    messages: bool = False

    @property
    def percent(self) -> float | None:
        """The usage in percent of the new limit."""
        return percent_of(self.used, self.new)

    @property
    def over(self) -> int:
        """By how much the usage is above the new limit; 0 if it is not."""
        return max(0, self.used - self.new) if self.used is not None and self.new is not None else 0

    @property
    def stays_over(self) -> bool:
        """Whether it is over the present limit already, and by no more over the new one."""
        return bool(self.over) and self.old is not None and (self.used or 0) > self.old <= (self.new or 0)

    @property
    def comes_over(self) -> bool:
        """Whether it is over by the new limit, or by more than now."""
        return bool(self.over) and not self.stays_over


def effect(address: str, old: int | None, new: int | None, used: int | None) -> Effect:
    """Of a limit of bytes alone."""
    return Effect(address, old, new, used, level_of(used, new))


def rank(one: Effect) -> float:
    """The place in the list: those that can't be changed, then the fullest."""
    return (0 if one.error else _SEVERITY[one.level] * _HIGHEST) - min(one.percent or 0.0, _HIGHEST - 1)


def worst_first(effects: Iterable[Effect]) -> list[Effect]:
    """In the order of their ranks; equal ones stay in their order."""
    return sorted(effects, key=rank)


def over_line(stay: int, come: int) -> Line:
    """``34 stay over, 0 come over``."""
    return (
        (f"{format_count(stay)} stay over", "near" if stay else "quiet"),
        (f", {format_count(come)} come over", "over" if come else "quiet"),
    )


def limit_words(limit: int | None, *, messages: bool = False) -> str:
    """A limit as text."""
    return format_message_limit(limit) if messages else format_limit(limit)


def room_words(one: Effect) -> str:
    """By how much it is over then, or how much is left."""
    if one.used is None or one.new is None:
        return ""
    words = format_count if one.messages else format_size
    return f"over by {words(one.over)}" if one.over else f"{words(one.new - one.used)} left"


def _address(one: Effect, context: Context) -> Run:
    return fmt.literal(one.address, context.glyphs), "plain"


def _old(one: Effect, _context: Context) -> Run:
    return limit_words(one.old, messages=one.messages), "quiet"


def _new(one: Effect, context: Context) -> Run:
    if one.error:
        return "stays", "near"
    if one.new == one.old:
        return context.glyphs.nothing, "quiet"
    return limit_words(one.new, messages=one.messages), "strong"


def _then(one: Effect, context: Context) -> Run:
    if one.error:
        return "", "quiet"
    return fmt.percent_text(one.percent, context.glyphs), fmt.look_of(one.level)


def _room(one: Effect, context: Context) -> Run:
    if one.error:
        return fmt.literal(one.error, context.glyphs), "near"
    if one.percent is None:
        return one.level.value, "quiet"
    return room_words(one), "over" if one.comes_over else "near" if one.over else "quiet"


COLUMNS: tuple[Column[Effect], ...] = (
    Column("address", "Account", width=14, priority=0, cell=text_cell(_address), good=24, most=46),
    Column("old", "Limit", width=9, priority=2, cell=text_cell(_old, right=True), right=True),
    Column("new", "New", width=9, priority=1, cell=text_cell(_new, right=True), right=True),
    Column("then", "Then", width=7, priority=3, cell=text_cell(_then, right=True), right=True),
    Column("room", "Room", width=16, priority=4, cell=text_cell(_room), good=18, most=60),
)


def lead(one: Effect, context: Context) -> Line:
    """The sign of its level then."""
    if one.error:
        return (("   ", "plain"),)
    return ((f" {context.glyphs.levels[one.level]} ", fmt.look_of(one.level)),)


def left_out(line: Sequence[Run]) -> Line:
    """The line of an account that is left out: dim, with a sign."""
    return ((" x ", "near"), *((text, "quiet") for text, _look in line[1:]))
