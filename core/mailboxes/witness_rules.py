"""Whether Dovecot's own usage and limit of an account are ours, and what is the likely cause where they are not. Pure.

Dovecot tells KiB, rounded up. So ours are rounded in the same way, and what can't be told apart is no difference.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from ..base.units import format_limit, format_size
from ..servers.dovecot.quota_rows import KIB, Quota
from .measure import Measurement

ALIKE_LEAST = 3  # accounts with mail that have to be verified before the whole driver is judged
ALIKE_SHARE = 0.9  # of them, that differ
_MANY_TIMES = 1.5  # how much larger mail is by Dovecot's figure where it is stored compressed


class Sight(Enum):
    """What one comparison of the usage found."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MOVING = "moving"  # the mailbox changes just now: nothing is known
    UNKNOWN = "unknown"  # there is nothing to compare with


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A difference that was found twice. ``told`` is Dovecot's reply; ``ours`` our own measurement, None without one.

    ``usage`` and ``limit`` say which of the two differs.
    """

    told: Quota
    ours: Measurement | None
    usage: bool
    limit: bool
    cause: str = ""

    @property
    def told_limit(self) -> int | None:
        """Dovecot's limit in bytes, None for unlimited. It is rounded up to KiB, so that it refuses no mail."""
        limits = self.told.limits
        return None if limits is None or limits.kib is None else limits.kib * KIB


def without_limit(verdict: Verdict | None) -> Verdict | None:
    """What is left of a verdict after the limit in the database was edited: whether that differs is not known yet."""
    if verdict is None or not verdict.limit:
        return verdict
    return msgspec.structs.replace(verdict, limit=False) if verdict.usage else None


def without_usage(verdict: Verdict | None) -> Verdict | None:
    """What is left of a verdict after all is measured in another way: whether the usage differs is not known yet."""
    if verdict is None or not verdict.usage:
        return verdict
    return msgspec.structs.replace(verdict, usage=False, ours=None, cause="") if verdict.limit else None


class Hints(msgspec.Struct, frozen=True):
    """What Dovecot's settings have that makes usage differ: texts for people, the likeliest first."""

    elsewhere: tuple[str, ...] = ()  # folders that are not below the mailbox
    sizes: tuple[str, ...] = ()  # other sizes than those of the files


NO_HINTS = Hints()


def compare_usage(before: Measurement | None, told: Quota, after: Measurement | None) -> Sight:
    """Compare Dovecot's usage with our own measurements of just before and just after; None: not measurable.

    A figure between our two is that of a mailbox into which mail was delivered meanwhile.
    """
    if before is None or after is None:
        return Sight.DIFFERS if before is after and told.messages else Sight.UNKNOWN
    least, most = sorted((kib(before.used), kib(after.used)))
    fewest, largest = sorted((before.messages, after.messages))
    if least <= told.kib <= most and fewest <= told.messages <= largest:
        return Sight.AGREES
    return Sight.DIFFERS if (least, fewest) == (most, largest) else Sight.MOVING


def same_limit(limit: int | None, messages: int | None, told: Quota) -> bool:
    """Whether Dovecot's limits are these, of bytes and messages (None unlimited). True where Dovecot told none."""
    return _same_bytes(limit, told) and _same_messages(messages, told)


def _same_bytes(limit: int | None, told: Quota) -> bool:
    return told.limits is None or (None if not limit else kib(limit)) == told.limits.kib


def _same_messages(messages: int | None, told: Quota) -> bool:
    return told.limits is None or (messages or None) == told.limits.messages


def limits_of(verdict: Verdict | None, limit: int | None, messages: int | None) -> tuple[int | None, int | None]:
    """The limits that count, of bytes and messages: those of the database (as given), or Dovecot's where they differ.

    One of bytes that is the same is not taken from Dovecot, which rounds it.
    """
    if verdict is None or not verdict.limit or verdict.told.limits is None:
        return limit, messages
    return limit if _same_bytes(limit, verdict.told) else verdict.told_limit, verdict.told.limits.messages


def kib(size: int) -> int:
    """Bytes as Dovecot tells them."""
    return -(-size // KIB)


def distance(told: Quota, ours: Measurement | None) -> tuple[int, int]:
    """By how many KiB and messages Dovecot's usage is more. Equal ones twice tell that no mail came in between."""
    return (told.kib, told.messages) if ours is None else (told.kib - kib(ours.used), told.messages - ours.messages)


def all_alike(compared: int, differing: int) -> bool:
    """Whether so many accounts differ, of those with mail that were compared, that the whole driver is wrong."""
    return compared >= ALIKE_LEAST and differing >= ALIKE_SHARE * compared


def likely_cause(driver: str, ours: Measurement | None, told: Quota, hints: Hints = NO_HINTS) -> str:
    """Why the usage may differ, for the administrator."""
    if ours is None:
        return "mailquota can't read this mailbox where it looks for it"
    if driver == "sql":
        return "the table of usage is not the one that Dovecot keeps, or has no row of this account"
    if told.messages > ours.messages:
        return _more(ours, hints)
    if told.messages < ours.messages:
        return "a rule of this user or folder keeps messages out of the quota, or Dovecot's record is out of date"
    if told.kib > kib(ours.used) * _MANY_TIMES:
        return _first(hints.sizes, "mail is stored compressed, so that its files are smaller than its messages")
    return _first(
        hints.sizes, "Dovecot counts other sizes of the same messages: another quota driver, or a stale record"
    )


def _more(ours: Measurement, hints: Hints) -> str:
    if hints.elsewhere:
        return hints.elsewhere[0]
    if not ours.messages:
        return "the mailbox is elsewhere: another path or spelling, or a location of this user alone"
    return "folders that mailquota does not see: a namespace or an option of the location, or Dovecot's record is stale"


def _first(found: tuple[str, ...], otherwise: str) -> str:
    return found[0] if found else otherwise


def limit_cause(limit: int | None, told: Quota) -> str:
    """Why the limits may differ; ``limit`` is the one in the accounts database."""
    if told.limits is not None and told.limits.kib is None:
        return "Dovecot's user_query gives no limit, or the quota ignores this user"
    if not limit:
        return "a default in Dovecot's settings, or a limit in the header of maildirsize"
    return "a rule in the user_query or in Dovecot's settings, or Dovecot still remembers an older limit"


def difference_text(verdict: Verdict, limit: int | None, messages: int | None) -> str:
    """The difference in a sentence, for card, ``show`` and doctor. The limits are those of the accounts database."""
    parts, told = [], verdict.told
    if verdict.usage:
        ours = verdict.ours
        own = "nothing" if ours is None else f"{format_size(ours.used)} in {ours.messages:,} messages"
        theirs = f"{format_size(told.kib * KIB)} in {told.messages:,} messages"
        parts.append(f"Dovecot counts {theirs}, mailquota's own way {own}: {verdict.cause}")
    if verdict.limit and not _same_bytes(limit, told):
        limits = f"Dovecot's limit is {format_limit(verdict.told_limit)}, the database has {format_limit(limit)}"
        parts.append(f"{limits}: {limit_cause(limit, told)}")
    if verdict.limit and told.limits is not None and not _same_messages(messages, told):
        found = f"mailquota reads {_number(messages)} from its settings and its query"
        parts.append(f"Dovecot's limit of messages is {_number(told.limits.messages)}, {found}")
    return "; ".join(parts)


def _number(messages: int | None) -> str:
    return f"{messages:,}" if messages else "unlimited"
