"""Reads the text of maildirsize, the usage file of Maildir++, as Dovecot reads it. Pure.

Line 1 has the limit (``5000S``, ``5000S,100C``, ``0S``), every further line a change ``<bytes> <messages>``; usage is
the sum of all changes. Where Dovecot would not believe the file and would count the mailbox, it has to be counted here
too, as Dovecot decides on the delivery that follows. The rules were measured on Dovecot 2.3.19 and 2.4.1.
"""

from __future__ import annotations

import re

import msgspec

MAX_BYTES = 5120  # from this size on Dovecot rebuilds: 5119 is still read
FRESH_SECONDS = 15 * 60  # for so long a usage above the limit is believed, if it is one line
_PART = re.compile(rb"(\d{1,19})([A-Za-z])")
# sscanf("%lld %d"): leading blanks, signs (before the second number in place of a blank, too), and anything after it.
_LINE = re.compile(rb"[ \t\v\f\r]*+([+-]?\d++)(?:[ \t\v\f\r]++|(?=[+-]))([+-]?\d++)")
_SURE_DIGITS = 18  # with its sign; so many have less than 64 bits
_INT32 = 2**31
_INT64 = 2**63


class Maildirsize(msgspec.Struct, frozen=True, gc=False):
    """A readable file: limit and usage in bytes, and messages. The limits are the header's, None where it has none."""

    limit: int | None
    message_limit: int | None
    used: int
    messages: int
    lines: int  # below the header


def parse(data: bytes) -> Maildirsize | None:
    """The limits and sums, or None where Dovecot would rebuild the file whatever its age.

    A last line without its LF is ignored, as a delivery may be writing it; a header alone means a usage of 0.
    """
    whole = data[: data.rfind(b"\n") + 1]
    if len(data) >= MAX_BYTES or len(whole) < 2 or b"\0" in whole:
        return None
    header, *body = whole[:-1].split(b"\n")
    used = messages = lines = 0
    for line in body:
        match = _LINE.match(line)
        if match is None:
            return None
        # Dovecot's sums have 64 and 32 bits, and wrap
        used = (used + _number(match[1]) + _INT64) % (2 * _INT64) - _INT64
        messages = (messages + _number(match[2]) + _INT32) % (2 * _INT32) - _INT32
        lines += 1
    if used < 0 or messages < 0:
        return None
    limit, message_limit = _parse_header(header)
    return Maildirsize(limit=limit, message_limit=message_limit, used=used, messages=messages, lines=lines)


def _number(text: bytes) -> int:
    """As C reads it: a number that has more than 64 bits is the largest, or the smallest, of those."""
    if len(text) <= _SURE_DIGITS:
        return int(text)
    digits = text.lstrip(b"+-").lstrip(b"0") or b"0"  # int() refuses thousands of digits
    size = int(digits) if len(digits) <= 2 * _SURE_DIGITS else _INT64
    return -min(size, _INT64) if text.startswith(b"-") else min(size, _INT64 - 1)


def _parse_header(header: bytes) -> tuple[int | None, int | None]:
    """The byte and the message limit. Parts that are no limit are ignored, 0 included, as Dovecot does."""
    found = (match for match in map(_PART.fullmatch, header.split(b",")) if match is not None)
    limits = {match[2]: int(match[1]) for match in found if int(match[1])}
    return limits.get(b"S"), limits.get(b"C")


def must_recount(size: Maildirsize, limit: int | None, most: int | None, age: float) -> bool:
    """Whether Dovecot would count the mailbox instead of believing ``size``.

    ``limit`` is the account's in bytes (None unlimited: then the file has ``0S``, or a limit of messages alone),
    ``most`` its limit of messages, ``age`` the seconds since the file was written. A usage below the limits is believed
    for ever; one above them only as a single line, for 15 minutes.
    """
    if (size.limit, size.message_limit) != (limit, most):
        return True
    return is_over(size) and (size.lines > 1 or age > FRESH_SECONDS)


def is_over(size: Maildirsize) -> bool:
    """Whether bytes or messages are above a limit of the header. Dovecot then believes the file only for a while."""
    over = size.limit is not None and size.used > size.limit
    return over or (size.message_limit is not None and size.messages > size.message_limit)
