"""Restriction lists of Postfix, and the entries in them by which Postfix asks mailquota. Pure.

An option ``-o`` in master.cf of the smtpd for mail from outside replaces the list of main.cf as a whole. So that option
is judged where it asks mailquota, or where neither list does; else the list of main.cf.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable

import msgspec

from ...base.text import visible
from ...servers.postfix.restrictions import Entry, PolicyCheck, entries, policy_check, postfix_service
from ..model import Facts, Outcome, skip
from .facts import OTHER_LISTS, RECIPIENT, RELAY, PostfixFacts, Smtpd

RELOAD = "postfix reload"
QUOTA_STATUS_PORTS = frozenset({"12340"})  # of quota-status in Dovecot's documentation and in guides
_SUBMISSION_PORTS = frozenset({"submission", "submissions", "smtps", "587", "465"})
_INCOMING_PORTS = frozenset({"smtp", "25"})


class RestrictionList(msgspec.Struct, frozen=True):
    """A restriction list: parameter, text, and the service of master.cf that overrides it, "" for main.cf."""

    parameter: str
    text: str
    service: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The restrictions of the list."""
        return entries(self.text)

    def __str__(self) -> str:
        return f"{self.parameter} of {self.service} in master.cf" if self.service else self.parameter

    def change_to(self, text: str) -> str:
        """The commands that replace the list by another text."""
        if not self.service:
            return f"postconf -e {shlex.quote(f'{self.parameter} = {text}')}\n{RELOAD}"
        # An option in master.cf can't have blanks, so it refers to a new parameter that holds the list.
        name = re.sub(r"\W+", "_", f"mailquota_{self.service}_{self.parameter.removeprefix('smtpd_')}")
        override = f"{self.service}/{self.parameter}=${name}"
        return f"postconf -e {shlex.quote(f'{name} = {text}')}\npostconf -P {shlex.quote(override)}\n{RELOAD}"


def needs_postfix(judge: Callable[[Facts], Outcome]) -> Callable[[Facts], Outcome]:
    """The same check, skipped where Postfix could not be asked."""

    def judge_if_asked(facts: Facts) -> Outcome:
        return skip(f"Postfix could not be asked: {facts.postfix.fault}") if facts.postfix.fault else judge(facts)

    return judge_if_asked


def needs_our_check(judge: Callable[[Facts], Outcome]) -> Callable[[Facts], Outcome]:
    """The same check, skipped where the judged list does not ask mailquota."""

    def judge_if_listed(facts: Facts) -> Outcome:
        if ours(facts, judged_list(facts)):
            return judge(facts)
        return skip(f"{RECIPIENT} does not ask mailquota: see policy-service-listed")

    return needs_postfix(judge_if_listed)


def is_submission(smtpd: Smtpd) -> bool:
    """Whether a service is for mail of the server's own users: by its port, or because they can log in there."""
    return smtpd.port in _SUBMISSION_PORTS or (
        smtpd.port not in _INCOMING_PORTS and smtpd.overrides.get("smtpd_sasl_auth_enable") == "yes"
    )


def incoming(facts: PostfixFacts) -> tuple[Smtpd, ...]:
    """The services for mail from outside: on port 25 or behind postscreen, else the first that is no submission."""
    found = tuple(one for one in facts.smtpds if one.port in _INCOMING_PORTS or one.service == "smtpd/pass")
    return found or tuple(one for one in facts.smtpds if not is_submission(one))[:1]


def list_of(facts: PostfixFacts, parameter: str, smtpd: Smtpd | None = None) -> RestrictionList:
    """A list as it applies to a service: its option in master.cf, else main.cf."""
    if smtpd is not None and parameter in smtpd.overrides:
        return RestrictionList(parameter, smtpd.overrides[parameter], smtpd.service)
    return RestrictionList(parameter, facts.values.get(parameter, ""))


def judged_list(facts: Facts) -> RestrictionList:
    """The list for recipients that is judged and changed; see above for which one."""
    main = list_of(facts.postfix, RECIPIENT)
    asked_in_main = bool(ours(facts, main))
    for smtpd in incoming(facts.postfix):
        own = list_of(facts.postfix, RECIPIENT, smtpd)
        if own.service and (ours(facts, own) or not asked_in_main):
            return own
    return main


def checks_in(found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """The policy services in a list, with their positions among its entries."""
    asked = ((at, policy_check(entry)) for at, entry in enumerate(found.entries))
    return [(at, check) for at, check in asked if check is not None]


def ours(facts: Facts, found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """The policy services in a list that are mailquota: by an address of ``policy.listen``."""
    addresses = our_addresses(facts)
    return [(at, check) for at, check in checks_in(found) if address_of(check.service, facts.postfix) in addresses]


def asked_anywhere(facts: Facts) -> bool:
    """Whether Postfix asks mailquota in any list, or in a restriction class, even where that has no effect."""
    others = (*OTHER_LISTS, RELAY, *facts.postfix.classes)
    lists = (judged_list(facts), *(list_of(facts.postfix, name) for name in others))
    return any(ours(facts, found) for found in lists)


def quota_status(facts: Facts, found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """The policy services in a list that are Dovecot's: by usual names and ports, or by ``policy.compare_with``."""
    compared = facts.config.settings.policy.compare_address
    known = {_canonical(str(compared))} if compared else set()
    addresses = our_addresses(facts)
    return [
        (at, check)
        for at, check in checks_in(found)
        if (address := address_of(check.service, facts.postfix)) not in addresses
        and (address in known or _is_quota_status(address))
    ]


def _is_quota_status(address: str) -> bool:
    return os.path.basename(address) == "quota-status" or address.rpartition(":")[2] in QUOTA_STATUS_PORTS


def our_addresses(facts: Facts) -> dict[str, str]:
    """The addresses of ``policy.listen`` in a form that can be compared, each with the name that Postfix uses."""
    queue = facts.postfix.queue_directory
    return {_canonical(text): postfix_service(text, queue) for text in facts.config.settings.policy.listen}


def our_service(facts: Facts) -> str:
    """The service that Postfix should ask: the first address of ``policy.listen``."""
    return postfix_service(facts.config.settings.policy.listen[0], facts.postfix.queue_directory)


def address_of(service: str, facts: PostfixFacts) -> str:
    """A service of Postfix (unix:private/NAME, inet:HOST:PORT) in the form of the keys of ``our_addresses``."""
    kind, _, place = service.partition(":")
    if kind in {"unix", "local"}:
        return _canonical(f"unix:{os.path.join(facts.queue_directory, place)}")
    return _canonical(service)


def _canonical(address: str) -> str:
    kind, _, place = address.partition(":")
    if kind == "unix":
        return f"unix:{os.path.normpath(place)}"
    host, _, port = place.lower().rpartition(":")
    host = host.strip("[]")  # Postfix allows brackets around any address
    return f"{kind}:{'127.0.0.1' if host in {'', 'localhost', '0.0.0.0', '::'} else host}:{port}"  # noqa: S104


def names(found: Iterable[Entry]) -> str:
    """Entries as text for a message."""
    return visible(", ".join(str(entry) for entry in found))
