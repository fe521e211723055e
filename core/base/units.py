"""Sizes, limits, grace and counts as people type and read them; times come from ``core/base/times.py``. Pure.

Units are powers of 1024, as in Dovecot. Input that can't be understood is a ``UsageError``, which says what was read
and what is accepted. Nothing is guessed: a wrong guess would set a wrong limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from .errors import UsageError
from .text import NOTHING, shown
from .times import format_age, parse_age, parse_duration, parse_since, parse_time_span, parse_until

__all__ = [
    "GRACE_FORMS",
    "LIMIT_FORMS",
    "MAX_BYTES",
    "NOTHING",
    "SIZE_FORMS",
    "Grace",
    "format_age",
    "format_count",
    "format_exact",
    "format_size",
    "parse_age",
    "parse_duration",
    "parse_grace",
    "parse_limit",
    "parse_since",
    "parse_size",
    "parse_time_span",
    "parse_until",
]

MAX_BYTES = 2**63 - 1  # a signed 64 bit column, and Dovecot's own ceiling
UNLIMITED_WORDS = frozenset({"0", "unlimited", "none"})
SIZE_FORMS = "5G, 5 GiB, 1.5g, 512M, 5000 or 5000B (bytes)"
LIMIT_FORMS = f"{SIZE_FORMS}, 0/unlimited/none, +500M, -1G, +20%, -10%, x2, used+1G, used*1.2"
MOST_MESSAGES = 2**31 - 1  # Dovecot counts messages in 32 bits
MESSAGE_LIMIT_FORMS = f"a whole number up to {MOST_MESSAGES}, 0/unlimited/none"
GRACE_FORMS = "10% (of the limit), 10M, 0 (none)"

# The number of digits is bounded: converting very many is slow, and Python refuses more than 4300.
_NUMBER = r"(?:[0-9]{1,25}(?:\.[0-9]{1,12})?|\.[0-9]{1,12})"
_SIZE = re.compile(rf"({_NUMBER})\s*([kmgtpe]?)(i?b)?", re.IGNORECASE)
_SIGNED = re.compile(r"([+-])\s*(.+)", re.DOTALL)
_PERCENT = re.compile(rf"({_NUMBER})\s*%")
_FACTOR = re.compile(rf"x\s*({_NUMBER})")
_OF_USED = re.compile(r"used\s*([+*])\s*(.+)", re.DOTALL)
_GRACE_PERCENT = re.compile(r"([0-9]{1,6})\s*%")

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}


def _number_of_bytes(text: str) -> Fraction | None:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, letter, suffix = match[1], match[2].lower(), (match[3] or "").lower()
    if not letter and (suffix == "ib" or "." in number):  # "5iB" is no unit, and 0.5 bytes is no size
        return None
    return Fraction(number) * _FACTORS[letter]


def parse_size(text: str) -> int:
    """An absolute size in whole bytes, from 0 to 2^63-1. Raises UsageError."""
    size = _number_of_bytes(text)
    if size is None:
        raise UsageError(f"{shown(text)} is not a size; accepted: {SIZE_FORMS}")
    if round(size) > MAX_BYTES:
        raise UsageError(f"{shown(text)} is too large: a size is at most {MAX_BYTES} bytes (8 EiB)")
    return round(size)


def parse_limit(text: str, current_limit: int | None, used: int | None) -> int | None:
    """A new limit in bytes, None for unlimited.

    Relative forms start from ``current_limit`` (None: the account is unlimited) or from ``used`` bytes (None: not
    known). A result below one byte is refused, because in the database 0 means unlimited. Raises UsageError.
    """
    read = text.strip().lower()
    if read in UNLIMITED_WORDS:
        return None
    limit = _relative_limit(text, read, current_limit, used)
    if limit is None:
        limit = _number_of_bytes(read)
    if limit is None:
        raise UsageError(f"{shown(text)} is not a limit; accepted: {LIMIT_FORMS}")
    return _checked_limit(text, round(limit))


def _checked_limit(text: str, limit: int) -> int:
    if limit < 1:
        raise UsageError(f"{shown(text)} gives {limit} bytes; a limit is at least 1 byte (or write unlimited)")
    if limit > MAX_BYTES:
        raise UsageError(f"{shown(text)} gives {limit:.3e} bytes; a limit is at most {MAX_BYTES} bytes (8 EiB)")
    return limit


def _relative_limit(text: str, read: str, limit: int | None, used: int | None) -> Fraction | None:
    for pattern, base, why, change in _RELATIVE:
        match = pattern.fullmatch(read)
        if match is None:
            continue
        start = limit if base == "limit" else used
        step = change(*match.groups())
        if step is None:
            return None
        if start is None or start < 0:
            missing = why if start is None else "the one in the database is not valid"
            raise UsageError(f"{shown(text)} starts from the {base}, but {missing}; give an absolute size, like 5G")
        times, plus = step
        return start * times + plus
    return None


_Step = tuple[Fraction, Fraction]  # multiply by, then add


def _signed_step(sign: str, amount: str) -> _Step | None:
    direction = 1 if sign == "+" else -1
    percent = _PERCENT.fullmatch(amount)
    if percent is not None:
        return 1 + direction * Fraction(percent[1]) / 100, Fraction(0)
    size = _number_of_bytes(amount)
    return None if size is None else (Fraction(1), direction * size)


def _factor_step(factor: str) -> _Step:
    return Fraction(factor), Fraction(0)


def _used_step(operator: str, amount: str) -> _Step | None:
    if operator == "*":
        return _factor_step(amount) if re.fullmatch(_NUMBER, amount) else None
    size = _number_of_bytes(amount)
    return None if size is None else (Fraction(1), size)


_RELATIVE: tuple[tuple[re.Pattern[str], str, str, Callable[..., _Step | None]], ...] = (
    (_SIGNED, "limit", "this account is unlimited", _signed_step),
    (_FACTOR, "limit", "this account is unlimited", _factor_step),
    (_OF_USED, "usage", "the usage is not known", _used_step),
)


@dataclass(frozen=True, slots=True)
class Grace:
    """How far a mailbox that is under its limit may go beyond it: percent of the limit, plus bytes."""

    percent: int = 0
    size: int = 0

    def of(self, limit_bytes: int) -> int:
        """The grace for a limit in bytes, rounded down to whole bytes as in Dovecot."""
        return limit_bytes * self.percent // 100 + self.size


def parse_grace(text: str) -> Grace:
    """Read ``10%`` (Dovecot 2.3's form), ``10M`` (2.4's) or ``0`` (none). Percents are whole numbers, as in Dovecot.

    Raises UsageError.
    """
    percent = _GRACE_PERCENT.fullmatch(text.strip())
    if percent is not None:
        return Grace(percent=int(percent[1]))
    size = _number_of_bytes(text)
    if size is None or round(size) > MAX_BYTES:
        raise UsageError(f"{shown(text)} is not a grace; accepted: {GRACE_FORMS}")
    return Grace(size=round(size))


def format_size(size: int | None) -> str:
    """Bytes with a unit, and a decimal only below 100: ``5.2 GiB``, ``821 MiB``, ``0 B``; NOTHING for None.

    humanize.naturalsize is not used: it is too slow for a table of thousands of rows, and has one number of decimals
    for all.
    """
    if size is None:
        return NOTHING
    if size < 0:
        return "-" + format_size(-size)
    if size < 1024:
        return f"{size} B"
    power = min((size.bit_length() - 1) // 10, len(_UNITS) - 1)
    unit = 1 << 10 * power
    # Rounded with integers, so that no float errors show. 1023.6 KiB becomes 1 MiB.
    whole = (2 * size + unit) // (2 * unit)
    if whole == 1024 and power < len(_UNITS) - 1:
        return f"1 {_UNITS[power + 1]}"
    tenths = (20 * size + unit) // (2 * unit)
    if tenths >= 1000 or tenths % 10 == 0:
        return f"{whole} {_UNITS[power]}"
    return f"{tenths // 10}.{tenths % 10} {_UNITS[power]}"


def parse_message_limit(text: str) -> int | None:
    """A limit of messages: a whole number, or ``0``, ``unlimited``, ``none`` for no limit. Raises UsageError."""
    word = text.strip().lower()
    if word in UNLIMITED_WORDS:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", word) or int(word) > MOST_MESSAGES:
        raise UsageError(f"{shown(text)} is no limit of messages; accepted: {MESSAGE_LIMIT_FORMS}")
    return int(word) or None


def format_message_limit(limit: int | None) -> str:
    """A limit of messages: ``1,000 messages``; ``unlimited`` for None, ``invalid`` below 0."""
    if limit is None:
        return "unlimited"
    return "invalid" if limit < 0 else f"{limit:,} message{'' if limit == 1 else 's'}"


def format_messages(messages: int | None, limit: int | None) -> str:
    """A number of messages, with its limit where there is one: ``18,201``, ``3 of 3``."""
    return format_count(messages) if limit is None else f"{format_count(messages)} of {format_count(max(0, limit))}"


def format_limit(limit: int | None) -> str:
    """A limit in bytes with a unit; ``unlimited`` for None, ``invalid`` below 0."""
    if limit is None:
        return "unlimited"
    return "invalid" if limit < 0 else format_size(limit)


def format_exact(size: int) -> str:
    """A size with a unit and exact: ``5.2 GiB (5,583,457,484 bytes)``, ``1 byte``."""
    exact = "1 byte" if size == 1 else f"{size:,} bytes"
    return exact if size < 1024 else f"{format_size(size)} ({exact})"


def format_count(number: int | None) -> str:
    """A number with thousands separated: ``18,201``; NOTHING for None."""
    if number is None:
        return NOTHING
    import humanize  # late: the engine does not need it

    return humanize.intcomma(number)


def format_micros(micros: int | None) -> str:
    """A duration in microseconds with a unit: ``61 µs``, ``1.2 ms``, ``150 ms``, ``1.2 s``; NOTHING for None."""
    if micros is None:
        return NOTHING
    if micros < 1000:
        return f"{micros} µs"
    if micros < 1_000_000:
        return f"{micros / 1000:.{0 if micros >= 99_950 else 1}f} ms"
    return f"{micros / 1_000_000:.1f} s"


def format_rate(per_second: float) -> str:
    """A rate per second: ``0``, ``5.8``, ``42``, ``30,600``."""
    return f"{per_second:.1f}" if 0 < per_second < 10 else f"{per_second:,.0f}"
