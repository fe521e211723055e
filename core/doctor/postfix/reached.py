"""Checks that Postfix reaches the policy services that it asks, by facts of real connections as its user. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from ...base import guarded
from ...base.text import shown, visible
from ...servers.postfix.restrictions import PolicyCheck
from ..dovecot.common import append, quota_status
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .facts import OTHER_LISTS, RECIPIENT, RELAY, PolicyReach
from .lists import address_of, checks_in, list_of, needs_postfix, our_addresses

_GOES_ON = frozenset({"DUNNO", "OK", "PERMIT", "INFO", "WARN"})


def _reached(facts: Facts) -> Outcome:
    checks = list(_others(facts))
    if not checks:
        return ok("Postfix asks no other policy service than mailquota")
    tried = [one for one in facts.postfix.reaches if one.service in {check.service for check in checks}]
    gone = [check for check in checks if check.service in facts.postfix.absent and check.service.startswith("inet:")]
    outcomes = [_absent(facts, check) for check in gone]
    outcomes += [_one(facts, one, checks) for one in tried]
    names = ", ".join(dict.fromkeys(visible(check.service) for check in checks))
    if not tried and any(check.service.startswith("unix:") for check in checks) and not outcomes:
        return skip(f"only root can connect to {names} as Postfix does: run the doctor as root")
    return together(outcomes, ok(f"connected to {names} as {_who(facts)}, as smtpd does"))


def _who(facts: Facts) -> str:
    return f"user {facts.postfix.owner.name}" if facts.postfix.owner else "Postfix's user"


def _others(facts: Facts) -> Iterator[PolicyCheck]:
    """The policy services in all lists but mailquota, each once."""
    seen: dict[str, PolicyCheck] = {}
    for smtpd in (None, *facts.postfix.smtpds):
        for parameter in (RECIPIENT, RELAY, *OTHER_LISTS, *facts.postfix.classes):
            for _, check in checks_in(list_of(facts.postfix, parameter, smtpd)):
                if address_of(check.service, facts.postfix) not in our_addresses(facts):
                    seen.setdefault(check.service, check)
    yield from seen.values()


def _one(facts: Facts, reach: PolicyReach, checks: list[PolicyCheck]) -> Outcome:
    if reach.result == "answer":
        return ok("")
    if reach.result == "not asked":
        return skip(f"whether Postfix reaches {visible(reach.service)} is not known: {visible(reach.text)}")
    check = next(check for check in checks if check.service == reach.service)
    where = f", chrooted to {facts.postfix.queue_directory}," if reach.jailed else ""
    found = f"{_who(facts)}{where} can't connect to {visible(reach.service)}: {visible(reach.text)}"
    return _told(facts, check, found, _fix(facts, reach))


def _absent(facts: Facts, check: PolicyCheck) -> Outcome:
    fix = f"# start the service, or take {visible(check.service)} out of Postfix's restrictions"
    return _told(facts, check, f"nothing listens at {visible(check.service)}", fix)


def _told(facts: Facts, check: PolicyCheck, found: str, fix: str) -> Outcome:
    default = facts.postfix.values.get("smtpd_policy_service_default_action", "")
    action = check.options.get("default_action", default) or "451 4.3.5 Server configuration problem"
    if action.split(" ", 1)[0].upper() in _GOES_ON:
        return warn(f"{found}; Postfix goes on without it ({visible(action)})", fix)
    return fail(f"{found}; Postfix says {shown(action)} to every recipient that it would ask it about", fix)


def _fix(facts: Facts, reach: PolicyReach) -> str:
    path = os.path.join(facts.postfix.queue_directory, reach.service.partition(":")[2])
    block = None if facts.dovecot.fault else quota_status(facts.dovecot)
    listener = next((one for one in block.of_kind("unix_listener") if _is(one.name, path)), None) if block else None
    owner = facts.postfix.owner.name if facts.postfix.owner else "postfix"
    if block is not None and listener is not None and reach.result == "denied":
        lines = [f"service {block.name} {{", f"  unix_listener {listener.name} {{", f"    user = {owner}", "  }", "}"]
        now = guarded.line(path, guarded.owner_to(owner), guarded.mode_by(owner, "u+rw"))
        return f"{append(facts.dovecot, *lines)}\n{now}"
    if reach.result == "denied":
        folder = shlex.quote(os.path.dirname(path))
        return f"# user {owner} has to be able to write to it:\nls -ld {folder} {shlex.quote(path)}"
    return f"# start the service, or take {visible(reach.service)} out of Postfix's restrictions"


def _is(listener: str, path: str) -> bool:
    """Whether a listener of Dovecot is at a path; a relative name is below its base_dir, and so none of Postfix's."""
    return os.path.normpath(listener) == os.path.normpath(path)


REACH_CHECKS: tuple[Check, ...] = (
    Check(
        "policy-services-reached",
        "Where Postfix can't reach a policy service that it asks, its default action decides about every recipient: by "
        "default all mail is deferred.",
        needs_postfix(_reached),
    ),
)
