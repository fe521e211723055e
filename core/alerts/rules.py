"""Whether a warning is due to the owner of a mailbox now. Pure: the clock and the last warning are parameters.

Theory of operation. The decision follows from the usage and limit that a mailbox has now, and from its owner's last
warning, never from the moment at which a threshold was crossed. So it does not matter how a mailbox came to be full (a
mail, an import, a lowered limit, a recount) nor what happened meanwhile (a restart, an engine that was down): the owner
of a mailbox above a threshold is warned once, if no warning of it holds. A warning holds until the usage is HYSTERESIS
below its threshold, so a mailbox that goes up and down around a threshold gets one mail. All of this is in percent of
the limit: a threshold that is space left is another percentage for each mailbox.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ..base.model import LastWarning, percent_of
from ..base.units import parse_size

HYSTERESIS = 3.0  # percent of the limit
BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One of the setting ``warnings.thresholds``: a percentage, or space left. ``text`` is its name ("80%", "50M")."""

    text: str
    percent: int = 0
    left: int = 0  # bytes; 0 for a percentage

    def percent_of(self, limit: int) -> float | None:
        """The threshold in percent of a limit in bytes; None where the limit is not above the space left."""
        if not self.left:
            return float(self.percent)
        return (limit - self.left) * 100 / limit if self.left < limit else None

    def is_reached(self, used: int, limit: int) -> bool:
        """Whether a usage (bytes) has reached it: exactly the percentage has, as in Dovecot; exactly the space has not.

        Space left is never reached in a mailbox whose limit is not above it: that would always be warned.
        """
        if not self.left:
            return used * 100 >= limit * self.percent
        return self.left < limit and limit - used < self.left


def parse_thresholds(thresholds: Iterable[int | str]) -> tuple[Threshold, ...]:
    """The setting ``warnings.thresholds``: numbers are percentages, texts are sizes. Each one once."""
    return tuple(
        Threshold(text=f"{value}%", percent=value)
        if isinstance(value, int)
        else Threshold(text=value.strip(), left=parse_size(value))
        for value in dict.fromkeys(thresholds)
    )


class Policy(NamedTuple):
    """The settings that decide. ``remind_seconds`` is 0 for no reminders; ``below``: send "room again" mails."""

    thresholds: tuple[Threshold, ...]
    remind_seconds: float
    below: bool


class Due(NamedTuple):
    """``due`` is the name of a threshold, BELOW, or "" for no mail; ``last`` the last warning from now on, if any."""

    due: str
    last: LastWarning | None


class MailboxState(NamedTuple):
    """Usage and limit in bytes, and the highest threshold that is reached: its name, and its percent of the limit."""

    used: int
    limit: int
    reached: tuple[str, float] | None

    @property
    def full(self) -> bool:
        """At the limit or above."""
        return self.used >= self.limit


def judge(last: LastWarning | None, used: int | None, limit: int | None, policy: Policy, now: float) -> Due:
    """Which mail is due, if any, and which last warning holds from now on. A usage of None changes nothing."""
    if not limit:
        return Due("", None)  # unlimited: no threshold to reach
    if used is None:
        return Due("", last)
    state = MailboxState(used, limit, reached(used, limit, policy.thresholds))
    if last is None:
        return _warn(state, now)
    if last.at > now:  # the clock was set back: a reminder that waited for the old time would come much too late
        last = msgspec.structs.replace(last, at=now)
    remind = 0 < policy.remind_seconds <= now - last.at
    if state.reached is not None and (state.reached[1] > last.percent or remind):
        return _warn(state, now)
    return _still_holding(last, state, policy)


def reached(used: int, limit: int, thresholds: Iterable[Threshold]) -> tuple[str, float] | None:
    """The highest threshold that is reached: its name and its percentage of the limit; None where none is."""
    found = [(one.percent_of(limit) or 0.0, one.text) for one in thresholds if one.is_reached(used, limit)]
    return (max(found)[1], max(found)[0]) if found else None


def _warn(state: MailboxState, now: float) -> Due:
    if state.reached is None:
        return Due("", None)
    name, percent = state.reached
    return Due(name, LastWarning(percent=percent, at=now, was_full=state.full))


def _still_holding(last: LastWarning, state: MailboxState, policy: Policy) -> Due:
    """What is left of the last warning: it sinks to the highest threshold that still holds.

    "Room again" is due once none holds any more; after the mailbox was full already below the highest threshold, as
    mail was refused then and is accepted again.
    """
    was_full = last.was_full or state.full
    percent = percent_of(state.used, state.limit) or 0.0
    all_percents = [found for one in policy.thresholds if (found := one.percent_of(state.limit)) is not None]
    still = [one for one in [*all_percents, last.percent] if one <= last.percent and holds(percent, one)]
    due = BELOW if policy.below and last.room_again_due and policy.thresholds else ""
    if not still:
        return Due(due, None)
    last = msgspec.structs.replace(last, percent=max(still), was_full=was_full)
    if was_full and not holds(percent, max(all_percents, default=100.0)):
        return Due(due, msgspec.structs.replace(last, was_full=False, room_again_due=False))
    return Due("", last)


def holds(percent: float, threshold: float) -> bool:
    """Whether a usage is at a threshold or less than HYSTERESIS below it; both in percent of the limit."""
    return percent >= threshold - HYSTERESIS
