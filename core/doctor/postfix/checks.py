"""All checks of Postfix and of the policy service, in the order in which they are shown. Pure."""

from __future__ import annotations

from ...base.text import visible
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, warn
from .answers import ANSWER_CHECKS
from .lists import needs_postfix
from .placement import LIST_CHECKS
from .reached import REACH_CHECKS
from .relay import RELAY_CHECKS
from .rewriting import REWRITING_CHECKS
from .socket import SOCKET_CHECKS

_OLDEST = (3, 0)


def _asked(facts: Facts) -> Outcome:
    if facts.postfix.fault:
        return skip(f"Postfix could not be asked: {visible(facts.postfix.fault)}")
    if facts.postfix.master_fault:
        return skip(f"master.cf could not be read: {visible(facts.postfix.master_fault)}")
    return ok(f"postconf answers; queue directory {facts.postfix.queue_directory}")


def _version(facts: Facts) -> Outcome:
    text = visible(facts.postfix.values.get("mail_version", ""))
    if facts.postfix.version == (0, 0):
        return skip(f"{text!r} is not a version of Postfix that mailquota knows")
    if facts.postfix.version < _OLDEST:
        return warn(f"Postfix {text} has no options for a single policy service", "# upgrade Postfix to 3.0 or newer")
    return ok(f"Postfix {text}")


def _running(facts: Facts) -> Outcome:
    if facts.postfix.running is None:
        return skip("whether Postfix runs is not known: master(8) answers root alone")
    return ok("Postfix runs") if facts.postfix.running else fail("Postfix does not run", start_commands.postfix(facts))


POSTFIX_CHECKS: tuple[Check, ...] = (
    Check("postfix-settings", "All other checks of Postfix read its settings from postconf and master.cf.", _asked),
    Check(
        "postfix-version",
        "The timeout and the default action of a single policy service can be set from Postfix 3.0 on.",
        needs_postfix(_version),
    ),
    Check("postfix-running", "While it is stopped, no mail comes in or goes out.", needs_postfix(_running)),
    *LIST_CHECKS,
    *SOCKET_CHECKS,
    *REACH_CHECKS,
    *RELAY_CHECKS,
    *ANSWER_CHECKS,
    *REWRITING_CHECKS,
)
