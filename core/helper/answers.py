"""How the helper sends the answer to an order; core/base/helper_calls.py reads it. Pure.

An answer is a pair of a kind and a content: of the kind "" a value, else an error. Texts are valid UTF-8, whatever a
mailbox has in its names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..base.errors import (
    DeliveryError,
    MailquotaError,
    NoSuchAccountError,
    UnreachableError,
    error_text,
    sendable,
)
from ..base.helper_calls import LONGEST_ANSWER
from ..mailboxes.measure import MadeUnreadable, MailstoreAbsent, Unmeasurable

_ENCODER = msgspec.msgpack.Encoder()
_KINDS: dict[type[Exception], str] = {MadeUnreadable: "made", MailstoreAbsent: "absent", Unmeasurable: "unmeasurable"}
_OTHER = 5  # EIO, for an error without a number


def value(found: Any) -> bytes:
    """The answer with a value; an error where that is too long, or has a text that can't be sent."""
    try:
        answer = _ENCODER.encode(("", found))
    except (UnicodeEncodeError, OverflowError):
        return failure(MailquotaError("the mailbox has a name or a number that can't be sent"))
    return answer if len(answer) <= LONGEST_ANSWER else failure(MailquotaError("the answer is too long"))


def failure(error: Exception) -> bytes:
    """The answer with an error."""
    return _ENCODER.encode(_words(error))


def _words(error: Exception) -> tuple[str, Any]:
    if isinstance(error, OSError):
        name = error.filename if isinstance(error.filename, str) else ""
        return "os", (error.errno or _OTHER, _text(error.strerror or str(error)), sendable(name))
    if isinstance(error, NoSuchAccountError):
        return "account", _text(error.address)
    if isinstance(error, UnreachableError):
        return "unreachable", error_text(error)
    if isinstance(error, DeliveryError):
        return "delivery", (error_text(error), error.temporary, error.unclear)
    return _KINDS.get(type(error), "error"), error_text(error)


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
