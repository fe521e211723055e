"""What the engine makes of answers of a helper that is none: a program of the mail user that took its place."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.helper_calls import LONGEST_ORDER, Helper, HelperAwayError, HelperSaidError, receive, send
from mailquota.core.mailboxes.helper_driver import outcome
from mailquota.core.mailboxes.measure import Unmeasurable

DEEP = b"\x91" * 1800 + b"\xc0"
ODD_TEXT = b"\xa3\xff\xff\xff"
PROBE = ("maildir", "john@example.org", None, None, None)
Answering = Callable[[socket.socket, str], None]


def encoded(kind: str, content: Any) -> bytes:
    return msgspec.msgpack.encode((kind, content))


class FalseHelper:
    """Greets, and has ``answering`` answer each order."""

    def __init__(self, path: Path, answering: Answering) -> None:
        self._answering = answering
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            while True:
                verb, _ = msgspec.msgpack.decode(receive(sock, LONGEST_ORDER))
                if verb == "hello":
                    send(sock, encoded("", "hello"))
                else:
                    self._answering(sock, verb)
        except (OSError, EOFError):
            sock.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def against(tmp_path: Path) -> Iterator[Callable[[Answering], Helper]]:
    """The engine's side, against a false helper that answers so."""
    made: list[FalseHelper] = []
    helpers: list[Helper] = []

    def make(answering: Answering) -> Helper:
        made.append(FalseHelper(tmp_path / "helper", answering))
        helpers.append(Helper(str(tmp_path / "helper")))
        return helpers[-1]

    yield make
    for helper in helpers:
        if (channel := getattr(helper._local, "channel", None)) is not None:
            channel.sock.close()
    for each in made:
        each.close()


@pytest.mark.parametrize("content", [DEEP, ODD_TEXT, b"\xc1", b"", b"\xdd\xff\xff\xff\xff"])
def test_answers_that_can_not_be_read(against: Callable[[Answering], Helper], content: bytes) -> None:
    helper = against(lambda sock, _: send(sock, b"\x92\xa0" + content))
    with pytest.raises(HelperSaidError, match="can't be read"):
        helper.call("stray", gives=str)
    assert "can't be read" in helper.ask("maildir")
    with pytest.raises(HelperAwayError):
        helper.probe(PROBE)


@pytest.mark.parametrize(
    "results", [b"\x91\x97\x00\x03\x00\x00\x00\xc0" + DEEP, b"\x91\x97\x00\x03\x00\x00\x00\xc0" + ODD_TEXT, b"\x90"]
)
def test_results_of_probes_that_can_not_be_read(against: Callable[[Answering], Helper], results: bytes) -> None:
    """The last one is a list without a result, which could come without end."""
    helper = against(lambda sock, _: send(sock, results))
    with pytest.raises(HelperAwayError):
        helper.probe(PROBE)


def test_more_results_than_were_asked_for(against: Callable[[Answering], Helper]) -> None:
    """Of three bytes each, and some hundred in memory."""
    data = b"\xdd" + (8_000_000).to_bytes(4, "big") + b"\x92\x00\x02" * 8_000_000
    frame = len(data).to_bytes(4, "big") + data
    helper = against(lambda sock, _: sock.sendall(frame))
    tracemalloc.start()
    try:
        with pytest.raises(HelperAwayError):
            helper.probe(PROBE)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_small_parts_take_no_more_memory_than_they_have() -> None:
    """Parts of two bytes would each take the fiftyfold as an object."""
    size, (ours, theirs) = 200_000, socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found: list[int] = []

    def take() -> None:
        tracemalloc.start()
        found.append(len(receive(theirs, size)))
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    with ours, theirs:
        taking = threading.Thread(target=take)
        taking.start()
        ours.send(size.to_bytes(4, "big"))
        for _ in range(size // 2):
            ours.send(b"xx")
        taking.join(120)
    assert found[0] == size
    assert found[1] < 4_000_000


def test_a_slow_answer_to_the_ping(against: Callable[[Answering], Helper]) -> None:
    """A byte now and then does not put off the end of the wait."""
    ended = threading.Event()

    def drip(sock: socket.socket, _: str) -> None:
        sock.sendall((1000).to_bytes(4, "big"))
        while not ended.wait(0.2):
            sock.sendall(b"x")

    helper, told = against(drip), []
    asking = threading.Thread(target=lambda: told.append(helper.ask("maildir")), daemon=True)
    asking.start()
    asking.join(60)
    ended.set()
    assert told == ["the helper of the engine is away (it does not answer)"]


def test_long_texts_are_cut(against: Callable[[Answering], Helper]) -> None:
    helper = against(lambda sock, verb: send(sock, encoded("" if verb == "ping" else "error", "x" * 50_000)))
    with pytest.raises(MailquotaError) as caught:
        helper.call("stray", gives=str)
    assert len(str(caught.value)) == 1000
    assert len(helper.ask("maildir")) < 1100


def test_an_answer_to_the_greeting_that_is_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "helper"))
        listener.listen()

        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                send(sock, b"\x92\xa0" + ODD_TEXT)
                receive(sock, 100)

        threading.Thread(target=answer, daemon=True).start()
        assert "can't be read" in Helper(str(tmp_path / "helper")).ask("maildir")


@pytest.mark.parametrize(
    "result",
    [(-1, 0, 2**64 - 1), (-1, 0, 1, 2**63), (-1, 0, 1, 1, 1, float("nan")), (-1, 0, 1, 1, 1, float("inf")),
     (-1, 0, 1, 1, 1, 1e300)],
)  # fmt: skip
def test_figures_that_no_mailbox_has(against: Callable[[Answering], Helper], result: tuple[Any, ...]) -> None:
    found = against(lambda sock, _: send(sock, msgspec.msgpack.encode([result]))).probe(PROBE)
    with pytest.raises(Unmeasurable, match="out of range"):
        outcome(found, None)


def test_a_reason_is_cut(against: Callable[[Answering], Helper]) -> None:
    found = against(lambda sock, _: send(sock, msgspec.msgpack.encode([(-1, 3, 0, 0, 0, None, "x" * 1500)]))).probe(
        PROBE
    )
    with pytest.raises(Unmeasurable) as caught:
        outcome(found, None)
    assert len(str(caught.value)) == 300
