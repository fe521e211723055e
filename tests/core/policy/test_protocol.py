"""Postfix's protocol: requests come out whole however the bytes come in, and say what Dovecot would read in them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import ProtocolError
from mailquota.core.policy.protocol import (
    MAX_REQUEST,
    TURN,
    Question,
    RequestReader,
    answer,
    attribute,
    question,
    text_attribute,
)

REQUEST = (
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=192.0.2.1\n"
    b"client_name=mx.example.net\nsender=sender@example.net\nrecipient=john@example.org\nrecipient_count=0\n"
    b"queue_id=\ninstance=1a2b.65f00000.1.0\nsize=1000\nsasl_username=\n\n"
)
JOHN = Question(b"RCPT", b"john@example.org", 1000)


def read(*pieces: bytes) -> list[bytes]:
    """The requests in these pieces."""
    reader = RequestReader()
    found = []
    for piece in pieces:
        found += reader.feed(piece)
        while reader.more:
            found += reader.take()
    return found


def ask(text: str | bytes) -> Question:
    """What the one request in it says."""
    (request,) = read(text.encode() if isinstance(text, str) else text)
    return question(request)


def test_a_request() -> None:
    """As Postfix sends it."""
    assert ask(REQUEST) == JOHN


@pytest.mark.parametrize("request_", [REQUEST, REQUEST.replace(b"\n", b"\r\n")], ids=["LF", "CRLF"])
def test_cut_at_every_byte(request_: bytes) -> None:
    """In two pieces, wherever the cut is, also with others before and behind."""
    whole = read(request_)
    for cut in range(len(request_) + 1):
        assert read(request_[:cut], request_[cut:]) == whole
        assert read(request_ + request_[:cut], request_[cut:] + request_) == whole * 3


@pytest.mark.parametrize("request_", [REQUEST, REQUEST.replace(b"\n", b"\r\n")], ids=["LF", "CRLF"])
def test_byte_by_byte(request_: bytes) -> None:
    """Nothing comes out before the end."""
    reader = RequestReader()
    for byte in request_[:-1]:
        assert reader.feed(bytes((byte,))) == []
    assert [question(found) for found in reader.feed(request_[-1:])] == [JOHN]
    assert reader.pending() == b""


def test_glued() -> None:
    """Many in one write come out in order."""
    requests = [REQUEST.replace(b"john", b"u%d" % number) for number in range(200)]
    found = [question(request).recipient for request in read(b"".join(requests))]
    assert found == [b"u%d@example.org" % number for number in range(200)]


def test_empty_lines_are_requests() -> None:
    """A line with nothing before it ends a request without attributes: it gets an answer, as from Dovecot."""
    assert read(b"\n") == read(b"\r\n") == [b"\n"]
    assert read(b"\n\n\n") == [b"\n"] * 3
    assert read(b"\n" + REQUEST) == [b"\n", *read(REQUEST)]
    assert read(REQUEST + b"\n") == [*read(REQUEST), b"\n"]
    assert ask(b"\n") == Question(None, b"", 0)


@pytest.mark.parametrize("piece", [b"x", b"\r", b"recipient=a", b"a\n", b"\r\r", b""])
def test_no_end_no_request(piece: bytes) -> None:
    """Not even of a single byte."""
    reader = RequestReader()
    assert reader.feed(piece) == []
    assert reader.pending() == piece


def test_pending_can_be_continued_elsewhere() -> None:
    """What one reader has, with what comes then, is what another one would have had."""
    for cut in range(len(REQUEST)):
        first, second = RequestReader(), RequestReader()
        first.feed(REQUEST[:cut])
        assert second.feed(first.pending() + REQUEST[cut:]) == read(REQUEST)


LINES = st.lists(st.sampled_from([b"recipient=a@b", b"x", b"=", b"", b"size=5", b"\r", b"a\0\xff"]), max_size=12)
STREAMS = st.tuples(LINES, st.sampled_from([b"\n", b"\r\n"]), st.binary(max_size=3)).map(
    lambda parts: b"".join(line + parts[1] for line in parts[0]) + parts[2]
)


@given(st.one_of(STREAMS, st.text("a=\n\r", max_size=30).map(str.encode)), st.lists(st.integers(0, 80), max_size=6))
def test_chunks_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    """The same requests, and the same rest, whatever the pieces."""
    whole, pieces = RequestReader(), RequestReader()
    expected = whole.feed(stream)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found = [request for start, end in pairwise(edges) for request in pieces.feed(stream[start:end])]
    assert found == expected
    assert pieces.pending() == whole.pending()


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Every request can be read, and nothing is lost or made up."""
    reader = RequestReader()
    requests = reader.feed(data)
    for request in requests:
        assert request.startswith(b"\n")
        assert b"\n\n" not in request
        found = question(request)
        assert 0 <= found.size < 2**64
    assert b"".join(request[1:] + b"\n" for request in requests) + reader.pending() == data.replace(b"\r\n", b"\n")


