"""The reason of a decision as text: makes the record that ``explain`` prints from what decided."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..base.units import format_exact
from ..control.results import Explanation, Target
from ..mailboxes.ledger import Entry
from ..mailboxes.measure import Measurement
from .aliases import Destination, DestinationKind
from .decision import REFUSALS, Rules, Verdict, VerdictActions, explain_messages, explain_verdict, sum_up
from .routes import Route

_NOBODY = "There is no account of this name, so the mail is left to Postfix."
_NOT_NOW = "can't be measured now, so the answer for trouble is given"


class MailboxVerdict:
    """The verdict on one mailbox; ``held`` are the bytes of accepted mails on their way, ``mails`` their number."""

    def __init__(self, entry: Entry, verdict: Verdict, held: int, mails: int, *, exempt: bool) -> None:
        self.entry = entry
        self.verdict = verdict
        self.held = held
        self.mails = mails
        self.exempt = exempt


def explanation(
    rules: Rules,
    recipient: str,
    size: int,
    route: Route,
    found: Mapping[str, MailboxVerdict],
    *,
    exempt: bool,
    unreadable: bool = False,
) -> Explanation:
    """The decision on ``recipient`` with its reason.

    ``size`` is in bytes, ``found`` has the verdicts by the addresses of the mailboxes, and ``exempt`` is whether the
    recipient itself is exempt. ``unreadable``: the owners of all mailboxes in trouble made them so.
    """
    verdict = route.settled or sum_up([finding.verdict for finding in found.values()])
    if verdict is Verdict.OTHER:  # no address, so no account has it
        verdict = Verdict.UNKNOWN
    action = (VerdictActions.shadow() if rules.shadow else rules.actions).action(verdict, unreadable=unreadable)
    targets = [_target(rules, end, found.get(end.address)) for end in route.destinations]
    if not targets:
        targets = [_no_mailbox(Destination(recipient, DestinationKind.UNKNOWN))]
    why = (
        "The recipient is exempt by policy.exempt, so it is never refused."
        if exempt
        else _why(rules, size, route, found)
    )
    if unreadable and verdict is Verdict.TROUBLE and rules.actions.unreadable:
        why += " For that policy.unreadable is the answer."
    return Explanation(recipient, size, targets, verdict=verdict.value, action=action, why=why)


def with_copies(made: Explanation, full: list[str]) -> Explanation:
    """The same decision, with the mailboxes that can't take a copy by always_bcc or recipient_bcc_maps."""
    if not full:
        return made
    text = f"Postfix also sends a copy to {_names(full)}, which can't take it: that copy is lost without a bounce."
    return msgspec.structs.replace(made, why=f"{made.why} {text}", lost_copies=full)


def _target(rules: Rules, end: Destination, finding: MailboxVerdict | None) -> Target:
    if finding is None:
        return _no_mailbox(end)
    entry, verdict = finding.entry, finding.verdict
    used = None if verdict is Verdict.TROUBLE else entry.used
    grace = rules.grace.of(entry.limit) if entry.limit is not None and not entry.fault else None
    return Target(
        address=end.address,
        kind=end.kind.value,
        limit_bytes=entry.limit,
        used_bytes=used,
        grace_bytes=grace,
        fits=verdict is Verdict.ACCEPT,
        via=list(end.via),
        maps=list(end.maps),
        limit_messages=entry.limit_messages,
        messages=None if verdict is Verdict.TROUBLE else entry.messages,
    )


def _no_mailbox(end: Destination) -> Target:
    """A destination that has no limit here; only mail for another server is sure to fit."""
    return Target(
        address=end.address,
        kind=end.kind.value,
        limit_bytes=None,
        used_bytes=None,
        grace_bytes=None,
        fits=end.kind is DestinationKind.EXTERNAL,
        via=list(end.via),
        maps=list(end.maps),
    )


