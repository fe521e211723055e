"""Postfix's restriction lists (smtpd_recipient_restrictions and its kin), taken apart and put together. Pure.

A list is words separated by blanks and commas; braces group words, and may nest (postconf(5), SMTPD_POLICY_README).
Some restrictions take the next word as their argument; a bare ``type:table`` is an access map. Where a list is written
back, what was not changed stands as it stood, but for blanks and commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

POLICY = "check_policy_service"
# Nothing behind one of these is ever reached: each decides about every recipient.
DECIDING = frozenset({"permit", "reject", "defer"})
# What lets a client use this server as a relay, or keeps it from it.
RELAY_CONTROL = frozenset({"reject_unauth_destination", "defer_unauth_destination", "reject", "defer"})
_OPTIONS = frozenset({
    "default_action", "max_idle", "max_ttl", "policy_context", "request_limit", "retry_delay", "timeout", "try_limit",
})  # fmt: skip
_WITH_ARGUMENT = re.compile(
    r"check_\w+|reject_rbl_client|reject_rhsbl_\w+|permit_dnswl_client|permit_rhswl_client|sleep", re.ASCII
)


class Entry(msgspec.Struct, frozen=True):
    """A restriction, in lower case, and its argument as written; both of a ``type:table`` are in the name."""

    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.argument}" if self.argument else self.name


class PolicyCheck(msgspec.Struct, frozen=True):
    """``check_policy_service`` taken apart: its service (``unix:private/mailquota``) and options (``timeout`` …).

    ``malformed`` is a word among the options that Postfix does not understand, and so ends at once; empty without.
    """

    service: str
    options: dict[str, str]
    malformed: str = ""


def entries(text: str) -> tuple[Entry, ...]:
    """The restrictions of a list, in order. An open brace takes what is left; nothing is an error."""
    found: list[Entry] = []
    words = iter(_words(text))
    for word in words:
        takes_argument = _WITH_ARGUMENT.fullmatch(word.lower())
        found.append(Entry(word if ":" in word else word.lower(), next(words, "") if takes_argument else ""))
    return tuple(found)


def _words(text: str) -> list[str]:
    """Words, with each group of braces as one word."""
    words, depth, start = [], 0, None
    for at, char in enumerate(text):
        if depth == 0 and (char.isspace() or char == ","):
            if start is not None:
                words.append(text[start:at])
            start = None
            continue
        start = at if start is None else start
        depth += (char == "{") - (char == "}" and depth > 0)
    return words if start is None else [*words, text[start:]]


def policy_check(entry: Entry) -> PolicyCheck | None:
    """The policy service that an entry asks; None for any other restriction."""
    if entry.name != POLICY or not entry.argument:
        return None
    if not entry.argument.startswith("{"):
        return PolicyCheck(entry.argument, {})
    service, *words = _words(_inside(entry.argument)) or [""]
    options = dict(_options(words))
    malformed = [word for word in words if "=" not in word] + [name for name in options if name not in _OPTIONS]
    return PolicyCheck(service, options, malformed[0] if malformed else "")


def _inside(argument: str) -> str:
    return argument.strip().removeprefix("{").removesuffix("}").strip()


def _options(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    """``name=value``, or ``{ name = value with blanks }``."""
    for word in words:
        name, equals, value = _inside(word).partition("=")
        if equals:
            yield name.strip(), value.strip()


def our_check(service: str) -> str:
    """How Postfix is to ask us: a service that is away or hangs may cost a moment, but no mail."""
    return f"{POLICY} {{ {service}, timeout=10s, default_action=DUNNO }}"


def unreachable_behind(entry: Entry) -> bool:
    """Whether no mail for a mailbox of this server gets beyond an entry."""
    return entry.name in DECIDING or entry.name == "permit_auth_destination"


def place(text: str, service: str) -> str:
    """The list with one check of ``service``: last, but before an entry behind which nothing is reached."""
    others = entries(without(text, {service}))
    end = next((at for at, entry in enumerate(others) if unreachable_behind(entry)), len(others))
    return ", ".join([*map(str, others[:end]), our_check(service), *map(str, others[end:])])


def without(text: str, services: Iterable[str]) -> str:
    """The list without the checks of ``services``, nor a ``warn_if_reject`` that was meant for one of them."""
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
    """What Postfix calls an address of ours: a socket below its queue directory is named relative to it, for chroot."""
    kind, _, place_ = listen.partition(":")
    below = place_.removeprefix(queue_directory.rstrip("/") + "/")
    return f"unix:{below}" if kind == "unix" else listen