# ---- sizes of requests


def test_a_turn_has_a_few_requests() -> None:
    """The others stay for the next ones, also where more arrives meanwhile; the last turn says that it is the last."""
    reader = RequestReader()
    assert (len(reader.feed(b"\n" * (TURN + 1))), reader.more, reader.held) == (TURN, True, 1)
    assert (len(reader.feed(REQUEST * 2 * TURN)), reader.more) == (TURN, True)
    assert (len(reader.take()), reader.more) == (TURN, True)
    assert (len(reader.take()), reader.more, reader.held) == (1, False, 0)
    assert reader.feed(REQUEST[:-1]) == []
    assert (reader.held, reader.more) == (len(REQUEST) - 1, False)


def test_a_thousand_attributes() -> None:
    """What decides may stand anywhere."""
    many = b"".join(b"attribute_%d=value\n" % number for number in range(1000))
    assert ask(many + REQUEST) == ask(REQUEST[:-1] + many + b"\n") == JOHN


def test_a_long_line() -> None:
    """In pieces as a socket gives them."""
    long = b"x=" + b"y" * 60_000 + b"\n" + REQUEST
    pieces = [long[start : start + 4096] for start in range(0, len(long), 4096)]
    assert [question(request) for request in read(*pieces)] == [JOHN]


@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST[:-5]], ids=["alone", "behind one", "behind a part"])
def test_a_long_request_is_refused_also_where_it_is_complete(before: bytes) -> None:
    """As it is in one piece of 256 KiB, which a loop may read at once."""
    long = b"x=" + b"y" * MAX_REQUEST + b"\n\n"
    with pytest.raises(ProtocolError):
        read(before + long)


