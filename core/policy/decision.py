"""The decision on one recipient: Dovecot's rule for a mailbox, and the words for it. Pure.

For a limit L above 0, a use U, a size S of at least 1 and a grace G: U >= L is over quota, whatever the size and
without grace; else the mail is taken while S <= (L - U) + G. Where it is not and S alone is above L, it is too large.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from mailquota.core.base.endpoints import ListenAddress
from mailquota.core.base.exempt import Exempt
from mailquota.core.base.units import Grace, format_exact


class Verdict(StrEnum):
    """What was decided; OTHER is a request that is not for us to decide (another protocol state)."""

    ACCEPT = "accept"
    OVER_QUOTA = "over_quota"
    TOO_LARGE = "too_large"
    UNKNOWN = "unknown"
    TROUBLE = "trouble"
    OTHER = "other"


REFUSALS = frozenset({Verdict.OVER_QUOTA, Verdict.TOO_LARGE})
DECIDED_STATES = frozenset({None, b"RCPT", b"END-OF-MESSAGE"})


def judge(limit: int | None, used: int | None, size: int, grace: int) -> Verdict:
    """The rule. All in bytes; ``limit`` None is unlimited, below 0 it is none; ``used`` None is not known."""
    if limit is None:
        return Verdict.ACCEPT
    if used is None or limit < 0:
        return Verdict.TROUBLE
    need = size or 1
    if used < limit and need <= limit - used + grace:
        return Verdict.ACCEPT
    return Verdict.TOO_LARGE if need > limit else Verdict.OVER_QUOTA


def sum_up(verdicts: Collection[Verdict]) -> Verdict:
    """One answer for all mailboxes that a mail ends in: taken if one takes it, refused if all refuse."""
    for verdict in (Verdict.ACCEPT, Verdict.TROUBLE, Verdict.OVER_QUOTA):
        if verdict in verdicts:
            return verdict
    return Verdict.TOO_LARGE if verdicts else Verdict.TROUBLE


def explain_verdict(verdict: Verdict, limit: int | None, used: int | None, size: int, grace: int) -> str:
    """One sentence on why a mailbox got this verdict from ``judge``."""
    if limit is None:
        return "The account is unlimited."
    if used is None:
        return "Its use can't be measured now, so the answer for trouble is given."
    held = f"{format_exact(used)} of {format_exact(limit)} are used"
    need = size or 1
    if verdict is Verdict.ACCEPT:
        words = f"{format_exact(need)} {'fits' if need == 1 else 'fit'}"
        return f"{held}; {words}, with a grace of {format_exact(grace)}." if grace else f"{held}; {words}."
    if used >= limit:
        return f"{held}: at or over its limit nothing is taken, whatever the size; the grace does not count then."
    words = f"{format_exact(need)} {'does' if need == 1 else 'do'} not fit"
    return f"{held}; {words}, not even with the grace of {format_exact(grace)}." if grace else f"{held}; {words}."


class VerdictActions(msgspec.Struct, frozen=True, kw_only=True):
    """The action for each verdict, from the settings ``policy``; in shadow mode each is DUNNO."""

    accept: str
    over_quota: str
    too_large: str
    unknown: str
    trouble: str

    @classmethod
    def shadow(cls) -> VerdictActions:
        """Decide, record, and never refuse."""
        return cls(accept="DUNNO", over_quota="DUNNO", too_large="DUNNO", unknown="DUNNO", trouble="DUNNO")

    def action(self, verdict: Verdict) -> str:
        """What stands after ``action=``."""
        return "DUNNO" if verdict is Verdict.OTHER else str(getattr(self, verdict.value))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings ``policy``, ready for use."""

    actions: VerdictActions
    grace: Grace
    delimiters: str
    exempt: Exempt
    shadow: bool
    aliases: bool = True
    compare_with: ListenAddress | None = None  # a quota-status to ask the same
    reserve_seconds: float = 0.0  # how long an accepted, announced size counts before it arrives; 0: never
