"""Where Postfix asks us: the restriction list that mail from outside meets, and our entries in it. Pure.

An option of the smtpd that takes mail from outside replaces the list of main.cf as a whole, so the list that is judged
is that option where it asks us, or where nothing does; else the one of main.cf.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable

import msgspec

from mailquota.core.base.text import visible
from mailquota.core.doctor.model import Facts, Outcome, skip
from mailquota.core.doctor.postfix.facts import OTHER_LISTS, RECIPIENT, RELAY, PostfixFacts, Smtpd
from mailquota.core.servers.postfix.restrictions import Entry, PolicyCheck, entries, policy_check, postfix_service

RELOAD = "postfix reload"
QUOTA_STATUS_PORTS = frozenset({"12340"})  # what Dovecot's documentation and the guides use
_SUBMISSION_PORTS = frozenset({"submission", "submissions", "smtps", "587", "465"})
_INCOMING_PORTS = frozenset({"smtp", "25"})


class RestrictionList(msgspec.Struct, frozen=True):
    """A restriction list: its parameter, and the service of master.cf that overrides it, "" for main.cf."""

    parameter: str
    text: str
    service: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Taken apart."""
        return entries(self.text)

    def __str__(self) -> str:
        return f"{self.parameter} of {self.service} in master.cf" if self.service else self.parameter

    def change_to(self, text: str) -> str:
        """The commands that put another text in its place."""
        if not self.service:
            return f"postconf -e {shlex.quote(f'{self.parameter} = {text}')}\n{RELOAD}"
        # postconf -P takes no blanks, so master.cf gets the name of a parameter that holds the list.
        name = re.sub(r"\W+", "_", f"mailquota_{self.service}_{self.parameter.removeprefix('smtpd_')}")
        override = f"{self.service}/{self.parameter}=${name}"
        return f"postconf -e {shlex.quote(f'{name} = {text}')}\npostconf -P {shlex.quote(override)}\n{RELOAD}"


def needs_postfix(judge: Callable[[Facts], Outcome]) -> Callable[[Facts], Outcome]:
    """The same check, skipped where Postfix could not be asked."""

    def judge_if_asked(facts: Facts) -> Outcome:
        return skip(f"Postfix could not be asked: {facts.postfix.fault}") if facts.postfix.fault else judge(facts)

    return judge_if_asked


def needs_our_check(judge: Callable[[Facts], Outcome]) -> Callable[[Facts], Outcome]:
    """The same check, skipped where Postfix does not ask us at all."""

    def judge_if_listed(facts: Facts) -> Outcome:
        if ours(facts, judged_list(facts)):
            return judge(facts)
        return skip(f"{RECIPIENT} does not ask mailquota: see policy-service-listed")

    return needs_postfix(judge_if_listed)


def is_submission(smtpd: Smtpd) -> bool:
    """Whether users hand in mail there: by its port, or because only there they can log in."""
    return smtpd.port in _SUBMISSION_PORTS or (
        smtpd.port not in _INCOMING_PORTS and smtpd.overrides.get("smtpd_sasl_auth_enable") == "yes"
    )


def incoming(facts: PostfixFacts) -> tuple[Smtpd, ...]:
    """The services that mail from outside comes in by: those of port 25 and behind postscreen, else the first."""
    found = tuple(one for one in facts.smtpds if one.port in _INCOMING_PORTS or one.service == "smtpd/pass")
    return found or tuple(one for one in facts.smtpds if not is_submission(one))[:1]


def list_of(facts: PostfixFacts, parameter: str, smtpd: Smtpd | None = None) -> RestrictionList:
    """A list as one service has it."""
    if smtpd is not None and parameter in smtpd.overrides:
        return RestrictionList(parameter, smtpd.overrides[parameter], smtpd.service)
    return RestrictionList(parameter, facts.values.get(parameter, ""))


def judged_list(facts: Facts) -> RestrictionList:
    """The one to look at, and to mend."""
    main = list_of(facts.postfix, RECIPIENT)
    asked_in_main = bool(ours(facts, main))
    for smtpd in incoming(facts.postfix):
        own = list_of(facts.postfix, RECIPIENT, smtpd)
        if own.service and (ours(facts, own) or not asked_in_main):
            return own
    return main


def checks_in(found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """All policy services of a list, with their positions."""
    asked = ((at, policy_check(entry)) for at, entry in enumerate(found.entries))
    return [(at, check) for at, check in asked if check is not None]


def ours(facts: Facts, found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """Those that are an address of ``policy.listen``."""
    addresses = our_addresses(facts)
    return [(at, check) for at, check in checks_in(found) if address_of(check.service, facts.postfix) in addresses]


def asked_anywhere(facts: Facts) -> bool:
    """Whether Postfix asks us in any list, be it one where that is of no use, or a class of restrictions."""
    others = (*OTHER_LISTS, RELAY, *facts.postfix.classes)
    lists = (judged_list(facts), *(list_of(facts.postfix, name) for name in others))
    return any(ours(facts, found) for found in lists)


def quota_status(facts: Facts, found: RestrictionList) -> list[tuple[int, PolicyCheck]]:
    """Those that are Dovecot's, by the names and ports that guides use, or ``policy.compare_with``."""
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
    """``policy.listen`` in a form that can be compared, with what Postfix would call each."""
    queue = facts.postfix.queue_directory
    return {_canonical(text): postfix_service(text, queue) for text in facts.config.settings.policy.listen}


def our_service(facts: Facts) -> str:
    """What Postfix should ask: our first address."""
    return postfix_service(facts.config.settings.policy.listen[0], facts.postfix.queue_directory)


def address_of(service: str, facts: PostfixFacts) -> str:
    """A service of Postfix (unix:private/NAME, inet:HOST:PORT) in the form that ``our_addresses`` has."""
    kind, _, place = service.partition(":")
    if kind in {"unix", "local"}:
        return _canonical(f"unix:{os.path.join(facts.queue_directory, place)}")
    return _canonical(service)


def _canonical(address: str) -> str:
    kind, _, place = address.partition(":")
    if kind == "unix":
        return f"unix:{os.path.normpath(place)}"
    host, _, port = place.lower().rpartition(":")
    host = host.strip("[]")  # Postfix takes them around any address
    return f"{kind}:{'127.0.0.1' if host in {'', 'localhost', '0.0.0.0', '::'} else host}:{port}"  # noqa: S104


def names(found: Iterable[Entry]) -> str:
    """Entries for a sentence."""
    return visible(", ".join(str(entry) for entry in found))
