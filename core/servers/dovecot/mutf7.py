"""Modified UTF-7, in which mailbox names lie on disk (RFC 3501, 5.1.3). Pure."""

from __future__ import annotations

import base64
import re

_SHIFTED = re.compile(r"&([^-]*)-")
_PLAIN = re.compile(r"[ -%'-~]*")  # stands for itself: printable ASCII but &
_OTHER = re.compile(r"[^ -~]+|&")


def decode(name: str) -> str:
    """As people read it. What is not modified UTF-7 stays as it is."""
    try:
        return _SHIFTED.sub(_decode_shifted, name)
    except ValueError:
        return name


def encode(text: str) -> str:
    """The one right form. Raises ValueError for what is no text."""
    return _OTHER.sub(_shift, text)


def is_canonical(name: str) -> bool:
    """Whether a name is in the one right form: a folder that is named otherwise is none to Dovecot."""
    if _PLAIN.fullmatch(name):
        return True
    try:
        text = _SHIFTED.sub(_decode_shifted, name)
        return "\0" not in text and encode(text) == name
    except ValueError:
        return False


def _decode_shifted(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    text = match[1].replace(",", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-16-be")


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    coded = base64.b64encode(match[0].encode("utf-16-be")).decode()
    return f"&{coded.rstrip('=').replace('/', ',')}-"
