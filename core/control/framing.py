"""Frames of the control protocol, sans-io: a four byte big-endian length and one msgpack message.

Sizes are bounded in both directions, before a byte of the body is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from mailquota.core.base.errors import ProtocolError
from mailquota.core.control.messages import Event, Order

MAX_ORDER = 4 * 1024 * 1024  # bytes a client may send in one frame: 100,000 addresses fit
MAX_EVENT = 64 * 1024 * 1024  # bytes an engine may send in one frame
_LENGTH = struct.Struct(">I")

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # the last: endless nesting in what is skipped

_encoder = msgspec.msgpack.Encoder()


def encode(message: Order | Event) -> bytes:
    """A whole frame."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def encode_result(result: object) -> msgspec.Raw:
    """The ``result`` of a Reply."""
    return msgspec.Raw(_encoder.encode(result))


class FrameReader:
    """Feed bytes, take complete bodies. A frame over ``limit`` bytes is a ProtocolError at its first four bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bodies that are complete now, in order."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if length > self._limit:
                raise ProtocolError(f"a frame of {length} bytes, at most {self._limit} are taken")
            end = _LENGTH.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            yield body


class OrderReader:
    """What an engine reads."""

    def __init__(self) -> None:
        self._frames = FrameReader(MAX_ORDER)
        self._decoder = msgspec.msgpack.Decoder(Order)

    def feed(self, data: bytes) -> Iterator[Order]:
        """Complete orders, in order; bytes that are none raise ProtocolError."""
        for body in self._frames.feed(data):
            try:
                yield self._decoder.decode(body)
            except _UNREADABLE as error:
                raise ProtocolError(f"not an order: {error}") from error


class EventReader:
    """What a client reads."""

    def __init__(self) -> None:
        self._frames = FrameReader(MAX_EVENT)
        self._decoder = msgspec.msgpack.Decoder(Event)

    def feed(self, data: bytes) -> Iterator[Event]:
        """Complete events, in order; bytes that are none raise ProtocolError."""
        for body in self._frames.feed(data):
            try:
                yield self._decoder.decode(body)
            except _UNREADABLE as error:
                raise ProtocolError(f"not an event: {error}") from error
