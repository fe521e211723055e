"""The bytes on the control socket."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.errors import ProtocolError
from mailquota.core.base.model import AccountRow
from mailquota.core.control.framing import (
    MAX_EVENT,
    MAX_ORDER,
    EventReader,
    OrderReader,
    Refused,
    encode,
    encode_result,
)
from mailquota.core.control.messages import (
    Delta,
    EmptyTrash,
    Event,
    GetStatus,
    Hello,
    Order,
    Progress,
    Reply,
    SetLimit,
    Snapshot,
    Subscribe,
    Watch,
)

ORDERS: list[Order] = [
    Hello(1, "console", "ssh:10.0.0.1"),
    Subscribe(),
    Watch(["john@example.org", "ünï@example.org"]),
    SetLimit(7, ["john@example.org"], "+1G", "she asked", dry_run=True),
    EmptyTrash(8, [], 86400.0),
    GetStatus(9),
]
ROW = AccountRow("john@example.org", 10_000, 4_000, 4, 0, 0, "maildirsize", 1.7e9)
EVENTS: list[Event] = [
    Snapshot([ROW, AccountRow("free@example.org", None)], 2, True, True),
    Delta([ROW], ["gone@example.org"]),
    Progress(3, 1, 2, "john@example.org"),
    Reply(3, encode_result({"limit": 2**63 - 1})),
]


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_an_order_may_arrive_in_two_parts_cut_anywhere(order: Order) -> None:
    """Nothing comes out before the last byte, and then exactly what was sent."""
    data = encode(order)
    for cut in range(len(data)):
        reader = OrderReader()
        assert list(reader.feed(data[:cut])) == []
        assert list(reader.feed(data[cut:])) == [order]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_may_arrive_byte_by_byte(event: Event) -> None:
    reader = EventReader()
    data = encode(event)
    assert [found for byte in data for found in reader.feed(bytes([byte]))] == [event]


def test_glued_frames_come_out_in_order() -> None:
    """Also where the read ends in the middle of the last one."""
    data = b"".join(map(encode, ORDERS))
    reader = OrderReader()
    assert list(reader.feed(data[:-1])) == ORDERS[:-1]
    assert list(reader.feed(data[-1:])) == ORDERS[-1:]


@pytest.mark.parametrize(("reader", "most"), [(OrderReader(), MAX_ORDER), (EventReader(), MAX_EVENT)])
def test_a_frame_that_is_too_long_ends_it_at_its_length(reader: OrderReader | EventReader, most: int) -> None:
    """Not a byte of its body is waited for."""
    with pytest.raises(ProtocolError, match=f"{most + 1} bytes, at most {most}"):
        list(reader.feed(struct.pack(">I", most + 1)))


def test_a_frame_of_the_longest_length_is_taken() -> None:
    room = MAX_ORDER - len(encode(Watch([""]))) - 32
    order = Watch(["x" * room])
    assert list(OrderReader().feed(encode(order))) == [order]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(msgspec.msgpack.encode(17), id="a number"),
        pytest.param(msgspec.msgpack.encode({"type": "format_disk"}), id="unknown tag"),
        pytest.param(msgspec.msgpack.encode({"x": 1}), id="no tag"),
        pytest.param(msgspec.msgpack.encode({"type": "status", "id": "one"}), id="wrong type"),
        pytest.param(msgspec.msgpack.encode({"type": "welcome", "version": 1}), id="an event"),
        pytest.param(b"\x82\xa4type\xa7details\xa7address\xa2\xff\xfe", id="no UTF-8"),
        pytest.param(msgspec.msgpack.encode(GetStatus(1)) + b"\xc0", id="something behind it"),
        pytest.param(b"\x91" * 100_000, id="endless nesting"),
        pytest.param(b"\x83\xa4type\xa6status\xa2id\x01\xa1x" + b"\x91" * 100_000, id="nesting in what is skipped"),
    ],
)
def test_what_is_no_order_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="not an order"):
        list(OrderReader().feed(frame(body)))


@pytest.mark.parametrize(
    "document",
    [{"id": 1}, {"type": "new", "id": 1}, {"type": "details", "id": 1}, {"type": "undo", "id": 1, "entry": 2**63}],
)
def test_an_order_that_is_not_valid_is_refused_by_its_number(document: dict[str, object]) -> None:
    (found,) = OrderReader().feed(frame(msgspec.msgpack.encode(document)))
    assert isinstance(found, Refused)
    assert (found.id, found.reason[:14]) == (1, "not an order: ")


def test_unknown_fields_are_ignored() -> None:
    """So that a newer client can say more."""
    body = msgspec.msgpack.encode({"type": "status", "id": 4, "colour": "green"})
    assert list(OrderReader().feed(frame(body))) == [GetStatus(4)]


def taken(reader: OrderReader | EventReader, parts: list[bytes]) -> Iterator[object]:
    for part in parts:
        yield from reader.feed(part)


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_junk_raises_nothing_but_protocol_errors(parts: list[bytes], framed: bool) -> None:
    """Whatever a peer sends, bare or dressed up as frames."""
    for reader in (OrderReader(), EventReader()):
        try:
            list(taken(reader, [frame(part) if framed else part for part in parts]))
        except ProtocolError:
            continue


@given(st.sampled_from(ORDERS), st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_damaged_orders_raise_nothing_but_protocol_errors(order: Order, at: int, damage: bytes) -> None:
    """An order with a few bytes of its body overwritten is another order, or none."""
    body = bytearray(encode(order)[4:])
    place = at % len(body)
    body[place : place + len(damage)] = damage
    try:
        list(OrderReader().feed(frame(bytes(body))))
    except ProtocolError:
        return
