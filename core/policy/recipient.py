"""From the recipient that an SMTP client sent to the user name that Dovecot would look up. Pure.

Dovecot reads a recipient by RFC 5321, and allows more: brackets may be missing, a local part without quotes may have
any printable character (the last @ ends it), and there may be no domain. What does not fit that either is no address.
Letters of other alphabets are those of Dovecot 2.4, in UTF-8.
"""

from __future__ import annotations

import re

# Letters of other alphabets are all beyond ASCII, so the classes say which signs of ASCII do not belong to them: one up
# to the last of all letters takes some milliseconds to compile, at each start.
_NAME = r"[^\x00-,./:-^`{-\x7f]+"  # a-z, 0-9, _ and -
_DOMAIN = rf"@(?:{_NAME}(?:\.{_NAME})*|\[[!-Z^-~]+\])"
_PLAIN = re.compile(rf"((?:[^\x00-\x1f\"\x7f][^\x00-\x1f\x7f]*)?)({_DOMAIN})")
_LOCAL = re.compile(r"[^\x00-\x1f\"@\x7f][^\x00-\x1f@\x7f]*")
_QUOTED = re.compile(rf'"((?:[^\x00-\x1f"\\\x7f]|\\[ -~])*)"({_DOMAIN})?')
_ROUTE = re.compile(rf"{_DOMAIN}(?:,{_DOMAIN})*:")


def user_name(recipient: bytes, delimiters: str) -> str | None:
    """The address in lower case, unquoted, without brackets, source route and detail; None where it is no address.

    The detail begins at the first of the ``delimiters`` in the local part. No letter of another alphabet becomes one
    of ASCII: it must not turn one mailbox's name into that of another.
    """
    parts = _parts(recipient)
    return None if parts is None else _cut(parts[0], delimiters) + parts[1]


def address_of(recipient: bytes) -> str | None:
    """As ``user_name``, but with its detail."""
    parts = _parts(recipient)
    return None if parts is None else parts[0] + parts[1]


def without_detail(address: str, delimiters: str) -> str:
    """The user name for an address that ``address_of`` returned."""
    local, at, domain = address.rpartition("@")
    return _cut(local, delimiters) + at + domain if at else _cut(address, delimiters)


def _cut(local: str, delimiters: str) -> str:
    for delimiter in delimiters:
        local = local.partition(delimiter)[0]
    return local


def _parts(recipient: bytes) -> tuple[str, str] | None:
    """The local part, and the domain with its @."""
    text = recipient.decode("ascii").lower() if recipient.isascii() else _other_alphabets(recipient)
    if text[:1] == "<":
        text = _unbracketed(text)
    plain = _PLAIN.fullmatch(text)
    return (plain[1], plain[2]) if plain is not None else _unusual(text)


def _other_alphabets(recipient: bytes) -> str:
    """The text in lower case; empty where it is not UTF-8, or has characters that do not print."""
    try:
        text = recipient.decode()
    except UnicodeDecodeError:
        return ""
    return "".join(map(_lower, text)) if text.isprintable() else ""


def _lower(letter: str) -> str:
    """A letter in lower case, unless it would become another number of letters, or one of ASCII."""
    small = letter.lower()
    return small if letter.isascii() or (len(small) == 1 and not small.isascii()) else letter


def _unbracketed(text: str) -> str:
    """The text without brackets and source route; empty where the closing bracket is missing."""
    if not text.endswith(">"):
        return ""
    route = _ROUTE.match(text, 1)
    return text[route.end() if route else 1 : -1]


def _unusual(text: str) -> tuple[str, str] | None:
    """The local part, unquoted, and the domain with its @, where there is one."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1]), quoted[2] or ""
    return (text, "") if _LOCAL.fullmatch(text) else None
