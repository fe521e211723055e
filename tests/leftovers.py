"""Processes that outlive the tests: a detached engine has no parent that would end it, so it is looked for in /proc.

Every process that a test starts inherits a mark in its environment, and the name of the test that pytest puts there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mailserver.process import wait_until

MARK = "MAILQUOTA_TEST_SESSION"
SECONDS = 30.0  # for the end of one that was told to end


@dataclass(frozen=True)
class Leftover:
    """A process; ``test`` started it."""

    pid: int
    command: str
    test: str

    def __str__(self) -> str:
        return f"{self.test} left process {self.pid}: {self.command}"


def new_mark() -> str:
    """For the environment of what this session starts; other sessions have others."""
    return f"{os.getpid()}-{time.monotonic_ns()}"


def find(mark: str) -> list[Leftover]:
    """Those with this mark that run now. A zombie has neither command nor environment left."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [found for pid in pids if pid != os.getpid() for found in _look(pid, mark)]


def _look(pid: int, mark: str) -> Iterator[Leftover]:
    with contextlib.suppress(OSError):  # it has ended, or is not ours
        environment = dict(item.partition("=")[::2] for item in _strings(pid, "environ"))
        words = _strings(pid, "cmdline")
        if environment.get(MARK) == mark:
            yield Leftover(pid, " ".join(words), environment.get("PYTEST_CURRENT_TEST", "somebody"))


def _strings(pid: int, name: str) -> list[str]:
    return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace").rstrip("\0").split("\0")


def stop(leftover: Leftover, mark: str) -> None:
    """End it, by force where it does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(leftover.pid, number)
        if wait_until(lambda: leftover not in find(mark), SECONDS):
            return


@contextlib.contextmanager
def none_left(mark: str) -> Iterator[None]:
    """Marks what is started within the block. AssertionError where a process outlives it, which is then ended."""
    before = os.environ.get(MARK)
    os.environ[MARK] = mark
    try:
        yield
    finally:
        os.environ.pop(MARK)
        if before is not None:
            os.environ[MARK] = before
    wait_until(lambda: not find(mark), SECONDS)
    left = find(mark)
    for each in left:
        stop(each, mark)
    assert not left, "\n".join(["processes were left running:", *map(str, left)])
