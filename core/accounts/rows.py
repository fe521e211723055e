"""Turns values of the database into addresses, limits, flags and aliases. Pure.

Text arrives as bytes: if the driver decoded it, one row that is not UTF-8 would fail the whole query.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

from ..base.model import Alias
from .store import HIGHEST_LIMIT

Row = Sequence[object]

# RFC 5321, 4.5.3.1: 64 octets before the @, 255 behind it.
LONGEST_ADDRESS = 64 + 1 + 255
_SHORT = LONGEST_ADDRESS // 4  # characters that take no more bytes than that, whatever they are
LONGEST_EXAMPLE = 120
NO_NUMBER = -1  # the limit of an account for which the database has no number of bytes
_WHOLE = re.compile(r"-?[0-9]{1,20}")  # Dovecot takes neither blanks nor a plus sign
# The values that mean "no" in enumerations and booleans of other schemas.
NO = frozenset({"", "0", "n", "no", "f", "false", "off"})


def text_of(value: object) -> str | None:
    """A value as text; None where it is no text, not UTF-8, or has characters that do not print.

    Those are control characters, and also invisible ones that change the direction of a line.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) and value.isprintable() else None


def pattern_of(value: object) -> str | None:
    """A value as source or destination of an alias, which may be ``@domain``: lower case, without blanks around it.

    None where it is no text, empty, or too long.
    """
    text = text_of(value)
    if text is None or (len(text) > _SHORT and len(text.encode()) > LONGEST_ADDRESS):
        return None
    return text.strip().lower() or None


def address_of(value: object) -> str | None:
    """A value as the address of an account: lower case, without blanks around it. None where it is no address."""
    text = pattern_of(value)
    if text is None:
        return None
    user, _, domain = text.rpartition("@")
    return text if user and domain else None


def limit_of(value: object) -> int | None:
    """A value as a limit in bytes; None is unlimited (0 or NULL in the database).

    A number below 0 is returned as it is and is no valid limit; a value that is no number of 64 bits gives NO_NUMBER.
    """
    if value is None:
        return None
    number = _whole(value)
    return NO_NUMBER if number is None or abs(number) > HIGHEST_LIMIT else number or None


def _whole(value: object) -> int | None:
    """A value as a whole number, None for any other. A fraction, as a query may compute it, is cut off."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal):
        return int(value) if math.isfinite(value) else None
    text = text_of(value)
    return int(text) if text and _WHOLE.fullmatch(text) else None


def fault_of(value: object, limit: int | None, name: str = "limit") -> str:
    """Why a value of the database is no valid limit, as a sentence; empty where it is one."""
    if limit is None or limit >= 0:
        return ""
    if _whole(value) == limit:
        return f"its {name} in the database is {limit}, and Dovecot loads no user with a limit below 0"
    text = value if isinstance(value, int | float | Decimal) else ascii(text_of(value) or value)
    unit = "bytes" if name == "limit" else "messages"
    return f"its {name} in the database is {str(text)[:LONGEST_EXAMPLE]}, which is no number of {unit}"


def enabled_of(value: object) -> bool:
    """Whether a flag means yes. NULL means no."""
    if isinstance(value, bytes):
        # BIT(1) arrives as one byte, everything else as text.
        return value != b"\0" and value.decode(errors="replace").lower() not in NO
    return bool(value) and str(value).lower() not in NO


def aliases_of(row: Row, own_rows: bool) -> list[Alias] | None:
    """The aliases of a row: source, and destination, which may be a list with commas as in Postfix. None if invalid.

    With ``own_rows`` (PostfixAdmin) an address whose only destination is itself is no alias: the list is empty then.
    Among other destinations it is kept: the mailbox gets the mail as well.
    """
    source = pattern_of(row[0])
    text = text_of(row[1])
    if source is None or text is None:
        return None
    parts = [part for part in text.split(",") if part.strip()]
    destinations = [found for part in parts if (found := pattern_of(part))]
    if not destinations or len(destinations) < len(parts):
        return None
    if own_rows and destinations == [source]:
        return []
    return [Alias(source, destination) for destination in destinations]
