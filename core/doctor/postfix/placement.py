"""Checks of where mailquota's policy service is in Postfix's restriction lists. Pure."""

from __future__ import annotations

import os
from difflib import SequenceMatcher

from ...base.text import shown, visible
from ...servers.postfix.restrictions import Entry, entries, place, policy_check, unreachable_behind, without
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .facts import OTHER_LISTS, RECIPIENT, RELAY
from .lists import (
    RELOAD,
    RestrictionList,
    checks_in,
    incoming,
    is_submission,
    judged_list,
    list_of,
    names,
    needs_our_check,
    needs_postfix,
    our_addresses,
    our_service,
    ours,
    quota_status,
)
from .socket import SOCKET_CHECKS

_BEFORE_US = ("permit_", "reject_", "defer_", "check_")
_AFTER_DATA = "smtpd_end_of_data_restrictions"
_LONGEST = 200  # characters of mynetworks that are shown
_ALIKE = 0.9  # of 1
_FOREIGN_PORTS = frozenset({"10023", "10031"})  # postgrey's, policyd's
_WAY = frozenset({"policy-socket", "policy-socket-rights", "policy-service-answers"})


def _listed(facts: Facts) -> Outcome:
    """Check: does smtpd_recipient_restrictions ask mailquota?"""
    found = judged_list(facts)
    fix = found.change_to(_placed(facts, found))
    if asked := [check for _, check in ours(facts, found)]:
        told = f"{found} asks {asked[0].service}"
        if wrong := [check.malformed for check in asked if check.malformed]:
            return fail(f"{told} with {shown(wrong[0])}, which is not an option: smtpd does not start", fix)
        return ok(told)
    for parameter in (*OTHER_LISTS, RELAY):
        if ours(facts, other := list_of(facts.postfix, parameter)):
            return _elsewhere(facts, other, fix)
    for name in facts.postfix.classes:
        if ours(facts, list_of(facts.postfix, name)):
            return skip(
                f"mailquota is asked in the restriction class {visible(name)}; to which mail it applies is not covered"
            )
    if quota_status(facts, found):
        return warn(
            f"{found} asks Dovecot's quota-status, not mailquota", _fix_or_what_first(facts, fix),
            "Mail for full mailboxes is refused by quota-status and not by mailquota: no alias is resolved, and no "
            "refusal is counted. docs/moving.md describes the move from quota-status step by step.",
        )  # fmt: skip
    told = f"{found} does not ask mailquota ({our_service(facts)}): {visible(found.text) or 'it is empty'}"
    slips = ", ".join(sorted(_slips(facts, found)))
    return fail(
        f"{told}; there is no {visible(slips)}, so Postfix gets no answer" if slips else told,
        fix if slips else _fix_or_what_first(facts, fix),
    )


def _decides(facts: Facts) -> bool:
    """Whether mailquota answers Postfix and refuses: only then may a fix remove another check.

    If quota-status were removed while mailquota does not decide, nothing would check limits.
    """
    engine = facts.host.engine
    hidden = our_service(facts).startswith("unix:/") and any(one.chroot for one in facts.postfix.smtpds)
    way = (check.judge(facts).state for check in SOCKET_CHECKS if check.name in _WAY)
    return engine.running and engine.mode != "shadow" and not hidden and all(state == "ok" for state in way)


def _fix_or_what_first(facts: Facts, fix: str) -> str:
    """The fix, after which only mailquota decides. While mailquota does not decide: what has to be done first."""
    if _decides(facts):
        return fix
    engine = facts.host.engine
    if not engine.running:
        first = start_commands.start(facts)
    else:
        first = "mailquota reload" if engine.mode == "shadow" else "# see policy-socket and the checks after it"
    return (
        f"# mailquota has to answer Postfix first, or nothing would check limits meanwhile:\n{first}\n"
        "# then run mailquota doctor again: it has the lines for Postfix"
    )


def _slips(facts: Facts, found: RestrictionList) -> set[str]:
    """Services without a listener whose name is nearly that of mailquota's, such as mailqouta, or was once its name."""
    others = {check.service for _, check in checks_in(found)} - {
        check.service for _, check in quota_status(facts, found)
    }
    return {service for service in others & set(facts.postfix.absent) if _is_slip(service, our_service(facts))}


