"""The decision on one mailbox by Dovecot's rule, and its reason as text. Pure.

For a limit L above 0, a usage U, a size S of at least 1 and a grace G: U >= L is over quota, whatever the size, and
grace does not count; else the mail is accepted while S <= (L - U) + G. With a limit of messages, a mailbox that has so
many is over quota, whatever the sizes. Where the mail is not accepted and S alone is above L, it is too large. A mail
that is larger than Dovecot's largest is too large for every mailbox, also for one without a limit.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ..base.endpoints import ListenAddress
from ..base.exempt import Exempt
from ..base.units import Grace, format_exact
from ..mailboxes.entry import Entry


class Verdict(StrEnum):
    """What was decided. OTHER: nothing, as the request has another protocol state, or no address as its recipient."""

    ACCEPT = "accept"
    OVER_QUOTA = "over_quota"
    TOO_LARGE = "too_large"
    UNKNOWN = "unknown"
    TROUBLE = "trouble"
    OTHER = "other"


ACCEPT, TROUBLE = Verdict.ACCEPT, Verdict.TROUBLE  # for each answer: Python 3.11 takes long to look up in an Enum
REFUSALS = frozenset({Verdict.OVER_QUOTA, Verdict.TOO_LARGE})
DECIDED_STATES = frozenset({None, b"RCPT", b"END-OF-MESSAGE"})


def judge(limit: int | None, used: int | None, size: int, grace: int) -> Verdict:
    """The verdict by the rule, without a limit of messages. All in bytes.

    A ``limit`` of None is unlimited, one below 0 is not usable; ``used`` of None is not known; ``size`` of 0 was not
    announced, and counts as 1.
    """
    if limit is None:
        return ACCEPT
    if used is None or limit < 0:
        return TROUBLE
    need = size or 1
    if used < limit and need <= limit - used + grace:
        return ACCEPT
    return Verdict.TOO_LARGE if need > limit else Verdict.OVER_QUOTA


def judge_messages(verdict: Verdict, limit: int | None, size: int, messages: int | None, most: int) -> Verdict:
    """The verdict with a limit of messages, ``most``; ``verdict``, ``limit`` and ``size`` are those of ``judge``.

    ``messages`` of None is not known; a ``most`` below 0 is not usable. There is no grace for messages.
    """
    if verdict is Verdict.TROUBLE or messages is None or most < 0:
        return Verdict.TROUBLE
    if messages < most:
        return verdict
    return Verdict.TOO_LARGE if limit is not None and (size or 1) > limit else Verdict.OVER_QUOTA


def sum_up(verdicts: Collection[Verdict]) -> Verdict:
    """One verdict for all mailboxes of a recipient: accept if one of them accepts, refuse if all refuse."""
    for verdict in (Verdict.ACCEPT, Verdict.TROUBLE, Verdict.OVER_QUOTA):
        if verdict in verdicts:
            return verdict
    return Verdict.TOO_LARGE if verdicts else Verdict.TROUBLE


def is_made_unreadable(verdicts: Mapping[Entry, Verdict], boxes: Iterable[Entry], unreadable: Container[Entry]) -> bool:
    """Whether the owners of all mailboxes that are in trouble made them ``unreadable``.

    One without a verdict was not measured in time. What its owner did is not what kept it from that.
    """
    troubled = [entry for entry in boxes if verdicts.get(entry, TROUBLE) is TROUBLE]
    return bool(troubled) and all(entry in unreadable and entry in verdicts for entry in troubled)


def explain_messages(messages: int, most: int) -> str:
    """One sentence on why a mailbox at its limit of messages takes no more."""
    return f"It has {messages:,} of {most:,} messages: at its limit of messages no mail is accepted, whatever its size."


def explain_verdict(verdict: Verdict, limit: int | None, used: int | None, size: int, grace: int) -> str:
    """One sentence on why a mailbox got this verdict from ``judge``; sizes are in bytes."""
    if limit is None:
        return "The account is unlimited."
    if used is None:
        return "Its usage can't be measured now, so the answer for trouble is given."
    held = f"{format_exact(used)} of {format_exact(limit)} are used"
    need = size or 1
    if verdict is Verdict.ACCEPT:
        text = f"{format_exact(need)} {'fits' if need == 1 else 'fit'}"
        return f"{held}; {text}, with a grace of {format_exact(grace)}." if grace else f"{held}; {text}."
    if used >= limit:
        return f"{held}: at or over its limit no mail is accepted, whatever its size; the grace does not count then."
    text = f"{format_exact(need)} {'does' if need == 1 else 'do'} not fit"
    return f"{held}; {text}, not even with the grace of {format_exact(grace)}." if grace else f"{held}; {text}."


class VerdictActions(msgspec.Struct, frozen=True, kw_only=True):
    """The action of access(5) for each verdict, from section [policy] of the settings."""

    accept: str
    over_quota: str
    too_large: str
    unknown: str
    trouble: str
    unreadable: str = ""  # for trouble with mailboxes that their owners made unreadable; "": as trouble

    @classmethod
    def shadow(cls) -> VerdictActions:
        """For shadow mode, which decides and records, and never refuses: DUNNO for each verdict."""
        return cls(accept="DUNNO", over_quota="DUNNO", too_large="DUNNO", unknown="DUNNO", trouble="DUNNO")

    def action(self, verdict: Verdict, *, unreadable: bool = False) -> str:
        """The text after ``action=``. ``unreadable``: the owners of all mailboxes in trouble made them so."""
        if unreadable and verdict is Verdict.TROUBLE and self.unreadable:
            return self.unreadable
        return "DUNNO" if verdict is Verdict.OTHER else str(getattr(self, verdict.value))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What decides, from section [policy] of the settings."""

    actions: VerdictActions
    grace: Grace
    delimiters: str
    exempt: Exempt
    shadow: bool
    aliases: bool = True
    compare_with: ListenAddress | None = None  # the quota-status to compare answers with
    reserve_seconds: float = 0.0  # how long the announced size of an accepted mail is reserved; 0: never
    largest: int = 0  # bytes of the largest mail that Dovecot takes; 0: any

    def is_too_large(self, size: int) -> bool:
        """Whether Dovecot takes no mail of this size in bytes, whatever there is room for."""
        return 0 < self.largest < size


def judge_mailbox(rules: Rules, entry: Entry, used: int, messages: int | None, size: int) -> Verdict:
    """The verdict on a mailbox that has this usage in bytes and messages. A ``size`` of 0 was not announced."""
    limit, most = entry.limit, entry.limit_messages
    if 0 < rules.largest < size:  # is_too_large, without the call: this decides how many answers one core gives
        return Verdict.TOO_LARGE
    grace = 0 if limit is None else rules.grace.of(limit)
    if entry.inbox is not None:
        limit, most = entry.inbox.limits(limit, most)
    verdict = judge(limit, used, size, grace)
    return verdict if most is None else judge_messages(verdict, limit, size, messages, most)
