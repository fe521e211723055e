"""A decision in words: the record that ``explain`` prints, made from what decided."""

from __future__ import annotations

from core.control.results import Explanation, Target
from core.ledger import Entry
from core.policy.decision import Answers, Rules, Verdict, explain_verdict


def explanation(rules: Rules, recipient: str, size: int, entry: Entry | None, verdict: Verdict) -> Explanation:
    """Why ``recipient`` got ``verdict``; ``entry`` is the mailbox that decided, None where there is none."""
    action = (Answers.shadow() if rules.shadow else rules.answers).action(verdict)
    if entry is None:
        target = Target(recipient, "unknown", None, None, None, fits=False, via=[])
        why = "There is no account of this name, so the mail is left to Postfix."
        return Explanation(recipient, size, [target], Verdict.UNKNOWN.value, action, why)
    used = None if verdict is Verdict.TROUBLE else entry.used
    grace = rules.grace.of(entry.limit) if entry.limit is not None else None
    target = Target(entry.address, "mailbox", entry.limit, used, grace, fits=verdict is Verdict.ACCEPT, via=[])
    if entry.limit is not None and entry.address in rules.exempt:
        why = "The account is exempt by policy.exempt, so it is never refused."
    else:
        why = explain_verdict(verdict, entry.limit, used, size, grace or 0)
    return Explanation(recipient, size, [target], verdict.value, action, why)
