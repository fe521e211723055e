"""maildirsize is read as Dovecot reads it: each row was measured on a real one, and any bytes are survived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.mailboxes.maildirsize import FRESH_SECONDS, MAX_BYTES, Maildirsize, must_recount, parse

RECOUNT = None
HOUR = 3600.0

# content, age in seconds, what is believed: bytes and messages, or RECOUNT. The limit is 100,000.
ROWS: dict[str, tuple[bytes, float, tuple[int, int] | None]] = {
    "5,119 bytes": (b"100000S\n 10 1\n" + b"10 1\n" * 1021, 0, (10220, 1022)),
    "5,120 bytes": (b"100000S\n  10 1\n" + b"10 1\n" * 1021, 0, RECOUNT),
    "another limit": (b"50000S\n100 1\n", 0, RECOUNT),
    "no limit where there is one": (b"0S\n100 1\n", 0, RECOUNT),
    "a count of 0 after it": (b"100000S,0C\n100 1\n", 0, (100, 1)),
    "a count of 0 before it": (b"0C,100000S\n100 1\n", 0, (100, 1)),
    "an unknown letter": (b"100000S,5X\n100 1\n", 0, (100, 1)),
    "a limit of messages": (b"100000S,10C\n100 1\n", 0, RECOUNT),
    "0 after the limit": (b"100000S,0S\n100 1\n", 0, (100, 1)),
    "words after the limit": (b"100000S,abc\n100 1\n", 0, (100, 1)),
    "a comma after the limit": (b"100000S,\n100 1\n", 0, (100, 1)),
    "words before the limit": (b"x100000S\n100 1\n", 0, RECOUNT),
    "a limit of more than 64 bits": (b"99999999999999999999S\n100 1\n", 0, RECOUNT),
    "lower case": (b"100000s\n100 1\n", 0, RECOUNT),
    "an empty header": (b"\n100 1\n", 0, RECOUNT),
    "header alone": (b"100000S\n", 0, (0, 0)),
    "header without LF": (b"100000S", 0, RECOUNT),
    "empty": (b"", 0, RECOUNT),
    "LF alone": (b"\n", 0, RECOUNT),
    "NUL in a line": (b"100000S\n100\0 1\n", 0, RECOUNT),
    "NUL in the header": (b"100000S\0\n100 1\n", 0, RECOUNT),
    "NUL after the last line": (b"100000S\n100 1\n\0", 0, (100, 1)),
    "last line without LF": (b"100000S\n100 1\n50 1", 0, (100, 1)),
    "only line without LF": (b"100000S\n100 1", 0, (0, 0)),
    "blanks in front": (b"100000S\n   100 1\n", 0, (100, 1)),
    "a form feed in front": (b"100000S\n\v100 1\n", 0, (100, 1)),
    "a tab between": (b"100000S\n100\t1\n", 0, (100, 1)),
    "a third column": (b"100000S\n100 1 x\n", 0, (100, 1)),
    "padded as Courier does": (b"100000S\n        100 1\n", 0, (100, 1)),
    "signs": (b"100000S\n+100 +1\n-20 -1\n20 1\n", 0, (100, 1)),
    "a sign instead of the blank": (b"100000S\n500-1\n200+2\n", 0, (700, 1)),
    "CRLF": (b"100000S\r\n100 1\r\n", 0, RECOUNT),
    "CRLF below the header": (b"100000S\n100 1\r\n", 0, (100, 1)),
    "a word in a line": (b"100000S\n100 1\nxyz\n200 1\n", 0, RECOUNT),
    "one number in a line": (b"100000S\n100\n", 0, RECOUNT),
    "a blank line": (b"100000S\n\n100 1\n", 0, RECOUNT),
    "a blank line at the end": (b"100000S\n100 1\n\n", 0, RECOUNT),
    "a fraction": (b"100000S\n5000.5 1\n", 0, RECOUNT),
    "hexadecimal": (b"100000S\n0x10 1\n", 0, RECOUNT),
    "negative bytes": (b"100000S\n-100 1\n", 0, RECOUNT),
    "negative messages": (b"100000S\n100 -1\n", 0, RECOUNT),
    "negative on the way": (b"100000S\n-100 -1\n200 2\n", 0, (100, 1)),
    "over, several lines": (b"100000S\n90000 1\n10001 1\n", 0, RECOUNT),
    "over, one line": (b"100000S\n100001 2\n", 0, (100001, 2)),
    "over, one line, 14 minutes": (b"100000S\n100001 2\n", 14 * 60, (100001, 2)),
    "over, one line, 15 minutes": (b"100000S\n100001 2\n", FRESH_SECONDS, (100001, 2)),
    "over, one line, 16 minutes": (b"100000S\n100001 2\n", 16 * 60, RECOUNT),
    "full to the byte": (b"100000S\n90000 1\n10000 1\n", HOUR, (100000, 2)),
    "under, two days": (b"100000S\n10 1\n", 48 * HOUR, (10, 1)),
    "under, many lines": (b"100000S\n" + b"10 1\n" * 400, HOUR, (4000, 400)),
    "garbage": (b"hello world\nfoo\n", 0, RECOUNT),
    "binary": (bytes(range(256)) * 4, 0, RECOUNT),
    "more than 64 bits": (b"100000S\n99999999999999999999 1\n", 0, (2**63 - 1, 1)),
    "more than 64 bits, an hour": (b"100000S\n99999999999999999999 1\n", HOUR, RECOUNT),
    "more than 64 bits, several lines": (b"100000S\n99999999999999999999 1\n-99999999999999999999 1\n", 0, RECOUNT),
    "more than 64 bits, and back": (b"100000S\n99999999999999999999 1\n-9223372036854775000 1\n", 0, (807, 2)),
    "zeros in front": (b"100000S\n00000000000000000000000100 00000000000000000000001\n", 0, (100, 1)),
    "sums of more than 64 bits": (b"100000S\n" + b"9000000000000000000 1\n" * 2, 0, RECOUNT),
    "sums of more than 128 bits": (b"100000S\n" + b"9000000000000000000 1\n" * 41 + b"0 -40\n", 0, RECOUNT),
    "messages of more than 31 bits": (b"100000S\n100 2147483648\n", 0, RECOUNT),
    "messages whose sum has 32 bits": (b"100000S\n50 2147483647\n50 1\n", 0, RECOUNT),
    "messages whose sum is 2 to the 32nd": (b"100000S\n50 2147483648\n50 2147483648\n", 0, (100, 0)),
    "messages of more than 32 bits": (b"100000S\n100 4294967299\n", 0, (100, 3)),
    "messages of 63 bits": (b"100000S\n100 9223372036854775807\n101 4\n", 0, (201, 3)),
    "messages of more than 63 bits": (b"100000S\n100 9999999999999999999\n101 4\n", 0, (201, 3)),
    "bytes of more than 63 bits": (b"100000S\n9999999999999999999 1\n-9223372036854775800 1\n", 0, (7, 2)),
    "thousands of digits": (b"100000S\n" + b"9" * 5000 + b" 1\n", 0, (2**63 - 1, 1)),
    "thousands of digits of limit": (b"9" * 5000 + b"S\n100 1\n", 0, RECOUNT),
}


@pytest.mark.parametrize("row", ROWS)
def test_believed_or_not(row: str) -> None:
    """What Dovecot believes is believed, what it counts anew is counted anew."""
    content, age, expected = ROWS[row]
    size = parse(content)
    believed = size is not None and not must_recount(size, 100_000, None, age)
    assert ((size.used, size.messages) if size is not None and believed else RECOUNT) == expected


# the header's limits, use, messages and lines; age; the account's limit; recount?
CLAIMS = [
    (Maildirsize(5000, None, 4000, 1, 9), HOUR, 5000, False),
    (Maildirsize(5000, None, 5000, 1, 9), HOUR, 5000, False),
    (Maildirsize(5000, None, 5001, 1, 1), 0.0, 5000, False),
    (Maildirsize(5000, None, 5001, 1, 2), 0.0, 5000, True),
    (Maildirsize(5000, None, 5001, 1, 1), FRESH_SECONDS + 0.1, 5000, True),
    (Maildirsize(5000, None, 9999, 1, 1), -HOUR, 5000, False),  # a clock that is behind
    (Maildirsize(5000, 10, 4000, 1, 1), 0.0, 5000, True),
    (Maildirsize(5000, None, 10, 1, 1), 0.0, 7000, True),
    (Maildirsize(5000, None, 10, 1, 1), 0.0, None, True),  # unlimited by now: nobody keeps it
    (Maildirsize(None, None, 10, 1, 1), 0.0, 5000, True),
    (Maildirsize(None, None, 9_999_999, 1, 9), HOUR, None, False),
    (Maildirsize(None, 10, 10, 1, 1), 0.0, None, True),
]


@pytest.mark.parametrize(("size", "age", "limit", "expected"), CLAIMS)
def test_must_recount(size: Maildirsize, age: float, limit: int | None, expected: bool) -> None:
    """Another limit, or a claim over it that is old or was added to, is not believed."""
    assert must_recount(size, limit, None, age) is expected


@pytest.mark.parametrize(("messages", "lines", "age", "expected"), [
    (3, 9, HOUR, False), (4, 1, 0.0, False), (4, 2, 0.0, True), (4, 1, HOUR, True)
])  # fmt: skip
def test_must_recount_by_messages(messages: int, lines: int, age: float, expected: bool) -> None:
    """The limit of messages counts as that of bytes does; another one in the header is not believed."""
    size = Maildirsize(5000, 3, 10, messages, lines)
    assert must_recount(size, 5000, 3, age) is expected
    assert must_recount(size, 5000, 4, age)
    assert must_recount(size, 5000, None, age)


def test_limits_of_the_header() -> None:
    """Bytes and messages are told apart, and none is None."""
    assert parse(b"5000S,10C\n1 1\n") == Maildirsize(5000, 10, 1, 1, 1)
    assert parse(b"10C\n1 1\n") == Maildirsize(None, 10, 1, 1, 1)
    assert parse(b"0S\n1 1\n") == Maildirsize(None, None, 1, 1, 1)


@given(st.binary(max_size=MAX_BYTES + 10))
def test_any_bytes(data: bytes) -> None:
    """Whatever a file holds, it is sums that 64 bits hold, or nothing."""
    size = parse(data)
    assert size is None or (0 <= size.used < 2**63 and 0 <= size.messages < 2**31)


@given(st.text("0123456789SC, \n+-\r\t\0x", max_size=60).map(str.encode))
def test_almost_a_file(data: bytes) -> None:
    """The same for bytes that look like one; nothing changes what an unterminated line says."""
    size = parse(data)
    assert size is None or size.lines == data.count(b"\n") - 1
    if data.endswith(b"\n") and size is not None:
        assert parse(data + b"77 1") == size


SUMS = st.integers(0, 10**12)
CHANGES = st.lists(st.tuples(SUMS, st.integers(0, 1000), st.booleans()), max_size=100)


@given(st.integers(0, 10**12), SUMS, st.integers(0, 10**6), CHANGES)
def test_what_dovecot_writes(limit: int, used: int, messages: int, changes: list[tuple[int, int, bool]]) -> None:
    """The first line's sums and each appended change add up, additions and removals."""
    lines = [f"{limit}S", f"{used} {messages}"]
    for size, count, added in changes:
        sign = 1 if added else -1
        used, messages = used + sign * size, messages + sign * count
        lines.append(f"{sign * size} {sign * count}")
    size_ = parse("".join(f"{line}\n" for line in lines).encode())
    if used < 0 or messages < 0:
        assert size_ is None
    else:
        assert size_ == Maildirsize(limit or None, None, used, messages, len(changes) + 1)


@given(SUMS, st.integers(1, 10**12), st.integers(1, 99), st.floats(-(10**9), 10**9))
def test_a_claim_of_too_little_is_believed(used: int, room: int, lines: int, age: float) -> None:
    """However old and however long: Dovecot does not doubt it either."""
    assert not must_recount(Maildirsize(used + room, None, used, 1, lines), used + room, None, age)