def _is_slip(service: str, wanted: str) -> bool:
    if os.path.basename(service) == "mailquota":
        return True
    if service.startswith("inet:") and wanted.startswith("inet:"):
        return _is_port_slip(service.rpartition(":")[2], wanted.rpartition(":")[2])
    return SequenceMatcher(None, service, wanted).ratio() >= _ALIKE


def _is_port_slip(port: str, wanted: str) -> bool:
    """Whether one digit differs, or two digits are exchanged."""
    wrong = [pair for pair in zip(port, wanted, strict=False) if pair[0] != pair[1]]
    exchanged = len(wrong) == 2 and wrong[0] == wrong[1][::-1]
    return len(port) == len(wanted) and port not in _FOREIGN_PORTS and (len(wrong) == 1 or exchanged)


def _placed(facts: Facts, found: RestrictionList) -> str:
    """The list with mailquota in the right place, and without quota-status, unless that still has to decide."""
    shadow = facts.config.settings.policy.mode == "shadow"
    stays = shadow or not _decides(facts)
    gone = set() if stays else {check.service for _, check in quota_status(facts, found)}
    gone |= _our_services(facts, found) or _slips(facts, found)
    return place(without(found.text, gone), our_service(facts))


def _our_services(facts: Facts, found: RestrictionList) -> set[str]:
    return {check.service for _, check in ours(facts, found)}


def _elsewhere(facts: Facts, other: RestrictionList, fix: str) -> Outcome:
    """The outcome where mailquota is asked only in a list that is not the one for recipients."""
    delayed = facts.postfix.values.get("smtpd_delay_reject", "yes") == "yes"
    found = f"only {other} asks mailquota"
    if other.parameter == _AFTER_DATA:  # that entry may stay, as a second question about the true size
        return fail(f"{found}: a mail with several recipients is never refused there", fix)
    fix = f"{fix}\n{other.change_to(without(other.text, _our_services(facts, other)))}"
    if other.parameter == RELAY:
        return warn(f"{found}: it works there, but is asked before other restrictions have refused their mail", fix)
    if delayed and OTHER_LISTS[other.parameter] in {"CONNECT", "HELO", "MAIL"}:
        return warn(f"{found}: it works only while smtpd_delay_reject = yes", fix)
    return fail(
        f"{found}, in the state {OTHER_LISTS[other.parameter]}, in which Postfix does not decide about recipients", fix
    )


def _once(facts: Facts) -> Outcome:
    found = judged_list(facts)
    count = len(ours(facts, found))
    outcomes = []
    if count > 1:
        text = place(without(found.text, _our_services(facts, found)), our_service(facts))
        outcomes.append(warn(f"{found} asks mailquota {count} times", found.change_to(text)))
    for parameter in (*OTHER_LISTS, RELAY):
        other = list_of(facts.postfix, parameter)
        if parameter != _AFTER_DATA and ours(facts, other):
            text = without(other.text, _our_services(facts, other))
            outcomes.append(warn(f"{other} asks mailquota as well", other.change_to(text)))
    return together(outcomes, ok(f"{found} asks mailquota once"))


def _place(facts: Facts) -> Outcome:
    found = judged_list(facts)
    listed = found.entries
    at = ours(facts, found)[0][0]
    fix = found.change_to(place(without(found.text, _our_services(facts, found)), our_service(facts)))
    before, after = listed[:at], listed[at + 1 :]
    if blocking := [entry for entry in before if unreachable_behind(entry)]:
        return fail(f"{found} never gets to mailquota: {names(blocking[:1])} stands before it", fix)
    if before and before[-1].name == "warn_if_reject":
        return fail(f"{found} has warn_if_reject before mailquota: its refusals are only logged", fix)
    late = [entry for entry in after if _belongs_before(entry)]
    if late:
        return warn(f"{found} asks mailquota before {names(late)}", fix)
    return ok(f"{found} asks mailquota last" + (f", before {names(after)}" if after else ""))


def _belongs_before(entry: Entry) -> bool:
    return entry.name.startswith(_BEFORE_US) and policy_check(entry) is None and not unreachable_behind(entry)


