"""Postfix's policy delegation protocol, without input or output: cuts bytes into requests, and reads attributes.

A request is lines ``name=value`` and an empty line (SMTPD_POLICY_README). Attributes come in any order, unknown ones
are ignored, lines may end in CRLF. Only three attributes decide, so only those are searched for; a request stays raw
bytes until it is shown. Where an attribute comes twice, the same one counts as in Dovecot 2.3: the first recipient, the
first state, the last size.
"""

from __future__ import annotations

from typing import NamedTuple

from ..base.errors import ProtocolError

MAX_REQUEST = 64 * 1024  # bytes; Postfix sends some 600
TURN = 16  # requests of one connection that are taken at a time; Postfix sends one and waits for the answer
_MAX_SIZE = 2**64  # a size from here on is no number to Dovecot


class RequestReader:
    """Cuts the bytes of one connection into requests, TURN at most at a time.

    Each request is returned with an LF before its first line, so that any attribute is found by searching LF name =.
    ``more`` says that ``take`` may find further ones in the bytes at hand.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._cr = False
        self.more = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes; the first requests that are complete now. Raises ProtocolError as ``take``."""
        if self._cr or b"\r" in data:
            data = self._strip_cr(data)
        # Nearly always data is exactly one request: then nothing is copied into the buffer.
        if not self._buffer and 0 < data.find(b"\n\n") == len(data) - 2 < MAX_REQUEST and data[:1] != b"\n":
            return [b"\n" + data[:-1]]
        self._buffer += data
        return self.take()

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    def pending(self) -> bytes:
        """The bytes of a request that is not complete, for the process that takes over this connection."""
        return bytes(self._buffer) + (b"\r" if self._cr else b"")

    def _strip_cr(self, data: bytes) -> bytes:
        """Replace CRLF by LF; a CR at the end waits for the bytes that follow it."""
        if self._cr:
            data = b"\r" + data
        self._cr = data.endswith(b"\r")
        return (data[:-1] if self._cr else data).replace(b"\r\n", b"\n")

    def take(self) -> list[bytes]:
        """The next requests that are complete. Raises ProtocolError where one has more than MAX_REQUEST bytes."""
        buffer = self._buffer
        requests: list[bytes] = []
        start, searched, end = 0, self._searched, 0
        while start < len(buffer) and len(requests) < TURN:
            if buffer[start] == 10:  # a line without anything before it: a request without attributes
                requests.append(b"\n")
                start += 1
                continue
            end = buffer.find(b"\n\n", max(start, searched - 1))
            if end < 0 or end - start > MAX_REQUEST:
                break
            requests.append(b"\n" + bytes(buffer[start : end + 1]))
            start = end + 2
        del buffer[:start]
        self.more = len(requests) == TURN and bool(buffer)
        self._searched = 0 if self.more else len(buffer)
        if not self.more and len(buffer) > MAX_REQUEST:
            raise ProtocolError(f"no end of a request within {MAX_REQUEST} bytes")
        return requests


class Question(NamedTuple):
    """The attributes of a request that decide.

    ``state`` is in upper case, None where it was not sent; ``size`` is in bytes, 0 where it was not announced.
    """

    state: bytes | None
    recipient: bytes
    size: int


def attribute(request: bytes, name: bytes) -> bytes | None:
    """The first value of an attribute, None without one; ``name`` has to be given as LF name =."""
    start = request.find(name)
    if start < 0:
        return None
    start += len(name)
    return request[start : request.find(b"\n", start)]


def question(request: bytes) -> Question:
    """Read the attributes that decide from a request of RequestReader."""
    state = attribute(request, b"\nprotocol_state=")
    recipient = attribute(request, b"\nrecipient=")
    if state is not None:
        state = state.upper()
        if state == b"END-OF-MESSAGE" and _several(request):
            recipient = None  # a verdict on one of them would refuse the mail to all
    start = request.rfind(b"\nsize=")
    size = 0
    if start >= 0:
        text = request[start + 6 : request.find(b"\n", start + 6)]
        size = int(text) if text.isdigit() and len(text) <= 20 else 0
    return Question(state, recipient or b"", size if size < _MAX_SIZE else 0)


def _several(request: bytes) -> bool:
    count = attribute(request, b"\nrecipient_count=") or b""
    return count.isdigit() and count.lstrip(b"0") not in {b"", b"1"}


def mail_key(request: bytes, recipient: bytes) -> bytes | None:
    """A key for this recipient of this mail; None where Postfix sends no ``instance``, which names the mail."""
    instance = attribute(request, b"\ninstance=")
    return instance + b"\0" + recipient if instance else None


def is_request(request: bytes) -> bool:
    """Whether it has an attribute, or is empty. What an HTTP or SMTP client sends here by mistake is neither."""
    return b"=" in request or request == b"\n"


def text_attribute(request: bytes, name: str) -> str:
    """An attribute as text, to be shown or written down; "" where it is absent.

    At most 1000 bytes of it; bytes that are no UTF-8 become replacement characters.
    """
    value = attribute(request, b"\n" + name.encode() + b"=")
    return (value or b"")[:1000].decode("utf-8", "replace")


def answer(action: str) -> bytes:
    """The bytes of a reply with this action."""
    return f"action={action}\n\n".encode()
