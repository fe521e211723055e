"""A server on the database's port that answers what no MySQL server does: each is an error of the database, in time."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable

import pytest

from mailquota.core.accounts.from_settings import open_store
from mailquota.core.base import mysql_answers
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.mysql import Target
from tests.core.accounts.hosts import FakeHost

Answer = Callable[[], Iterable[bytes]]
PLUGIN = b"mysql_native_password\0"
OK = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"


def packets(*bodies: bytes, first: int = 1) -> bytes:
    """Bodies as packets, numbered from ``first`` on."""
    numbered = enumerate(bodies, first)
    return b"".join(struct.pack("<I", len(body))[:3] + bytes([number % 256]) + body for number, body in numbered)


def greeting() -> bytes:
    flags = 0xFFFFFFFF & ~0x820  # neither TLS nor compression
    low, high = struct.pack("<H", flags & 0xFFFF), struct.pack("<H", flags >> 16)
    middle = b"12345678\0" + low + b"\x21\2\0" + high + b"\x15" + bytes(10) + b"123456789012\0"
    return packets(b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 7) + middle + PLUGIN, first=0)


def column(kind: int = 253) -> bytes:
    names = b"".join(bytes([len(name)]) + name for name in (b"def", b"", b"", b"", b"c", b"c"))
    return names + b"\x0c" + struct.pack("<HIBHB", 33, 255, kind, 0, 0) + b"\0\0"


def rows(kind: int, *cells: bytes) -> bytes:
    """A table of one row."""
    row = b"".join(bytes([len(cell)]) + cell for cell in cells)
    return packets(bytes([len(cells)]), *[column(kind)] * len(cells), END, row, END)


class Liar(FakeHost):
    """Lets everybody in, and answers each SELECT in its own way. ``got`` is all that clients sent."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.got = b""
        self._answer = answer

    def serve(self, client: socket.socket) -> None:
        threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        try:
            client.sendall(greeting())
            self._read(client)
            client.sendall(packets(OK, first=2))
            while True:
                asked = self._read(client)
                for part in self._answer() if asked[4:12].upper().startswith(b"\3SELECT") else [packets(OK)]:
                    client.sendall(part)
        except OSError:
            return

    def _read(self, client: socket.socket) -> bytes:
        data = client.recv(1 << 20)
        if not data:
            raise ConnectionError
        self.got += data
        return data


HUGE = b"\xff\xff\xff"  # the length of a packet that goes on in the next one
ANSWERS: dict[str, Answer] = {
    "wants a file": lambda: [packets(b"\xfb/etc/passwd"), packets(OK, first=3)],
    "a word for a number": lambda: [rows(3, b"a@x", b"hello", b"1")],
    "a word for a decimal": lambda: [rows(246, b"a@x", b"hello", b"1")],
    "a packet without end": lambda: (HUGE + bytes([n % 256]) + bytes(0xFFFFFF) for n in itertools.count(1)),
    "more columns than there can be": lambda: [packets(b"\xfd\xff\xff\xff"), *[packets(column(), first=2)] * 9],
    "columns without end": lambda: itertools.chain(
        [packets(b"\xfd\xff\xff\xff")], (packets(column(), first=n) for n in itertools.count(2))
    ),
    "rows without end": lambda: itertools.chain(
        [packets(b"\3", *[column()] * 3, END)],
        (packets(b"\3a@x\x0510000\x011", first=n) for n in itertools.count(6)),
    ),
    "noise": lambda: [packets(b"\xfd" + os.urandom(200))],
    "an empty answer": lambda: [packets(b"")],
    "a byte now and then": lambda: itertools.chain([rows(253, b"a@x", b"1", b"1")[:30]], _waits()),
}


def _waits() -> Iterable[bytes]:
    stop = threading.Event()
    while not stop.wait(0.05):
        yield b"\1"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_no_server_gives_is_an_error_of_the_database(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read without end, and no file is sent."""
    monkeypatch.setattr(mysql_answers, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(mysql_answers, "MOST_BYTES", 4_000_000)
    monkeypatch.setattr("mailquota.core.base.mysql.READ_SECONDS", 2)
    with Liar(answer) as host:
        target = Target("mysql", (host.address,), "mailserver", "mailserver", "geheim")
        store = open_store(target)
        with pytest.raises(DatabaseError):
            store.read()
        store.close()
        assert b"root:" not in host.got


def test_a_login_that_takes_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that sends its greeting byte by byte is given up."""
    monkeypatch.setattr(mysql_answers, "LOGIN_SECONDS", 0.5)

    class Slow(FakeHost):
        def serve(self, client: socket.socket) -> None:
            threading.Thread(target=self._drip, args=(client,), daemon=True).start()

        def _drip(self, client: socket.socket) -> None:
            stop = threading.Event()
            for byte in greeting():
                if stop.wait(0.1):
                    return
                try:
                    client.sendall(bytes([byte]))
                except OSError:
                    return

    with Slow() as host:
        target = Target("mysql", (host.address,), "mailserver", "mailserver", "geheim")
        with pytest.raises(DatabaseError, match="takes too long"):
            open_store(target).read()
