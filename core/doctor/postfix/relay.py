"""Checks of relaying: the lists that are edited for mailquota must neither allow it to all nor refuse users. Pure."""

from __future__ import annotations

import ipaddress
import shlex

from ...base.text import visible
from ...servers.postfix.restrictions import RELAY_CONTROL, Entry, policy_check
from ..model import Check, Facts, Outcome, fail, ok, skip, together
from .facts import RECIPIENT, RELAY, PostfixFacts, Smtpd
from .lists import RELOAD, RestrictionList, incoming, is_submission, list_of, needs_postfix

_SAFE = "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"
_LOGGED_IN = "permit_sasl_authenticated"
_LOCAL = ("127.0.0.0/8", "[::ffff:127.0.0.0]/104", "[::1]/128")
_WIDEST = {4: 8, 6: 16}  # shortest prefix of a network that may be one's own


def _relay_control(facts: Facts) -> Outcome:
    postfix = facts.postfix
    outcomes = [_controlled(postfix, smtpd) for smtpd in postfix.smtpds or (None,)]
    outcomes.append(_networks(postfix))
    where = list_of(postfix, RELAY if _controls(list_of(postfix, RELAY)) else RECIPIENT)
    return together(outcomes, ok(f"relaying is controlled in {where}"))


def _controlled(postfix: PostfixFacts, smtpd: Smtpd | None) -> Outcome:
    relay, recipient = list_of(postfix, RELAY, smtpd), list_of(postfix, RECIPIENT, smtpd)
    if _controls(relay) or _controls(recipient):
        return ok("")
    text = ", ".join([_SAFE, *(str(entry) for entry in relay.entries if policy_check(entry))])
    fix = f"postconf -e {shlex.quote(f'{RELAY} = {text}')}\n{RELOAD}"
    if relay.service:
        fix = f"postconf -PX {relay.service}/{RELAY}\n{fix}"
    return fail(f"nothing in {relay} or {recipient} refuses to relay mail for strangers", fix)


def _controls(found: RestrictionList) -> bool:
    """Whether a list refuses to relay, and no ``permit`` before that entry allows all mail."""
    for entry in found.entries:
        if entry.name in RELAY_CONTROL:
            return True
        if entry.name == "permit":
            return False
    return False


def _networks(postfix: PostfixFacts) -> Outcome:
    listed = postfix.values.get("mynetworks", "").replace(",", " ").split()
    wide = [text for text in listed if _is_wide(text)]
    if not wide:
        return ok("")
    kept = " ".join(dict.fromkeys([*_LOCAL, *(text for text in listed if text not in wide)]))
    return fail(
        f"mynetworks holds {visible(', '.join(wide))}: every client in there may relay",
        f"postconf -e {shlex.quote(f'mynetworks = {kept}')}\n{RELOAD}",
    )


def _is_wide(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:  # the name of a table, or an exclusion
        return False
    return network.prefixlen < _WIDEST[network.version]


def _submission(facts: Facts) -> Outcome:
    postfix = facts.postfix
    if postfix.master_fault:
        return skip(f"master.cf could not be read: {postfix.master_fault}; run the doctor as root")
    services = [one for one in postfix.smtpds if is_submission(one)]
    if not services and postfix.values.get("smtpd_sasl_auth_enable") == "yes":
        services = list(incoming(postfix))
    blocked = [found for one in services if _stops_users(found := list_of(postfix, RECIPIENT, one))]
    outcomes = [
        fail(
            f"{found}, which {_users(services)}, refuses recipients on other servers before {_LOGGED_IN}",
            found.change_to(f"{_LOGGED_IN}, {_without_permit(found)}"),
        )
        for found in dict.fromkeys(blocked)
    ]
    return together(
        outcomes,
        ok("users who are logged in may send to other servers" if services else "users can't log in to Postfix"),
    )


def _users(services: list[Smtpd]) -> str:
    return f"users of {', '.join(one.service for one in services)} meet"


def _without_permit(found: RestrictionList) -> str:
    return ", ".join(str(entry) for entry in found.entries if entry.name != _LOGGED_IN)


def _stops_users(found: RestrictionList) -> bool:
    """Whether a list refuses recipients on other servers before it permits users who are logged in."""
    for entry in found.entries:
        if _lets_users_pass(entry):
            return False
        if entry.name in {"reject_unauth_destination", "defer_unauth_destination"}:
            return True
    return False


def _lets_users_pass(entry: Entry) -> bool:
    return entry.name in {_LOGGED_IN, "permit"} or entry.name.startswith("permit_tls_")


RELAY_CHECKS: tuple[Check, ...] = (
    Check(
        "relay-control",
        "A server that relays mail of strangers to other servers is abused for spam within hours. "
        "smtpd_relay_restrictions, or else smtpd_recipient_restrictions, must refuse that.",
        needs_postfix(_relay_control),
    ),
    Check(
        "submission-relay",
        "reject_unauth_destination in smtpd_recipient_restrictions refuses mail of this server's users to other "
        "servers, unless permit_sasl_authenticated comes before it.",
        needs_postfix(_submission),
    ),
)
