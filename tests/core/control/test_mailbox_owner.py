"""The owner of the mailboxes, as whom Dovecot runs its quota-warning service: may warn, and nothing else."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mailquota.core.control.framing import EventReader, encode
from mailquota.core.control.messages import (
    VERSION,
    Event,
    Failed,
    GetJournal,
    Goodbye,
    Hello,
    Order,
    Reply,
    Subscribe,
    Warn,
    Watch,
)
from mailquota.core.control.results import WarnResult
from tests.core.clients import until
from tests.core.engines import serving
from tests.core.worlds import FULL, SmallWorld

OWNER = 5000
# Run by the system's own interpreter, as the checkout need not be open to that user.
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect(sys.argv[1])
client.sendall(sys.stdin.buffer.read())
try:
    while data := client.recv(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        if b"reply" in data or b"failed" in data:
            break
except ConnectionError:
    pass
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def world(small_world: SmallWorld) -> Iterator[SmallWorld]:
    """With mailboxes of that user, and a running engine."""
    for path in [small_world.mailstore, *small_world.mailstore.rglob("*")]:
        os.chown(path, OWNER, OWNER)
    with serving(small_world):
        until(lambda: small_world.control_socket.stat().st_uid == OWNER, "the socket is theirs, too")
        yield small_world


def said(place: Path, user: int, *orders: Order) -> list[Event]:
    """What the engine answers to this user."""
    words = b"".join(map(encode, [Hello(VERSION, "test"), *orders]))
    command = ["/usr/bin/python3", "-c", CLIENT, str(place)]
    done = subprocess.run(command, user=user, group=user, input=words, capture_output=True, timeout=30, check=False)
    return list(EventReader().feed(done.stdout))


def test_they_have_a_warning_sent(world: SmallWorld) -> None:
    events = said(world.control_socket, OWNER, Warn(1, [FULL], "100", "dovecot"))
    (reply,) = [event for event in events if isinstance(event, Reply)]
    (result,) = msgspec.msgpack.decode(reply.result, type=list[WarnResult])
    assert (result.state, result.method) == ("sent", "maildir")


@pytest.mark.parametrize("order", [Subscribe(), Watch([FULL]), GetJournal(1)], ids=lambda order: type(order).__name__)
def test_they_see_nothing(world: SmallWorld, order: Order) -> None:
    events = said(world.control_socket, OWNER, order)
    assert not [event for event in events if isinstance(event, Reply)]
    (goodbye,) = [event for event in events if isinstance(event, Goodbye)]
    assert goodbye.reason == "the owner of the mailboxes may have warnings sent, and nothing else"


def test_they_can_not_have_one_sent_again_and_again(world: SmallWorld) -> None:
    events = said(world.control_socket, OWNER, Warn(1, [FULL], "100", "again"))
    assert [event.message for event in events if isinstance(event, Failed)] == ["read-only: nothing was changed"]


def test_others_are_kept_out(world: SmallWorld) -> None:
    assert stat.S_IMODE(world.control_socket.stat().st_mode) == 0o660
    assert said(world.control_socket, OWNER + 1, Warn(1, [FULL], "100", "dovecot")) == []
