"""Frames of the control protocol: a length of four bytes, big-endian, and one msgpack message. Pure.

A frame that is too long is refused before a byte of its body is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from ..base.errors import ProtocolError
from .messages import Event, Number, Order

MAX_ORDER = 4 * 1024 * 1024  # bytes a client may send in one frame: 100,000 addresses fit
MAX_EVENT = 64 * 1024 * 1024  # bytes an engine may send in one frame
_LENGTH = struct.Struct(">I")

# The last is raised for deep nesting in a field that this version does not know.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder()


def encode(message: Order | Event) -> bytes:
    """A message as a whole frame."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def encode_result(result: object) -> msgspec.Raw:
    """A result as it goes into a Reply."""
    return msgspec.Raw(_encoder.encode(result))


class FrameReader:
    """Cuts a stream into the bodies of frames, each of ``limit`` bytes at most."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def more(self) -> bool:
        """Whether a further frame is complete, or too long, among the bytes at hand."""
        if len(self._buffer) < _LENGTH.size:
            return False
        length = int.from_bytes(self._buffer[: _LENGTH.size])
        return length > self.limit or len(self._buffer) >= _LENGTH.size + length

    def add(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add received bytes; the bodies that are complete by them. ProtocolError for a length over the limit."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer)
            if length > self.limit:
                raise ProtocolError(f"a frame of {length} bytes, at most {self.limit} are taken")
            end = _LENGTH.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[_LENGTH.size : end])
            del buffer[:end]
            yield body


class Refused(msgspec.Struct, frozen=True):
    """An order that can't be carried out, as its id could be read and the rest is not valid; and why."""

    id: Number
    reason: str = ""


_NUMBERED = msgspec.msgpack.Decoder(Refused)


class OrderReader:
    """Decodes what an engine receives."""

    def __init__(self) -> None:
        self.frames = FrameReader(MAX_ORDER)
        self._decoder = msgspec.msgpack.Decoder(Order)

    def feed(self, data: bytes) -> Iterator[Order | Refused]:
        """Add received bytes; the orders that are complete by them. Raises ProtocolError for anything else."""
        for body in self.frames.feed(data):
            try:
                yield self._decoder.decode(body)
            except _UNREADABLE as error:
                yield _refused(body, error)


def _refused(body: bytes, error: Exception) -> Refused:
    """The answer to an order with a value out of range. Raises ProtocolError where it has no id."""
    try:
        return Refused(_NUMBERED.decode(body).id, f"not an order: {error}")
    except _UNREADABLE:
        raise ProtocolError(f"not an order: {error}") from error


class EventReader:
    """Decodes what a client receives."""

    def __init__(self) -> None:
        self._frames = FrameReader(MAX_EVENT)
        self._decoder = msgspec.msgpack.Decoder(Event)

    def feed(self, data: bytes) -> Iterator[Event]:
        """Add received bytes; the events that are complete by them. Raises ProtocolError for anything else."""
        for body in self._frames.feed(data):
            try:
                yield self._decoder.decode(body)
            except _UNREADABLE as error:
                raise ProtocolError(f"not an event: {error}") from error
