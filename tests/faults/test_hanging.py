"""A Maildir that hangs: a FIFO in place of maildirsize, and a file system whose server does not answer any more."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.clients import PolicyClient, until
from tests.core.engines import serving
from tests.core.worlds import FULL, JOHN, OVERQUOTA, TRASH, SmallWorld
from tests.mailserver.fixture import cannot_run
from tests.truth.scale import LONG

TROUBLE = "DUNNO trouble"
MOST = 0.25  # seconds
_DETACH = 2  # MNT_DETACH


@contextlib.contextmanager
def stopped_file_system(folder: Path) -> Iterator[None]:
    """FUSE over ``folder`` with a server that never answers, as one that was stopped, or an NFS server that is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        handle = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        cannot_run(f"no FUSE here: {error}")
    try:
        options = f"fd={handle},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"stopped", os.fsencode(folder), b"fuse", 0, options):
            cannot_run(f"FUSE can't be mounted here: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        os.close(handle)  # who waits gets ENOTCONN
        libc.umount2(os.fsencode(folder), _DETACH)


@pytest.fixture
def world(small_world: SmallWorld) -> SmallWorld:
    """Answers that tell trouble apart."""
    small_world.settings["policy"]["trouble"] = TROUBLE
    small_world.write_settings()
    return small_world


def test_a_fifo_in_place_of_maildirsize(world: SmallWorld) -> None:
    """Nobody will ever write into it."""
    file = world.maildir(FULL) / "maildirsize"
    file.unlink()
    os.mkfifo(file)
    with serving(world) as running, PolicyClient(world.policy_socket) as postfix:
        for _ in range(3):
            assert postfix.ask(FULL) == TROUBLE
            assert postfix.ask(JOHN) == "DUNNO"
        file.unlink()
        assert postfix.ask(FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(60) == 0


def test_a_file_system_that_does_not_answer(world: SmallWorld) -> None:
    """Trouble or the last figure for the mailbox on it, soon; true answers for others, and for all once it is back."""
    with serving(world) as running, PolicyClient(world.policy_socket) as postfix:
        assert [postfix.ask(address) for address in (FULL, JOHN)] == [OVERQUOTA, "DUNNO"]
        slowest = 0.0
        with stopped_file_system(world.maildir(FULL)), Others(world.policy_socket) as others:
            for _ in range(5):
                began = time.monotonic()
                assert postfix.ask(FULL) in {TROUBLE, OVERQUOTA}  # the latter where it need not be looked at
                slowest = max(slowest, time.monotonic() - began)
            others.wait_for(50)
        print(f"slowest answer for the mailbox that hangs: {slowest:.3f} s, for others {others.slowest:.3f} s")
        until(lambda: postfix.ask(FULL) == OVERQUOTA, "it is believed again")
        assert others.answers == {"DUNNO"}
        assert not LONG or max(slowest, others.slowest) < MOST
        running.terminate()
        assert running.wait(60) == 0


def test_the_end_while_a_file_system_hangs(world: SmallWorld) -> None:
    """A thread that waits for it does not keep the process."""
    with (
        serving(world) as running,
        PolicyClient(world.policy_socket) as postfix,
        stopped_file_system(world.maildir(FULL)),
    ):
        assert postfix.ask(FULL) in {TROUBLE, OVERQUOTA}
        running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(60)
        assert running.returncode == 0


class Others:
    """Who asks about other mailboxes without a pause. ``answers`` are the different ones, ``slowest`` is in seconds."""

    def __init__(self, path: Path) -> None:
        self.answers: set[str] = set()
        self.slowest = 0.0
        self._count = 0
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, count: int) -> None:
        until(lambda: self._count >= count, f"{count} answers")

    def _run(self) -> None:
        with PolicyClient(self._path) as postfix:
            while not self._stop.is_set():
                for address in (JOHN, TRASH):
                    began = time.monotonic()
                    self.answers.add(postfix.ask(address))
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self._count += 1