def _override(facts: Facts) -> Outcome:
    if facts.postfix.master_fault:
        return skip(f"master.cf could not be read: {facts.postfix.master_fault}; run the doctor as root")
    outcomes = []
    for smtpd in incoming(facts.postfix):
        own = list_of(facts.postfix, RECIPIENT, smtpd)
        if own.service and not ours(facts, own):
            outcomes.append(fail(f"{own} replaces the list that asks mailquota", _without_override(facts, own)))
    told = [
        smtpd.service
        for smtpd in facts.postfix.smtpds
        if smtpd not in incoming(facts.postfix) and not ours(facts, list_of(facts.postfix, RECIPIENT, smtpd))
    ]
    others = f"; {', '.join(told)} in master.cf does not ask it, for a list of its own" if told else ""
    return together(outcomes, ok(f"master.cf keeps no mail from outside away from it{others}"))


def _without_override(facts: Facts, own: RestrictionList) -> str:
    if entries(own.text):
        return own.change_to(_placed(facts, own))
    return f"postconf -PX {own.service}/{own.parameter}\n{RELOAD}"


def _not_checked(facts: Facts) -> Outcome:
    found = judged_list(facts)
    at = ours(facts, found)[0][0]
    passing = [_passing(facts, entry) for entry in found.entries[:at] if _lets_pass(entry)]
    submission = [one.service for one in facts.postfix.smtpds if is_submission(one)]
    passing += [
        f"all mail that users hand in at {one.service}"
        for one in facts.postfix.smtpds
        if one.service in submission and not ours(facts, list_of(facts.postfix, RECIPIENT, one))
    ]
    if not passing:
        return ok("all mail that comes in by SMTP is checked; sendmail(1) on this machine never is")
    return ok(f"not checked: {'; '.join(passing)}; sendmail(1) on this machine. Dovecot may still refuse it")


def _lets_pass(entry: Entry) -> bool:
    return entry.name.startswith("permit_") or (entry.name.startswith("check_") and entry.name.endswith("_access"))


def _passing(facts: Facts, entry: Entry) -> str:
    if entry.name == "permit_mynetworks":
        networks = facts.postfix.values.get("mynetworks", "")
        return f"clients in mynetworks ({visible(networks[:_LONGEST])}{'…' if len(networks) > _LONGEST else ''})"
    if entry.name == "permit_sasl_authenticated":
        return "users who are logged in"
    return f"what {entry} lets pass"


def _two_enforcers(facts: Facts) -> Outcome:
    found = judged_list(facts)
    if not ours(facts, found):
        return ok("mailquota is not asked, so nobody decides twice")
    dovecots = quota_status(facts, found)
    if not dovecots:
        return ok(f"{found} asks no quota-status beside mailquota")
    services = {check.service for _, check in dovecots}
    text = f"{found} asks {', '.join(sorted(services))} as well as {', '.join(our_addresses(facts).values())}"
    if facts.config.settings.policy.mode == "shadow":
        return ok(f"{text}; mailquota's mode is shadow, so quota-status alone decides")
    return warn(text, _fix_or_what_first(facts, found.change_to(without(found.text, services))))


LIST_CHECKS: tuple[Check, ...] = (
    Check(
        "policy-service-listed",
        "Postfix refuses mail for a full mailbox only if smtpd_recipient_restrictions asks mailquota. Else the mail is "
        "accepted and bounces later, often to a forged sender.",
        needs_postfix(_listed),
    ),
    Check(
        "policy-service-once",
        "Each further request costs time, and counts the size of the mail once more.",
        needs_our_check(_once),
    ),
    Check(
        "policy-service-place",
        "Postfix stops at the first restriction that decides, and never evaluates those after it. Restrictions that "
        "refuse mail should come before mailquota, which need not be asked about such mail.",
        needs_our_check(_place),
    ),
    Check(
        "policy-service-override",
        "An option -o smtpd_recipient_restrictions of a service in master.cf replaces the whole list of main.cf.",
        needs_our_check(_override),
    ),
    Check(
        "senders-not-checked",
        "Clients that are permitted before mailquota is asked can still send to a full mailbox; such mail is refused "
        "at delivery. A test from such a client shows nothing about mailquota.",
        needs_our_check(_not_checked),
    ),
    Check(
        "two-enforcers",
        "Two services that enforce the same limit may know different usage and give different answers, and it is hard "
        "to tell which of them refused a mail.",
        needs_postfix(_two_enforcers),
    ),
)
