"""A million broken inputs to everything that reads bytes from outside: only the named errors, and bounded results.

Good inputs are mutated: bits, bytes, numbers at their limits, pieces cut, doubled, and put in from another one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from mailquota.core.base.errors import ProtocolError
from mailquota.core.control.framing import EventReader, OrderReader, encode
from mailquota.core.control.messages import (
    VERSION,
    EmptyTrash,
    Explain,
    GetAccounts,
    Goodbye,
    Hello,
    Progress,
    Recalc,
    SetLimit,
    Subscribe,
    Watch,
)
from mailquota.core.mailboxes.maildirsize import parse
from mailquota.core.policy.protocol import RequestReader, answer, attribute, question, text_attribute
from mailquota.core.policy.recipient import user_name
from mailquota.core.servers.dovecot.mutf7 import decode, is_canonical
from tests.truth.scale import SEED, count

REQUESTS = [
    b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=john@example.org\nsize=12345\n\n",
    b"request=smtpd_access_policy\r\nprotocol_state=END-OF-MESSAGE\r\nrecipient=<j+x@example.org>\r\nsize=0\r\n\r\n",
    b'recipient="a\\b"@example.org\nsize=18446744073709551616\nsender=\nhelo_name=\x1b[31m\n\n\n\nsize=1\n\n',
]
ORDERS = [
    encode(Hello(VERSION, "test", "sudo:mary", read_only=True)), encode(Subscribe()), encode(Watch(["a@b"] * 50)),
    encode(SetLimit(1, ["a@b", "c@d"], "+20%", "why", dry_run=True)), encode(Recalc(2, ["a@b"])),
    encode(EmptyTrash(3, ["a@b"], 86400.0)), encode(Explain(4, "a@b", 2**40)), encode(GetAccounts(5, 0.5)),
]  # fmt: skip
EVENTS = [encode(Goodbye("why")), encode(Progress(1, 2, 3, "note"))]
FILES = [b"5000S\n100 1\n-50 -1\n", b"5000S,10C\n  12 +1 x\n", b"0S\n9223372036854775807 2147483647\n"]
NAMES = [b"Trash.Old", b"&ZeVnLIqe-.R&-D", b"INBOX.Entw&APw-rfe", b"&2D3cAA-"]
PIECES = [b"", b"\0", b"\n", b"\r\n", b"\n\n", b"=", b"\xff" * 9, b"\xc1\xc1", b"\x80\x90\xa0", b"99999999999999999999"]


def mutated(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus with a few things wrong."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randint(0, len(data)), rng.randint(0, 8)
        match rng.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.randrange(256)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * rng.randint(1, 20)
            case 4:
                data[at:at] = rng.choice(PIECES)
            case _:
                other = rng.choice(corpus)
                start = rng.randint(0, len(other))
                data[at:at] = other[start : start + length]
    return bytes(data)


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut at any places, as a network does."""
    places = sorted(rng.choices(range(len(data) + 1), k=rng.randint(0, 3)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def _fed(reader: RequestReader, data: bytes) -> list[bytes]:
    """All requests, as the turns of a connection take them."""
    found = reader.feed(data)
    while reader.more:
        found += reader.take()
    return found


def fuzz_requests(rng: random.Random) -> None:
    """However they are cut, the same requests come out, and each has an answer."""
    data = b"".join(mutated(rng, REQUESTS) for _ in range(rng.randint(1, 2)))
    whole, parted = RequestReader(), RequestReader()
    requests = _fed(whole, data)
    assert [request for piece in pieces(rng, data) for request in _fed(parted, piece)] == requests
    assert whole.pending() == parted.pending()
    for request in requests:
        asked = question(request)
        assert 0 <= asked.size < 2**64
        assert asked.state is None or asked.state == asked.state.upper()
        assert b"\n" not in asked.recipient
        name = user_name(asked.recipient, "+-")
        assert name is None or (name.isprintable() and len(name) <= len(asked.recipient))
        text_attribute(request, "helo_name").encode()
        assert (attribute(request, b"\nsender=") or b"").count(b"\n") == 0


def fuzz_orders(rng: random.Random) -> None:
    _fuzz_frames(rng, OrderReader, ORDERS)


def fuzz_events(rng: random.Random) -> None:
    _fuzz_frames(rng, EventReader, EVENTS)


def _fuzz_frames(rng: random.Random, reader: Callable[[], OrderReader | EventReader], corpus: list[bytes]) -> None:
    """What was read before the first broken frame does not depend on the cuts either."""
    data = b"".join(mutated(rng, corpus) for _ in range(rng.randint(1, 3)))
    assert _read(reader(), [data]) == _read(reader(), pieces(rng, data))


def _read(reader: OrderReader | EventReader, parts: list[bytes]) -> tuple[list[str], bool]:
    found: list[str] = []
    try:
        for part in parts:
            found += map(repr, reader.feed(part))
    except ProtocolError:
        return found, True
    return found, False


def fuzz_files(rng: random.Random) -> None:
    """Sums that fit the kinds of numbers that Dovecot has, or none."""
    size = parse(mutated(rng, FILES))
    assert size is None or (0 <= size.used < 2**63 and 0 <= size.messages < 2**31 and size.limit != 0)


def fuzz_names(rng: random.Random) -> None:
    name = mutated(rng, NAMES).decode("utf-8", "surrogateescape")
    decode(name)
    is_canonical(name)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("fuzz", "full"),
    [
        (fuzz_requests, 600_000),
        (fuzz_orders, 400_000),
        (fuzz_events, 50_000),
        (fuzz_files, 100_000),
        (fuzz_names, 50_000),
    ],
)
def test_broken_inputs(fuzz: Callable[[random.Random], None], full: int) -> None:
    number = count(1500, full)
    for case in range(number):
        text = f"{SEED}/{fuzz.__name__}/{case}"
        try:
            fuzz(random.Random(text))
        except BaseException as error:
            error.add_note(f"MAILQUOTA_SEED={SEED}, case {case}: random.Random({text!r})")
            raise
    print(f"{fuzz.__name__}: {number} inputs")


def test_an_answer_is_one_line() -> None:
    """Whatever text stands in it, as the settings check it."""
    assert answer("452 4.2.2 Mailbox is full").count(b"\n") == 2
