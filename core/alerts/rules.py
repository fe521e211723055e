"""Whether the owner of a mailbox is to be told something now. Pure: the clock and the memory are parameters.

Theory of operation. A verdict comes from the state that a mailbox is in and from what its owner was told last, never
from the moment at which a mark was crossed. So it does not matter how a mailbox came to be full (a mail, an import, a
lowered limit, a recount) nor what was going on then (a restart, an engine that was down): whoever is above a mark and
was not told so is told, once. What was told is forgotten only when the use is HYSTERESIS below the mark again, so a
mailbox that hovers around it gets one mail. All of this is in percent of the limit, as a mark that is a size left is
another percentage for each mailbox.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from mailquota.core.base.model import LastWarning, percent_of
from mailquota.core.base.units import parse_size

HYSTERESIS = 3.0  # percent of the limit
BELOW = "below"


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold of the settings: a percentage, or a size that is left. ``text`` is how it is named."""

    text: str
    percent: int = 0
    left: int = 0  # bytes

    def percent_of(self, limit: int) -> float | None:
        """The mark in percent of a limit; None for a mailbox that is smaller than what should be left in it."""
        if not self.left:
            return float(self.percent)
        return (limit - self.left) * 100 / limit if self.left < limit else None

    def is_reached(self, used: int, limit: int) -> bool:
        """At the percentage counts as reached, as for Dovecot; of a size left there must be less."""
        if not self.left:
            return used * 100 >= limit * self.percent
        return self.left < limit and limit - used < self.left


def parse_marks(thresholds: Iterable[int | str]) -> tuple[Mark, ...]:
    """The setting ``warnings.thresholds``."""
    return tuple(
        Mark(f"{value}%", percent=value) if isinstance(value, int) else Mark(value.strip(), left=parse_size(value))
        for value in dict.fromkeys(thresholds)
    )


class Policy(NamedTuple):
    """The settings that decide. ``remind_seconds`` 0: no reminders. ``below``: tell them when there is room again."""

    marks: tuple[Mark, ...]
    remind_seconds: float
    below: bool


class Verdict(NamedTuple):
    """``due`` is the mark to tell about, BELOW, or ""; ``told`` is what is to be remembered, None for nothing."""

    due: str
    told: LastWarning | None


class Fill(NamedTuple):
    """How full a mailbox is, in bytes, and the highest mark that it is at or above."""

    used: int
    limit: int
    mark: tuple[str, float] | None

    @property
    def over(self) -> bool:
        """At the limit or above."""
        return self.used >= self.limit


def judge(told: LastWarning | None, used: int | None, limit: int | None, policy: Policy, now: float) -> Verdict:
    """What is due, and what is remembered from now on. A use that is not known changes nothing."""
    if not limit:
        return Verdict("", None)  # unlimited: nothing to be near of
    if used is None:
        return Verdict("", told)
    fill = Fill(used, limit, reached(used, limit, policy.marks))
    if told is None:
        return _tell(fill, now)
    if told.at > now:  # the clock went back: what was told in the future was told just now
        told = msgspec.structs.replace(told, at=now)
    again = 0 < policy.remind_seconds <= now - told.at
    if fill.mark is not None and (fill.mark[1] > told.percent or again):
        return _tell(fill, now)
    return _descend(told, fill, policy)


def reached(used: int, limit: int, marks: Iterable[Mark]) -> tuple[str, float] | None:
    """The highest mark that a mailbox is at or above: its name and its percentage of the limit."""
    found = [(mark.percent_of(limit) or 0.0, mark.text) for mark in marks if mark.is_reached(used, limit)]
    return (max(found)[1], max(found)[0]) if found else None


def _tell(fill: Fill, now: float) -> Verdict:
    if fill.mark is None:
        return Verdict("", None)
    return Verdict(fill.mark[0], LastWarning(fill.mark[1], now, fill.over))


def _descend(told: LastWarning, fill: Fill, policy: Policy) -> Verdict:
    """The highest mark that still holds; room again once below all of them, or below the highest after being full."""
    over = told.over or fill.over
    use = percent_of(fill.used, fill.limit) or 0.0
    percents = [percent for mark in policy.marks if (percent := mark.percent_of(fill.limit)) is not None]
    still = [percent for percent in [*percents, told.percent] if percent <= told.percent and holds(use, percent)]
    due = BELOW if policy.below and told.room and policy.marks else ""
    if not still:
        return Verdict(due, None)
    told = msgspec.structs.replace(told, percent=max(still), over=over)
    if over and not holds(use, max(percents, default=100.0)):
        return Verdict(due, msgspec.structs.replace(told, over=False, room=False))
    return Verdict("", told)


def holds(use: float, percent: float) -> bool:
    """Whether a mark is not left behind yet; both in percent of the limit."""
    return use >= percent - HYSTERESIS