def _why(rules: Rules, size: int, route: Route, found: Mapping[str, MailboxVerdict]) -> str:
    ends = route.destinations
    if all(end.kind is DestinationKind.UNKNOWN for end in ends):
        return _NOBODY
    if len(ends) > 1:
        return _why_several(ends, found)
    (end,) = ends
    if end.kind is DestinationKind.EXTERNAL:
        return f"Mail for it goes to {end.address}, which is no mailbox here, so no limit applies."
    if end.kind is DestinationKind.LOOP:
        return f"Its aliases form a loop at {end.address}; Postfix decides what happens then."
    return _why_mailbox(rules, size, found[end.address])


def _why_mailbox(rules: Rules, size: int, finding: MailboxVerdict) -> str:
    entry = finding.entry
    if reason := _regardless_of_usage(rules, size, finding):
        return reason
    known = None if finding.verdict is Verdict.TROUBLE else entry.known
    if known is None:
        reason = f"is not known, so the answer for trouble is given: {entry.trouble}" if entry.trouble else _NOT_NOW
        return f"Its usage {reason}."
    return _by_usage(rules, size, finding, known)


def _regardless_of_usage(rules: Rules, size: int, finding: MailboxVerdict) -> str:
    """Why a mailbox got its verdict where its usage does not matter; empty where it does."""
    entry = finding.entry
    if finding.exempt and entry.limited:
        return "The account is exempt by policy.exempt, so it is never refused."
    if entry.fault:
        return f"{entry.fault[0].upper()}{entry.fault[1:]}: the answer for trouble is given."
    if rules.is_too_large(size):
        return f"Dovecot takes no mail of more than {format_exact(rules.largest)}, whatever there is room for."
    return "" if entry.limited else "The account is unlimited."


def _by_usage(rules: Rules, size: int, finding: MailboxVerdict, known: Measurement) -> str:
    entry = finding.entry
    limit, most = entry.limit, entry.limit_messages
    if entry.inbox is not None:
        limit, most = entry.inbox.limits(limit, most)
    used = known.used + finding.held
    if most is not None and known.messages + finding.mails >= most:
        why = explain_messages(known.messages + finding.mails, most)
        return f"{why} That counts {_count(finding.mails)} on the way." if finding.mails else why
    if limit is None:
        if most is None:
            return "By Dovecot's settings for INBOX no limit counts for mail that comes in."
        return f"It has {known.messages + finding.mails:,} of {most:,} messages, and no limit of bytes."
    grace = rules.grace.of(entry.limit) if entry.limit is not None else 0
    why = explain_verdict(finding.verdict, limit, used, size, grace)
    if limit != entry.limit:
        why += " The limit is the one that Dovecot's settings for INBOX give to mail that comes in."
    if finding.held:
        why += f" That counts {format_exact(finding.held)} of accepted mails that have not arrived yet."
    return why


def _count(mails: int) -> str:
    return "1 accepted mail" if mails == 1 else f"{mails:,} accepted mails"


def _why_several(ends: list[Destination], found: Mapping[str, MailboxVerdict]) -> str:
    full = [address for address, finding in found.items() if finding.verdict in REFUSALS]
    if len(full) == len(ends):
        return f"Its mail goes to {len(ends)} mailboxes, and none of them can take the mail."
    missing = f" {_names(full)} will miss it." if full else ""
    others = [end.address for end in ends if end.kind is not DestinationKind.MAILBOX]
    if others:
        return (
            f"Its mail goes to {len(ends)} addresses; {_names(others)} is no mailbox here, "
            f"so the mail is accepted.{missing}"
        )
    if not any(finding.verdict is Verdict.ACCEPT for finding in found.values()):
        return (
            "Its mail goes to several mailboxes, and not all of them can be measured now: "
            "the answer for trouble is given."
        )
    return f"Its mail goes to {len(ends)} mailboxes, and at least one can take the mail.{missing}"


def _names(addresses: list[str]) -> str:
    shown = ", ".join(addresses[:3])
    return shown if len(addresses) <= 3 else f"{shown} and {len(addresses) - 3} more"
