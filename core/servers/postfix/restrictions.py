"""Parses and changes Postfix's restriction lists (smtpd_recipient_restrictions and others). Pure.

A list has words separated by blanks and commas; braces group words, and may nest (postconf(5), SMTPD_POLICY_README).
Some restrictions take the next word as their argument; a bare ``type:table`` is an access map. In a changed list all
other entries are as before, except for blanks and commas between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

POLICY = "check_policy_service"
# Each of these decides about every recipient, so Postfix never evaluates the entries after it.
DECIDING = frozenset({"permit", "reject", "defer"})
# A list with one of these refuses to relay mail for clients that no entry before it permits.
RELAY_CONTROL = frozenset({"reject_unauth_destination", "defer_unauth_destination", "reject", "defer"})
_OPTIONS = frozenset({
    "default_action", "max_idle", "max_ttl", "policy_context", "request_limit", "retry_delay", "timeout", "try_limit",
})  # fmt: skip
_WITH_ARGUMENT = re.compile(
    r"check_\w+|reject_rbl_client|reject_rhsbl_\w+|permit_dnswl_client|permit_rhswl_client|sleep", re.ASCII
)


class Entry(msgspec.Struct, frozen=True):
    """A restriction: its name in lower case, its argument as written. The name of an access map is ``type:table``."""

    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.argument}" if self.argument else self.name


class PolicyCheck(msgspec.Struct, frozen=True):
    """The parts of a ``check_policy_service``: its service (``unix:private/mailquota``) and options (``timeout`` …).

    ``malformed`` is a word among the options that Postfix does not know, else empty: smtpd does not start with it.
    """

    service: str
    options: dict[str, str]
    malformed: str = ""


def entries(text: str) -> tuple[Entry, ...]:
    """The restrictions of a list, in order. A brace that is not closed takes the rest; nothing is an error."""
    found: list[Entry] = []
    listed = iter(words(text))
    for word in listed:
        takes_argument = _WITH_ARGUMENT.fullmatch(word.lower())
        found.append(Entry(word if ":" in word else word.lower(), next(listed, "") if takes_argument else ""))
    return tuple(found)


def words(text: str) -> list[str]:
    """The words of a list; a group in braces is one word."""
    found, depth, start = [], 0, None
    for at, char in enumerate(text):
        if depth == 0 and (char.isspace() or char == ","):
            if start is not None:
                found.append(text[start:at])
            start = None
            continue
        start = at if start is None else start
        depth += (char == "{") - (char == "}" and depth > 0)
    return found if start is None else [*found, text[start:]]


def policy_check(entry: Entry) -> PolicyCheck | None:
    """The policy service of an entry; None for any other restriction."""
    if entry.name != POLICY or not entry.argument:
        return None
    if not entry.argument.startswith("{"):
        return PolicyCheck(entry.argument, {})
    service, *rest = words(_inside(entry.argument)) or [""]
    options = dict(_options(rest))
    malformed = [word for word in rest if "=" not in word] + [name for name in options if name not in _OPTIONS]
    return PolicyCheck(service, options, malformed[0] if malformed else "")


def _inside(argument: str) -> str:
    return argument.strip().removeprefix("{").removesuffix("}").strip()


def _options(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    """The options ``name=value``, or ``{ name = value with blanks }``."""
    for word in words:
        name, equals, value = _inside(word).partition("=")
        if equals:
            yield name.strip(), value.strip()


def our_check(service: str) -> str:
    """The entry by which Postfix asks mailquota.

    While mailquota is stopped or hangs, Postfix asks twice, waits at most 21 s, and goes on with DUNNO.
    """
    return f"{POLICY} {{ {service}, timeout=10s, default_action=DUNNO }}"


def unreachable_behind(entry: Entry) -> bool:
    """Whether an entry decides about all mail for this server's mailboxes: entries after it are not reached."""
    return entry.name in DECIDING or entry.name == "permit_auth_destination"


def place(text: str, service: str) -> str:
    """The list with one check of ``service``: at its end, or before the first entry after which nothing is reached.

    Never behind a ``warn_if_reject``: that would apply to our check then, and no more to the entry after it.
    """
    others = entries(without(text, {service}))
    end = next((at for at, entry in enumerate(others) if unreachable_behind(entry)), len(others))
    while end and others[end - 1].name == "warn_if_reject":
        end -= 1
    return ", ".join([*map(str, others[:end]), our_check(service), *map(str, others[end:])])


def without(text: str, services: Iterable[str]) -> str:
    """The list without the checks of ``services``, and without a ``warn_if_reject`` that applied to one of them."""
    gone = set(services)
    kept: list[Entry] = []
    for entry in entries(text):
        check = policy_check(entry)
        if check is None or check.service not in gone:
            kept.append(entry)
        elif kept and kept[-1].name == "warn_if_reject":
            kept.pop()
    return ", ".join(map(str, kept))


def postfix_service(listen: str, queue_directory: str) -> str:
    """An address of ``policy.listen`` as Postfix writes it.

    The path of a socket below the queue directory becomes relative to it, so that a chrooted smtpd finds it, too.
    """
    kind, _, place_ = listen.partition(":")
    below = place_.removeprefix(queue_directory.rstrip("/") + "/")
    return f"unix:{below}" if kind == "unix" else listen
