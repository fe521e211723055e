"""Changes of limits in a real MariaDB whose outcome is lost: the program is killed, or the network is cut."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from mailquota.core.accounts import mysql
from mailquota.core.base import mysql as hosts
from mailquota.core.base.errors import UnclearError
from mailquota.core.control.messages import SetLimit
from mailquota.core.engine.serve import Embedded
from tests.core.accounts.hosts import CHUNK, Address, FakeHost
from tests.core.accounts.worlds import MariaWorld
from tests.core.changes.edits import entries, set_limits
from tests.core.changes.test_limits_mariadb import engine_of, maria, url
from tests.core.changes.test_unclear_looked_up import later, values
from tests.core.clients import Console, until
from tests.core.engines import serving
from tests.core.worlds import FULL, JOHN, LIMIT, SmallWorld

__all__ = ["maria"]
pytestmark = pytest.mark.server

NEW = 1 << 30


class Network(FakeHost):
    """Between us and the server. It is cut at the COMMIT of a change of John's limit.

    Nothing passes any more then, and neither side is told.

    ``arrives``: that COMMIT still reaches the server, and its answer does not come back.
    """

    def __init__(self, server: Address, *, arrives: bool) -> None:
        super().__init__()
        self.cut = threading.Event()
        self._server = server
        self._arrives = arrives
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def serve(self, client: socket.socket) -> None:
        server = socket.create_connection(self._server)
        self._ends += [client, server]
        for work in (partial(self._forth, client, server), partial(self._back, server, client)):
            self._threads.append(threading.Thread(target=work))
            self._threads[-1].start()

    def _forth(self, client: socket.socket, server: socket.socket) -> None:
        changed = False
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK):
                changed |= JOHN.encode() in data
                if changed and b"COMMIT" in data:
                    passes = self._arrives and not self.cut.is_set()
                    self.cut.set()
                    if passes:
                        server.sendall(data)
                elif not self.cut.is_set():
                    server.sendall(data)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.sendall(_without_tls(server.recv(CHUNK)))
            while data := server.recv(CHUNK):
                if not self.cut.is_set():
                    client.sendall(data)

    def reset(self) -> None:
        """The server is told that its clients are gone."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self.reset()
        super().__exit__()
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


def _without_tls(greeting: bytes) -> bytes:
    """The greeting of a server that has no TLS (CLIENT_SSL), so that the statements can be read."""
    flags = greeting.index(b"\0", 5) + 1 + 4 + 8 + 1  # behind the version: the thread, a part of the salt, a zero
    (found,) = struct.unpack_from("<H", greeting, flags)
    return greeting[:flags] + struct.pack("<H", found & ~0x0800) + greeting[flags + 2 :]


@pytest.fixture(params=[True, False], ids=["the commit arrived", "it did not"])
def network(
    request: pytest.FixtureRequest, small_world: SmallWorld, maria: MariaWorld, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Network]:
    """Limits are written over it. A packet that does not come is waited for for a second."""
    monkeypatch.setattr(hosts, "READ_SECONDS", 1)
    monkeypatch.setattr(mysql, "IDLE_SECONDS", 2)
    with Network((maria.server.host, maria.server.port), arrives=request.param) as found:
        host, port = found.address
        through = url(maria.server, maria.server.writer, maria.database)
        small_world.settings["accounts"]["write_database"] = through.replace(
            f"@{maria.server.host}:{maria.server.port}/", f"@{host}:{port}/"
        )
        small_world.write_settings()
        yield found


@contextmanager
def reaching_it(small_world: SmallWorld, maria: MariaWorld) -> Iterator[Embedded]:
    """An engine that reaches the server again."""
    small_world.settings["accounts"]["write_database"] = url(maria.server, maria.server.writer, maria.database)
    small_world.write_settings()
    with engine_of(small_world) as engine:
        yield engine


def becomes_known(small_world: SmallWorld, maria: MariaWorld, *, made: bool) -> None:
    """An engine with a network finds out, as soon as the server has given the change up; others can be edited then."""
    with reaching_it(small_world, maria) as engine:
        assert [row.kind for row in entries(engine)] == ["unclear"]
        until(lambda: engine.call(later(engine).round()) == 1, "it was looked up", 60)
        (row,) = entries(engine)
        assert values(row) == ("limit" if made else "not-made", JOHN, str(LIMIT), str(NEW))
        assert maria.quotas() == {JOHN: NEW if made else LIMIT, FULL: LIMIT, "free@example.org": 0}
        (done,) = set_limits(engine, [JOHN], "20000")
        assert (done.error, done.old_bytes) == (None, NEW if made else LIMIT)


def test_a_cut_network(small_world: SmallWorld, maria: MariaWorld, network: Network) -> None:
    """The server knows nothing of it, and holds the row of a change that was not committed."""
    with engine_of(small_world) as engine, pytest.raises(UnclearError):
        set_limits(engine, [JOHN], str(NEW))
    becomes_known(small_world, maria, made=network._arrives)


@pytest.mark.parametrize("told", [True, False])
def test_killed_after_the_update(small_world: SmallWorld, maria: MariaWorld, network: Network, told: bool) -> None:
    """kill -9 between the UPDATE and the answer to its COMMIT; ``told``: the server sees the end of the connection."""
    with serving(small_world) as running, Console(small_world.control_socket) as client:
        client.welcome()

        def kill() -> None:
            assert network.cut.wait(60)
            running.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises((EOFError, OSError)):
            client.ask(partial(SetLimit, addresses=[JOHN], size=str(NEW)), Any)
        killer.join()
        running.wait(60)
    if told:
        network.reset()
    becomes_known(small_world, maria, made=network._arrives)
