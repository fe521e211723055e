"""Sizes, limits, grace and counts: every form of the documentation, and that nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import UsageError
from mailquota.core.base.units import (
    MAX_BYTES,
    NOTHING,
    Grace,
    format_count,
    format_micros,
    format_rate,
    format_size,
    parse_grace,
    parse_limit,
    parse_size,
)

KIB, MIB, GIB = 1024, 1024**2, 1024**3

SIZES = {
    "5G": 5 * GIB,
    "5 GiB": 5 * GIB,
    "1.5g": 3 * GIB // 2,
    "512M": 512 * MIB,
    "5000": 5000,
    "5000B": 5000,
    "5 kb": 5 * KIB,
    ".5K": 512,
    "1.0005K": 1025,
    "  2T ": 2 * 1024**4,
    "0": 0,
    "9223372036854775807": MAX_BYTES,
}
NONSENSE = [
    "",
    " ",
    "G",
    "5X",
    "1.5",
    "5iB",
    "-5G",
    "+5G",
    "1,5G",
    "5_000",
    "1e3",
    "5GG",
    "5G 3M",
    "٣",
    "0x10",
    "9" * 5000,
]
NO_LIMITS = [
    *[text for text in NONSENSE if text not in {"-5G", "+5G"}],
    *[
        "+",
        "-",
        "x",
        "%",
        "20%",
        "+%",
        "--1G",
        "+x2",
        "used",
        "used*",
        "used*-1",
        "used+20%",
        "used-1G",
        "*2",
        "unlimite",
    ],
]


@pytest.mark.parametrize(("text", "size"), SIZES.items(), ids=repr)
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    """Every form of the documentation gives whole bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: repr(text[:12]))
def test_no_size(text: str) -> None:
    """What is not a size is refused, and the message shows what was read and what is accepted."""
    with pytest.raises(UsageError, match=r"is not a size; accepted: 5G") as caught:
        parse_size(text)
    assert repr(text[:10])[:-1] in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["9223372036854775808", "8E", "99999P"])
def test_size_beyond_64_bits(text: str) -> None:
    """A size that no database column holds is refused."""
    with pytest.raises(UsageError, match="too large"):
        parse_size(text)


LIMITS = {
    "5G": 5 * GIB,
    "0": None,
    "unlimited": None,
    "None": None,
    "+500M": 4 * GIB + 500 * MIB,
    "-1G": 3 * GIB,
    "- 1 GiB": 3 * GIB,
    "+20%": 5153960755,  # 4 GiB * 1.2, rounded
    "-10%": 3865470566,
    "x2": 8 * GIB,
    "X1.5": 6 * GIB,
    "used+1G": 2 * GIB,
    "used*1.2": 1288490189,
    "USED + 1G": 2 * GIB,
}


@pytest.mark.parametrize(("text", "limit"), LIMITS.items(), ids=repr)
def test_limits(text: str, limit: int | None) -> None:
    """Absolute, relative to the limit, relative to the use: of a limit of 4 GiB and a use of 1 GiB."""
    assert parse_limit(text, 4 * GIB, GIB) == limit


@pytest.mark.parametrize("text", NO_LIMITS, ids=lambda text: repr(text[:12]))
def test_no_limit_at_all(text: str) -> None:
    """What is not a limit is refused, and the message says what was read and what is accepted."""
    with pytest.raises(UsageError, match=r"is not a limit; accepted: 5G.*unlimited.*\+20%.*used\*1\.2"):
        parse_limit(text, 4 * GIB, GIB)


@pytest.mark.parametrize("text", ["0G", "0B", "x0", "-100%", "-4G", "-5G", ".0001K", "used*0"])
def test_never_silently_unlimited(text: str) -> None:
    """A result under one byte is an error: stored as 0 it would mean unlimited."""
    with pytest.raises(UsageError, match="at least 1 byte"):
        parse_limit(text, 4 * GIB, GIB)


@pytest.mark.parametrize("text", ["8E", "x9999999999", "+8E", "used*9999999999"])
def test_limit_beyond_64_bits(text: str) -> None:
    """A result that no database column holds is an error."""
    with pytest.raises(UsageError, match=str(MAX_BYTES)):
        parse_limit(text, 4 * GIB, GIB)


