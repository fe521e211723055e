"""From the recipient that a client typed to the user name that Dovecot would look up. Pure."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[^\s\"<>()\[\]\\,;:@\x00-\x1f\x7f]+@[^\s\"<>()\\,;@\x00-\x1f\x7f]+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*)"(@[^\s"<>()\\,;@\x00-\x1f\x7f]+)?')
_LOCAL = re.compile(r"[^\s\"<>()\[\]\\,;:@\x00-\x1f\x7f]+")


def user_name(recipient: bytes, delimiters: str) -> str | None:
    """The address in lower case, unquoted, without brackets and detail; None where it is no address to Dovecot.

    The detail begins at the first of the ``delimiters`` in the local part. An address without domain is one.
    """
    try:
        text = recipient.decode()
    except UnicodeDecodeError:
        return None
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if _PLAIN.fullmatch(text) is None:
        unquoted = _unusual(text)
        if unquoted is None:
            return None
        text = unquoted
    local, at, domain = text.rpartition("@") if "@" in text else (text, "", "")
    for delimiter in delimiters:
        local = local.partition(delimiter)[0]
    return f"{local}{at}{domain}".lower()


def _unusual(text: str) -> str | None:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        return re.sub(r"\\(.)", r"\1", quoted[1]) + (quoted[2] or "")
    return text if _LOCAL.fullmatch(text) else None
