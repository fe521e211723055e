"""What systemd is told, over a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailquota.core.base import systemd
from tests.mailserver.fixture import temporary_folder


@contextmanager
def manager(monkeypatch: pytest.MonkeyPatch, *, abstract: bool = False) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with temporary_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"@{folder}/notify" if abstract else f"{folder}/notify"
        sock.bind(name.replace("@", "\0"))
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield sock


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_is_one_datagram(monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    with manager(monkeypatch, abstract=abstract) as sock:
        systemd.notify("READY=1", "STATUS=answering on unix:/ä")
        assert sock.recv(1000).decode() == "READY=1\nSTATUS=answering on unix:/ä"


def test_a_reload_has_the_time_that_systemd_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microseconds of the clock that does not jump, as Type=notify-reload wants it."""
    before = time.monotonic_ns() // 1000
    with manager(monkeypatch) as sock:
        systemd.reloading()
        first, second = sock.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, value = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize("path", ["", "/no/such/socket", "relative"])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    systemd.notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    systemd.notify("READY=1")


def test_a_manager_that_does_not_read_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue is full after some datagrams; the life sign is lost then, not the answers."""
    monkeypatch.setattr(systemd, "_SECONDS", 0.001)
    with manager(monkeypatch):
        for _ in range(600):
            systemd.notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_life_signs_come_twice_in_the_time_allowed(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: float | None
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == expected
