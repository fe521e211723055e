"""Modified UTF-7, the encoding of mailbox names in Maildir++ (RFC 3501, section 5.1.3). Pure."""

from __future__ import annotations

import base64
import re

_SHIFTED = re.compile(r"&([^-]*)-")
_PLAIN = re.compile(r"[ -%'-~]*")  # printable ASCII without &, which is not encoded
_OTHER = re.compile(r"[^ -~]+|&")


def decode(name: str) -> str:
    """The name as Unicode text. A name that is not valid modified UTF-7 is returned as it is."""
    try:
        return _SHIFTED.sub(_decode_shifted, name)
    except ValueError:
        return name


def encode(text: str) -> str:
    """The name in modified UTF-7. Raises ValueError for text that can't be encoded, as with lone surrogates."""
    return _OTHER.sub(_shift, text)


def is_canonical(name: str) -> bool:
    """Whether a name is valid and encoded as Dovecot encodes it; Dovecot ignores folders with other names."""
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
