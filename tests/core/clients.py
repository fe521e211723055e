"""Clients of an engine as tests want them: blocking, and with a deadline on everything."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.framing import EventReader, encode
from mailquota.core.control.messages import (
    VERSION,
    Event,
    Failed,
    Goodbye,
    Hello,
    Order,
    Reply,
    Request,
    Subscribe,
    Welcome,
)
from tests.mailserver.process import wait_until

SECONDS = 45.0

E = TypeVar("E")


def until(condition: Callable[[], object], what: str = "", seconds: float = SECONDS) -> None:
    """Wait for something that must happen."""
    assert wait_until(lambda: bool(condition()), seconds), f"did not happen within {seconds:g} s: {what or condition}"


def connected(place: Path | tuple[str, int]) -> socket.socket:
    """A socket to a server. OSError where there is none."""
    sock = socket.socket(socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET)
    try:
        sock.settimeout(SECONDS)
        sock.connect(str(place) if isinstance(place, Path) else place)
    except OSError:
        sock.close()
        raise
    return sock


class Closing:
    """Closed at the end of a ``with`` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""


class PolicyClient(Closing):
    """One connection, as one of Postfix's smtpd processes holds it."""

    def __init__(self, place: Path | tuple[str, int] | socket.socket) -> None:
        self.socket = place if isinstance(place, socket.socket) else connected(place)
        self.socket.settimeout(SECONDS)
        self._received = b""

    def close(self) -> None:
        self.socket.close()

    def ask(self, recipient: str, size: int = 0) -> str:
        """The action for a recipient."""
        self.socket.sendall(request(recipient, size))
        return self.read()

    def read(self) -> str:
        """The next action. EOFError where the connection was closed instead."""
        while b"\n\n" not in self._received:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            self._received += part
        answer, _, self._received = self._received.partition(b"\n\n")
        return answer.decode().removeprefix("action=")


def request(recipient: str, size: int = 0) -> bytes:
    """A policy request on the wire."""
    lines = ["request=smtpd_access_policy", "protocol_state=RCPT", f"recipient={recipient}", f"size={size}"]
    return "".join(f"{line}\n" for line in lines).encode() + b"\n"


def ask(place: Path | tuple[str, int], recipient: str, size: int = 0) -> str:
    """The action for one recipient, over a connection of its own."""
    with PolicyClient(place) as client:
        return client.ask(recipient, size)


class Console(Closing):
    """A client of the control protocol; ``events`` are those that came and that no call has taken."""

    def __init__(self, sock: socket.socket | Path, *, read_only: bool = False, hello: Order | None = None) -> None:
        self.socket = connected(sock) if isinstance(sock, Path) else sock
        self.socket.settimeout(SECONDS)
        self.events: list[Event] = []
        self._reader = EventReader()
        self._last_id = 0
        self.send(hello or Hello(VERSION, "test", "sudo:mary", read_only))

    def close(self) -> None:
        self.socket.close()

    def send(self, order: Order) -> None:
        """Send an order without waiting for an answer."""
        self.socket.sendall(encode(order))

    def welcome(self) -> Welcome:
        """What the engine says first."""
        return self.wait_for(Welcome)

    def goodbye(self) -> str:
        """Why the engine ended the connection."""
        return self.wait_for(Goodbye).reason

    def subscribe(self) -> Self:
        """Send Subscribe."""
        self.send(Subscribe())
        return self

    def read(self) -> None:
        """Take what comes next into ``events``. EOFError where the connection was closed instead."""
        data = self.socket.recv(256 * 1024)
        if not data:
            raise EOFError
        self.events += self._reader.feed(data)

    def wait_for(self, kind: type[E], true: Callable[[E], object] = lambda _: True) -> E:
        """The first event of a kind for which something holds; it and all before it are forgotten."""
        deadline = time.monotonic() + SECONDS
        while True:
            for number, event in enumerate(self.events):
                if isinstance(event, kind) and true(event):
                    del self.events[: number + 1]
                    return event
            assert time.monotonic() < deadline, f"no such {kind.__name__} within {SECONDS:g} s"
            self.read()

    def next_id(self) -> int:
        """An id for a request."""
        self._last_id += 1
        return self._last_id

    def ask(self, make: Callable[[int], Request], answer: Any = None) -> Any:
        """The answer to the request that ``make`` builds around its id. RequestFailedError where it is refused."""
        number = self.next_id()
        self.send(make(number))
        return self.answer(number, answer)

    def answer(self, number: int, answer: Any = None) -> Any:
        """The answer to a request that was sent before; other events stay."""
        while True:
            for event in self.events:
                if isinstance(event, Reply | Failed) and event.id == number:
                    self.events.remove(event)
                    return _result(event, answer)
            self.read()


def _result(event: Reply | Failed, answer: Any) -> Any:
    if isinstance(event, Failed):
        raise RequestFailedError(event.message, event.exit_code)
    return msgspec.msgpack.decode(event.result, type=answer)
