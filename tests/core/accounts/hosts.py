"""Database hosts that misbehave, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tests.mailserver.ports import HOST, free_port

Address = tuple[str, int]
CHUNK = 4096
ENDLESS = 10**12


def dead_host() -> Address:
    """Nobody listens there."""
    return HOST, free_port()


class FakeHost:
    """Takes connections, counts them, and sends each the same bytes; without any it stays silent."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.connections = 0
        self._greeting = greeting
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((HOST, 0))
        self.address: Address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the end: the listener was shut down
            while True:
                client = self._listener.accept()[0]
                self.connections += 1
                self._open.append(client)
                self.serve(client)

    def serve(self, client: socket.socket) -> None:
        """Deal with one connection."""
        client.sendall(self._greeting)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for client in self._open:
            client.close()
        self._listener.close()


class CuttingHost(FakeHost):
    """Hands everything to a real server and its answers back, but only the first ``allowed`` bytes of them.

    ``passed`` is how many there were for the last connection, once that is closed.
    """

    def __init__(self, server: Address, allowed: int = ENDLESS) -> None:
        super().__init__()
        self.allowed = allowed
        self.passed = 0
        self._server = server

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            forth = threading.Thread(target=_copy, args=(client, server))
            forth.start()
            self.passed = _copy(server, client, self.allowed)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            forth.join()


def _copy(source: socket.socket, target: socket.socket, allowed: int = ENDLESS) -> int:
    """Copy until the end or ``allowed`` bytes; returns how many there were."""
    passed = 0
    with contextlib.suppress(OSError):
        while data := source.recv(min(CHUNK, allowed - passed)):
            target.sendall(data)
            passed += len(data)
    return passed


@contextmanager
def full_host() -> Iterator[Address]:
    """Listens, but its kernel lets nobody in any more."""
    with socket.create_server((HOST, 0), backlog=0) as listener, socket.create_connection(listener.getsockname()):
        yield listener.getsockname()
