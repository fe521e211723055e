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
    EmptyTrash,
    Event,
    Failed,
    GetJournal,
    GetStatus,
    Goodbye,
    HandOver,
    Hello,
    Order,
    Recalc,
    Reload,
    Reply,
    SetLimit,
    Subscribe,
    Undo,
    Warn,
    Watch,
)
from mailquota.core.control.results import WarnResult
from tests.core.clients import until
from tests.core.engines import is_answering, serving
from tests.core.others import code_of
from tests.core.worlds import FULL, LIMIT, SmallWorld

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


@pytest.mark.parametrize("source", ["dovecot", "operator"])
def test_they_have_a_warning_sent(world: SmallWorld, source: str) -> None:
    """By Dovecot's service, or from a shell."""
    events = said(world.control_socket, OWNER, Warn(1, [FULL], "100", source))
    (reply,) = [event for event in events if isinstance(event, Reply)]
    (result,) = msgspec.msgpack.decode(reply.result, type=list[WarnResult])
    assert (result.state, result.method) == ("sent", "maildir")


@pytest.mark.parametrize("order", [Subscribe(), Watch([FULL]), GetJournal(1)], ids=lambda order: type(order).__name__)
def test_they_see_nothing(world: SmallWorld, order: Order) -> None:
    events = said(world.control_socket, OWNER, order)
    assert not [event for event in events if isinstance(event, Reply)]
    (goodbye,) = [event for event in events if isinstance(event, Goodbye)]
    assert goodbye.reason == "the owner of the mailboxes may have warnings sent, and nothing else"


def test_from_a_shell_it_is_not_sent_twice(world: SmallWorld) -> None:
    """As for Dovecot's service; an operator would have it sent anew."""
    states = []
    for _ in range(2):
        events = said(world.control_socket, OWNER, Warn(1, [FULL], "100", "operator"))
        (reply,) = [event for event in events if isinstance(event, Reply)]
        states += [result.state for result in msgspec.msgpack.decode(reply.result, type=list[WarnResult])]
    assert states == ["sent", "merged"]


def test_they_can_not_have_one_sent_again_and_again(world: SmallWorld) -> None:
    events = said(world.control_socket, OWNER, Warn(1, [FULL], "100", "again"))
    assert [event.message for event in events if isinstance(event, Failed)] == ["read-only: nothing was changed"]


def test_others_are_kept_out(world: SmallWorld) -> None:
    assert stat.S_IMODE(world.control_socket.stat().st_mode) == 0o660
    assert said(world.control_socket, OWNER + 1, Warn(1, [FULL], "100", "dovecot")) == []


# ---- an engine that runs as that user itself, as ``mailquota install`` sets it up

ENGINE = """
from pathlib import Path
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import serve
from mailquota.core.settings.config import load
serve(load(Path(sys.argv[1]), {}), Options(lambda: load(Path(sys.argv[1]), {})))
"""
PEEK = """
import ctypes, sys
pid = int(sys.argv[1])
for name in ("mem", "environ", "maps"):
    try:
        open(f"/proc/{pid}/{name}", "rb").close()
    except OSError as error:
        print(name, error.strerror)
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(0x4206, pid, None, None))
"""


@pytest.fixture(params=[True])
def own_engine(small_world: SmallWorld, request: pytest.FixtureRequest) -> Iterator[tuple[SmallWorld, int]]:
    """The world belongs to that user, and the engine runs as them."""
    for path in [small_world.folder, *small_world.folder.rglob("*")]:
        os.chown(path, OWNER, OWNER)
    with code_of(OWNER, ENGINE, small_world.config, reads_all=request.param) as running:
        until(lambda: running.poll() is not None or is_answering(small_world), "the engine answers")
        assert running.poll() is None, running.communicate()[1]
        yield small_world, running.pid


def test_they_have_a_warning_sent_by_their_own_engine(own_engine: tuple[SmallWorld, int]) -> None:
    events = said(own_engine[0].control_socket, OWNER, Warn(1, [FULL], "100", "dovecot"))
    assert not [event.message for event in events if isinstance(event, Failed)]
    (reply,) = [event for event in events if isinstance(event, Reply)]
    (result,) = msgspec.msgpack.decode(reply.result, type=list[WarnResult])
    assert result.state == "sent"


@pytest.mark.parametrize(
    "order",
    [
        SetLimit(1, [FULL], "1G"), EmptyTrash(1, [FULL]), Recalc(1, [FULL]), Undo(1), Reload(1), HandOver(1),
        GetStatus(1), Subscribe(),
    ],
    ids=lambda order: type(order).__name__,
)  # fmt: skip
def test_they_may_do_nothing_else_there(own_engine: tuple[SmallWorld, int], order: Order) -> None:
    """Each program of theirs could ask it, also one that was broken into."""
    world, _ = own_engine
    events = said(world.control_socket, OWNER, order)
    assert not [event for event in events if isinstance(event, Reply)]
    (goodbye,) = [event for event in events if isinstance(event, Goodbye)]
    assert goodbye.reason == "the owner of the mailboxes may have warnings sent, and nothing else"
    assert world.limit_of(FULL) == LIMIT


def test_root_may_do_all_there(own_engine: tuple[SmallWorld, int]) -> None:
    events = said(own_engine[0].control_socket, 0, SetLimit(1, [FULL], "1G"))
    assert not [event.message for event in events if isinstance(event, Failed)]
    assert [type(event) for event in events if isinstance(event, Reply | Failed | Goodbye)] == [Reply]
    assert own_engine[0].limit_of(FULL) == 1 << 30


@pytest.mark.parametrize("own_engine", [False], indirect=True)  # what has more rights is closed to them anyway
def test_they_can_not_look_into_their_own_engine(own_engine: tuple[SmallWorld, int]) -> None:
    """Its memory has passwords, and its sockets may do more than they."""
    command = ["/usr/bin/python3", "-c", PEEK, str(own_engine[1])]
    done = subprocess.run(command, user=OWNER, group=OWNER, extra_groups=[], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == [f"{name} Permission denied" for name in ("mem", "environ", "maps")] + ["-1", ""]
