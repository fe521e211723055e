"""What a new limit would mean, computed before it is set. Pure; sizes in bytes.

An absolute limit is parsed once. A relative one (``+20%``, ``used*1.2``) differs from account to account, and may be
impossible for some.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailquota.core.base.errors import UsageError
from mailquota.core.base.model import AccountRow, Level, level_of, percent_of
from mailquota.core.base.units import format_count, format_limit, format_size, parse_limit

from ..draw import format as fmt
from ..draw.effects import Effect, over_line, room_words
from ..draw.format import Line, Run
from ..draw.grid import Context


@dataclass
class Proposal:
    """The effect of a limit on the accounts given to ``add``. Sums leave out accounts without a limit.

    ``listed``: the accounts are shown in a list, so that also of one there are sums.
    """

    text: str
    listed: bool = False
    accounts: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0
    unlimited: int = 0
    below_usage: int = 0  # accounts that would be over, and are not yet, or would be over by more
    worst: int = 0  # bytes by which the fullest of these would be over
    stay: int = 0  # accounts that are over now, and would be so by no more
    worst_of_them: int = 0
    levels: dict[Level, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    only: tuple[AccountRow, int | None] | None = None
    _absolute: tuple[int | None] | None = None

    def __post_init__(self) -> None:
        if not self.text:
            return
        try:
            self._absolute = (parse_limit(self.text, None, None),)
        except UsageError:
            self._absolute = None

    def add(self, row: AccountRow) -> None:
        """Add an account to the sums."""
        self.count(self.effect(row), row)

    def effect(self, row: AccountRow) -> Effect:
        """What the limit means for an account; an empty text leaves it as it is."""
        try:
            if self._absolute:
                new = self._absolute[0]
            else:
                new = parse_limit(self.text, row.limit_bytes, row.used_bytes) if self.text else row.limit_bytes
        except UsageError as error:
            return Effect(row.address, row.limit_bytes, row.limit_bytes, row.used_bytes, row.level, str(error))
        level = level_of(row.used_bytes, new, row.messages, row.limit_messages)
        return Effect(row.address, row.limit_bytes, new, row.used_bytes, level)

    def count(self, effect: Effect, row: AccountRow) -> None:
        """Add what it means for ``row`` to the sums."""
        self.accounts += 1
        self.only = None
        if effect.error:
            self.errors.append(effect.error)
            return
        new = effect.new
        self.only = (row, new) if self.accounts == 1 and not self.listed else None
        self.changed += new != row.limit_bytes
        self.before += max(0, row.limit_bytes or 0)
        self.after += new or 0
        self.unlimited += new is None
        self.levels[effect.level] = self.levels.get(effect.level, 0) + 1
        if effect.stays_over:
            self.stay, self.worst_of_them = self.stay + 1, max(self.worst_of_them, effect.over)
        elif effect.over:
            self.below_usage, self.worst = self.below_usage + 1, max(self.worst, effect.over)

    @property
    def impossible(self) -> bool:
        """Whether no account can have this limit."""
        return 0 < len(self.errors) == self.accounts

    def lines(self, context: Context) -> list[Line]:
        """The preview; empty if no account can have this limit."""
        if self.impossible or not self.accounts:
            return []
        return list(self._one(*self.only, context) if self.only is not None else self._many(context))

    def _one(self, row: AccountRow, new: int | None, context: Context) -> Iterator[Line]:
        level, glyphs = level_of(row.used_bytes, new, row.messages, row.limit_messages), context.glyphs
        style = fmt.look_of(level)
        runs: list[Run] = [
            (format_limit(row.limit_bytes), "quiet"),
            (f" {glyphs.arrow} ", "quiet"),
            (format_limit(new), "strong"),
            (f"   {glyphs.levels[level]} ", style),
        ]
        percent = percent_of(row.used_bytes, new)
        if percent is not None:
            runs.append((f"{fmt.percent_text(percent, glyphs)} ", style))
        runs.append((level.value, style))
        if row.used_bytes is not None and new is not None:
            room = room_words(Effect(row.address, row.limit_bytes, new, row.used_bytes, level))
            runs.append((f"   {'stays ' * self.stay}{room}", "quiet"))
        yield tuple(runs)

    def _many(self, context: Context) -> Iterator[Line]:
        arrow = f" {context.glyphs.arrow} "
        runs: list[Run] = [
            ("granted ", "quiet"),
            (format_size(self.before), "quiet"),
            (arrow, "quiet"),
            (format_size(self.after), "strong"),
        ]
        if self.unlimited:
            runs.append((f"   {format_count(self.unlimited)} unlimited", "near"))
        yield tuple(runs)
        yield tuple(self._afterwards(context)) or (("nobody near or over afterwards", "quiet"),)
        yield over_line(self.stay, self.below_usage)
        if self.errors:
            yield ((f"{format_count(len(self.errors))} can't have this limit", "near"),)

    def _afterwards(self, context: Context) -> Iterator[Run]:
        for level in (Level.OVER, Level.CRITICAL, Level.NEAR):
            if self.levels.get(level):
                sign = context.glyphs.levels[level]
                yield f"{sign} {format_count(self.levels[level])} {level.value}  ", fmt.look_of(level)

    def warning(self) -> str:
        """The question to confirm a limit below the usage; empty if nobody comes over their limit by it."""
        if not self.below_usage:
            return ""
        if self.only is not None:
            return (
                f"{format_size(self.worst)} below the present usage: new mail is refused until there is room. "
                "Enter again to set it all the same."
            )
        return (
            f"{fmt.plural(self.below_usage, 'account')} would be over it by up to {format_size(self.worst)}: "
            "their new mail is refused until there is room. Enter again to set it all the same."
        )