@pytest.mark.parametrize("text", ["+500M", "-1G", "+20%", "x2"])
def test_relative_to_no_limit(text: str) -> None:
    """An unlimited account has nothing to start from."""
    with pytest.raises(UsageError, match="this account is unlimited"):
        parse_limit(text, None, GIB)


@pytest.mark.parametrize("text", ["used+1G", "used*1.2"])
def test_relative_to_unknown_use(text: str) -> None:
    """A use that is not known is not 0."""
    with pytest.raises(UsageError, match="the usage is not known"):
        parse_limit(text, GIB, None)
    assert parse_limit("5G", None, None) == 5 * GIB


@given(st.text() | st.from_regex(r"(used|x|\+|-)?[0-9.]{0,6} ?[kMGT%xB*+]{0,2}", fullmatch=True))
def test_limits_raise_nothing_else(text: str) -> None:
    """Whatever is typed gives a limit from 1 to 2^63-1, unlimited, or a UsageError."""
    try:
        limit = parse_limit(text, 4 * GIB, GIB)
    except UsageError:
        return
    assert limit is None or 1 <= limit <= MAX_BYTES


@pytest.mark.parametrize(
    ("text", "limit", "grace"),
    [("10%", 100_000, 10_000), ("10%", 5, 0), ("10 M", 5000, 10 * MIB), ("0", 5000, 0), ("150%", 1000, 1500)],
)
def test_grace(text: str, limit: int, grace: int) -> None:
    """A share of the limit, rounded down, or a size."""
    assert parse_grace(text).of(limit) == grace


def test_grace_is_a_value() -> None:
    """Equal texts give equal rules; a size has no share."""
    assert parse_grace("10M") == Grace(size=10 * MIB)


@pytest.mark.parametrize("text", ["", "10%%", "-1M", "2.5%", "%", "ten", "9E"])
def test_no_grace(text: str) -> None:
    """Anything else is refused, fractions of a percent too: Dovecot has none."""
    with pytest.raises(UsageError, match="is not a grace; accepted: 10%"):
        parse_grace(text)


SHOWN = {
    None: NOTHING,
    0: "0 B",
    1023: "1023 B",
    1024: "1 KiB",
    5000: "4.9 KiB",
    821 * MIB: "821 MiB",
    5583457484: "5.2 GiB",
    20508468838: "19.1 GiB",
    20 * GIB: "20 GiB",
    1024 * 1024 - 1: "1 MiB",
    100 * GIB - 1: "100 GiB",
    860_942_336: "821 MiB",  # 821.06
    MAX_BYTES: "8 EiB",
    2**70: "1024 EiB",
    -5000: "-4.9 KiB",
}


@pytest.mark.parametrize(("size", "text"), SHOWN.items(), ids=repr)
def test_sizes_as_people_read_them(size: int | None, text: str) -> None:
    """Three digits at most before the next unit, no .0."""
    assert format_size(size) == text


@given(st.integers(0, 2**62))
def test_shown_sizes_read_back(size: int) -> None:
    """What is shown can be typed, and is right to half of its last digit."""
    text = format_size(size)
    number, unit = text.split()
    step = parse_size(f"1 {unit}") / (10 if "." in number or len(number) < 3 else 1)
    assert abs(parse_size(text) - size) <= step / 2 + 1
    assert len(text) <= len("1023 MiB")


def test_counts_have_thousands_separated() -> None:
    """As in the table of accounts."""
    assert [format_count(n) for n in (None, 0, 999, 18201, 1234567)] == [NOTHING, "0", "999", "18,201", "1,234,567"]


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (None, NOTHING), (0, "0 µs"), (61, "61 µs"), (999, "999 µs"), (1000, "1.0 ms"), (1549, "1.5 ms"),
        (99_949, "99.9 ms"), (99_950, "100 ms"), (150_400, "150 ms"), (2_500_000, "2.5 s"),
    ],
)  # fmt: skip
def test_durations(micros: int | None, text: str) -> None:
    """At most seven cells, whatever the unit."""
    assert format_micros(micros) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0, "0"), (0.25, "0.2"), (5.84, "5.8"), (42.3, "42"), (30_600.0, "30,600")]
)
def test_rates(rate: float, text: str) -> None:
    """Slow ones with a decimal."""
    assert format_rate(rate) == text
