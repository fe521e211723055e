"""Engines over a small world: in a thread of the test, or in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mailquota.core.base.model import AccountRow
from mailquota.core.base.socket_files import answers
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
from mailquota.core.settings.config import Config
from tests.core.clients import Console, until
from tests.core.worlds import SmallWorld
from tests.mailserver.process import wait_until

ROOT = Path(__file__).parent.parent.parent


def options(world: SmallWorld, load: Callable[[], Config] | None = None) -> Options:
    """As the console starts its engine."""
    return Options(load or world.load, ("--serve", "--config", str(world.config)), embedded=True)


@contextmanager
def embedded(world: SmallWorld) -> Iterator[Embedded]:
    """An engine in a thread, until the end of the block."""
    engine = Embedded(world.load(), options(world))
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def inner(running: Embedded) -> Engine:
    """The engine itself, to be touched on its own loop."""
    assert running._engine is not None
    return running._engine


def on_loop(running: Embedded, work: Callable[[Engine], object]) -> None:
    """Do something to the engine on its own loop."""

    async def do() -> None:
        work(inner(running))

    running.call(do())


def rows(running: Embedded) -> dict[str, AccountRow]:
    """The rows of the ledger, by address."""

    async def read() -> dict[str, AccountRow]:
        ledger = inner(running).ledger
        return {address: ledger.row(entry) for address, entry in ledger.entries.items()}

    return running.call(read())


def measured(running: Embedded) -> Embedded:
    """The engine, once all accounts were measured."""
    until(lambda: inner(running).poller.rounds > 0, "the first round")
    return running


def console(running: Embedded, *, read_only: bool = False) -> Console:
    """A console of this process."""
    return Console(running.connect(), read_only=read_only)


@contextmanager
def process(world: SmallWorld, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``mailquota --serve``, killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "mailquota", "--serve", "--config", str(world.config), *arguments]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        assert running.stderr is not None
        running.stderr.close()


@contextmanager
def serving(world: SmallWorld) -> Iterator[subprocess.Popen[str]]:
    """``mailquota --serve``, once it answers."""
    with process(world) as running:
        until(lambda: running.poll() is not None or is_answering(world), "the engine answers")
        assert running.poll() is None, running.communicate()[1]
        yield running


def is_answering(world: SmallWorld) -> bool:
    """Whether an engine listens on both its sockets."""
    return answers(str(world.control_socket)) and answers(str(world.policy_socket))


def ended(pid: int, seconds: float = 45.0) -> bool:
    """Whether a process that is not a child of this one ends in time; a zombie has ended, too."""
    return wait_until(lambda: not _lives(pid), seconds)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
