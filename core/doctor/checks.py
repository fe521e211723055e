"""All checks in the order in which people read them, and how they are run."""

from __future__ import annotations

import logging

from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.facts import Facts
from mailquota.core.doctor.host.checks import HOST_CHECKS
from mailquota.core.doctor.log.checks import LOG_CHECKS
from mailquota.core.doctor.model import Check, Finding, Outcome, skip
from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS

log = logging.getLogger(__name__)

CHECKS: tuple[Check, ...] = (*POSTFIX_CHECKS, *DOVECOT_CHECKS, *HOST_CHECKS, *LOG_CHECKS)
DOCS = "docs/checks.md"


def judge(facts: Facts, checks: tuple[Check, ...] = CHECKS) -> list[Finding]:
    """What each check says. One that fails on facts that nobody foresaw says so, and keeps no other from its answer."""
    return [_finding(check, _outcome(check, facts)) for check in checks]


def _outcome(check: Check, facts: Facts) -> Outcome:
    try:
        return check.judge(facts)
    except Exception as error:  # outer edge of a single check: the others still have to be heard
        log.exception("check %s failed", check.name)
        return skip(f"this check failed itself: {type(error).__name__}: {error}")


def _finding(check: Check, outcome: Outcome) -> Finding:
    why = outcome.why or check.why
    return Finding(check.name, outcome.state, outcome.found, why, outcome.fix, f"{DOCS}#{check.name}")
