"""Clients of the control socket that say nothing, too much, or come in too great a number."""

from __future__ import annotations

import contextlib

import pytest

from mailquota.core.control import server
from mailquota.core.control.messages import GetStatus, Goodbye
from mailquota.core.control.results import Status
from tests.core.clients import Console, connected, until
from tests.core.engines import embedded, inner
from tests.core.worlds import SmallWorld


class Mute(Console):
    """A client that says no Hello."""

    def send(self, order: object) -> None:
        """Nothing."""


def goodbye(client: Console) -> str:
    return client.wait_for(Goodbye).reason


def test_a_client_without_a_hello_is_disconnected(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds; one that said it stays."""
    monkeypatch.setattr(server, "HELLO_SECONDS", 0.2)
    with embedded(small_world) as engine, Console(engine.connect()) as other:
        other.welcome()
        with Mute(engine.connect()) as client:
            assert goodbye(client) == "no Hello within 0.2 s"
        with Mute(engine.connect()) as client:
            client.socket.sendall(b"\x00\x00")
            assert goodbye(client) == "no Hello within 0.2 s"
        assert other.ask(GetStatus, Status).accounts == 5


def test_before_the_hello_little_is_kept(small_world: SmallWorld) -> None:
    """Though a later order may have 4 MiB."""
    with embedded(small_world) as engine, Mute(engine.connect()) as client:
        with contextlib.suppress(OSError):
            client.socket.sendall((4 << 20).to_bytes(4, "big") + b"x" * 1_000_000)
        assert goodbye(client) == "no Hello within 65536 bytes"


def test_the_longest_idle_one_makes_room(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A console that follows the engine stays, and what is new gets in."""
    monkeypatch.setattr(server, "_MOST_CLIENTS", 6)
    with embedded(small_world) as engine, contextlib.ExitStack() as stack:
        follower = stack.enter_context(Console(engine.connect()))
        follower.welcome()
        follower.subscribe()
        follower.ask(GetStatus, Status)
        idle = [stack.enter_context(Console(connected(small_world.control_socket))) for _ in range(20)]
        for client in idle[-5:]:
            assert client.ask(GetStatus, Status).accounts == 5
        assert goodbye(idle[0]) == "a newer connection of the same user took its place"
        until(lambda: len(inner(engine).control.connections) <= 6)
        assert follower.ask(GetStatus, Status).accounts == 5
