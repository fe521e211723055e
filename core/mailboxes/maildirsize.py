"""The maildirsize file of Maildir++, read as Dovecot reads it. Pure; a hint that is never written here.

Line 1 holds the limit (``5000S``, ``5000S,100C``, ``0S``), every further line a change ``<bytes> <messages>``. What
Dovecot would believe is what counts: where it would throw the file away and count the mailbox anew, so must we, because
its answer is the one that the next delivery gets. The rules were measured on 2.3.19 and 2.4.1.
"""

from __future__ import annotations

import re

import msgspec

MAX_BYTES = 5120  # from this size on Dovecot rebuilds: 5119 is still read
FRESH_SECONDS = 15 * 60  # an over-limit claim of one line is believed for so long
_PART = re.compile(rb"(\d{1,19})([A-Za-z])")
# sscanf("%lld %d"): leading blanks, signs (before the second number in place of a blank, too), and anything after it.
# Longer numbers than a 64 bit one are nobody's sums; and int() refuses those of thousands of digits.
_LINE = re.compile(rb"[ \t\v\f\r]*([+-]?\d{1,19})(?:[ \t\v\f\r]+|(?=[+-]))([+-]?\d{1,19})(?!\d)")
_INT32 = 2**31
_INT64 = 2**63


class Maildirsize(msgspec.Struct, frozen=True, gc=False):
    """The sums of a readable file. The limits are the header's, None where it has none."""

    limit: int | None
    message_limit: int | None
    used: int
    messages: int
    lines: int  # below the header


def parse(data: bytes) -> Maildirsize | None:
    """The sums, or None where Dovecot would rebuild the file whatever its age.

    An unterminated last line is ignored, as a writer may be in the middle of it; a header alone means a use of 0.
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
        used = (used + int(match[1]) + _INT64) % (2 * _INT64) - _INT64  # Dovecot's sum has 64 bits, and goes round
        messages += int(match[2])
        lines += 1
    if not (0 <= used < _INT64 and 0 <= messages < _INT32):
        return None
    limit, message_limit = _parse_header(header)
    return Maildirsize(limit=limit, message_limit=message_limit, used=used, messages=messages, lines=lines)


def _parse_header(header: bytes) -> tuple[int | None, int | None]:
    """The byte and the message limit. What is none, 0 included, is dropped, as by Dovecot."""
    found = (match for match in map(_PART.fullmatch, header.split(b",")) if match is not None)
    limits = {match[2]: int(match[1]) for match in found if int(match[1])}
    return limits.get(b"S"), limits.get(b"C")


def must_recount(size: Maildirsize, limit: int | None, age: float) -> bool:
    """Whether Dovecot would count anew instead of believing ``size``.

    ``limit`` is the account's own in bytes (None unlimited: then the file says ``0S``), ``age`` the seconds since the
    file was written. A claim of too little is believed for ever; a claim of too much only when it is one young line.
    """
    if size.limit != limit or size.message_limit is not None:
        return True
    return limit is not None and size.used > limit and (size.lines > 1 or age > FRESH_SECONDS)