def test_without_end() -> None:
    """Beyond the limit it is no request any more; up to it, it is."""
    reader = RequestReader()
    piece = b"x" * 65536
    for _ in range(MAX_REQUEST // len(piece)):
        assert reader.feed(piece) == []
    with pytest.raises(ProtocolError, match=f"no end of a request within {MAX_REQUEST} bytes"):
        reader.feed(b"x")


def test_lines_without_an_empty_one() -> None:
    """The same for endless attributes."""
    with pytest.raises(ProtocolError):
        read(*[b"a=b\n" * 250] * (MAX_REQUEST // 1000 + 2))


def test_long_requests_one_after_the_other() -> None:
    """The limit is for one request, not for a connection."""
    request = b"x=" + b"y" * (MAX_REQUEST - 100) + b"\n\n"
    assert len(read(request, request, request)) == 3


# ---- what is read

QUESTIONS: dict[str, tuple[str | bytes, Question]] = {
    "no state": ("recipient=a@b\n\n", Question(None, b"a@b", 0)),
    "lower case state": ("protocol_state=rcpt\nrecipient=a@b\n\n", Question(b"RCPT", b"a@b", 0)),
    "empty state": ("protocol_state=\nrecipient=a@b\n\n", Question(b"", b"a@b", 0)),
    "two states": ("protocol_state=DATA\nprotocol_state=RCPT\n\n", Question(b"DATA", b"", 0)),
    "an empty state first": ("protocol_state=\nprotocol_state=RCPT\n\n", Question(b"", b"", 0)),
    "any order": ("size=5\nrecipient=a@b\nprotocol_state=RCPT\n\n", Question(b"RCPT", b"a@b", 5)),
    "two recipients": ("recipient=a@b\nrecipient=c@d\n\n", Question(None, b"a@b", 0)),
    "an empty recipient first": ("recipient=\nrecipient=\nrecipient=c@d\n\n", Question(None, b"", 0)),
    "an empty recipient": ("recipient=\n\n", Question(None, b"", 0)),
    "an equals sign in it": ("recipient=a=b@c\n\n", Question(None, b"a=b@c", 0)),
    "a trailing blank": ("recipient=a@b \n\n", Question(None, b"a@b ", 0)),
    "8 bits": (b"recipient=k\xe4se@b\n\n", Question(None, b"k\xe4se@b", 0)),
    "NUL": (b"recipient=a\0@b\n\n", Question(None, b"a\0@b", 0)),
    "a longer name": ("recipient_count=5\noriginal_recipient=x\nmy_size=7\nsizes=8\n\n", Question(None, b"", 0)),
    "another case": ("Recipient=a@b\nSIZE=5\n\n", Question(None, b"", 0)),
    "a blank before": (" recipient=a@b\n\n", Question(None, b"", 0)),
    "no value": ("recipient\nsize\n\n", Question(None, b"", 0)),
    "no name": ("=a@b\n\n", Question(None, b"", 0)),
    "HTTP": ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Question(None, b"", 0)),
    "a long recipient": (f"recipient={'a' * 2000}@b\n\n", Question(None, b"a" * 2000 + b"@b", 0)),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_question(case: str) -> None:
    """The first recipient that is not empty, the first state; names in full and in their case."""
    text, expected = QUESTIONS[case]
    assert ask(text) == expected


SIZES = [
    ("0", 0), ("1", 1), ("00012", 12), ("3999", 3999), ("", 0), ("abc", 0), ("-1", 0), ("+1", 0), ("1e3", 0), (" 1", 0),
    ("1 ", 0), ("0x10", 0), ("1.5", 0), ("9223372036854775807", 2**63 - 1), ("18446744073709551615", 2**64 - 1),
    ("18446744073709551616", 0), ("9" * 5000, 0), ("٣", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_size(text: str, size: int) -> None:
    """What is no number of 64 bits counts as not announced."""
    assert ask(f"recipient=a@b\nsize={text}\n\n").size == size


def test_the_last_size_counts() -> None:
    """Also where it is none."""
    assert ask("size=5\nsize=7\n\n").size == 7
    assert ask("size=5\nsize=x\n\n").size == 0


def test_no_size_is_kept() -> None:
    """A request without a size has none, whatever the one before it said."""
    assert [question(request).size for request in read(b"size=5\n\nrecipient=a@b\n\n")] == [5, 0]


def test_attributes() -> None:
    """To be shown: the first of a name, at most 1,000 bytes, whatever the bytes are."""
    (request,) = read(b"sender=a\nsender=b\nclient_name=k\xe4se\nhelo=" + b"x" * 5000 + b"\n\n")
    assert attribute(request, b"\nsender=") == b"a"
    assert attribute(request, b"\nqueue_id=") is None
    assert text_attribute(request, "client_name") == "k\ufffdse"
    assert text_attribute(request, "queue_id") == ""
    assert text_attribute(request, "helo") == "x" * 1000


def test_answer() -> None:
    """One attribute and an empty line."""
    assert answer("DUNNO") == b"action=DUNNO\n\n"
    assert answer("452 4.2.2 Postfach voll für alle") == "action=452 4.2.2 Postfach voll für alle\n\n".encode()
