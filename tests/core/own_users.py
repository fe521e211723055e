"""An engine with a user of its own, and its helper as the owner of the mailboxes: real users, over a small world."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mailquota.core.base.socket_files import answers
from mailquota.core.control.messages import GetStatus
from mailquota.core.control.results import Status
from mailquota.core.settings.config import load
from tests.core.clients import Console, until
from tests.core.others import OWNER, code_of
from tests.core.worlds import SmallWorld

ENGINE_USER = 64103
TROUBLE = "DUNNO trouble"

_SERVE = """
from pathlib import Path
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import serve
from mailquota.core.settings.config import load
serve(load(Path(sys.argv[1]), {}), Options(lambda: load(Path(sys.argv[1]), {})))
"""
# Its worker is another program, which needs the right to read the package, too (PR_CAP_AMBIENT).
_HELP = """
from pathlib import Path
from mailquota.core.helper.supervisor import supervise
from mailquota.core.settings.config import load
libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 4, 4, 4, 0, 0, 0))
libc.prctl(47, 2, 2, 0, 0)
supervise(load(Path(sys.argv[1]), {}), ["--helper", "--config", sys.argv[1]])
"""


def settle_users(world: SmallWorld) -> Path:
    """Give the mailboxes to their owner alone, all else to the engine's user; the helper's socket."""
    run, own = world.folder / "run", world.folder / "own"
    for folder, user in ((run, OWNER), (own, ENGINE_USER)):
        folder.mkdir()
        os.chown(folder, user, user)
    world.database = world.database.rename(own / world.database.name)
    os.chown(world.database, ENGINE_USER, ENGINE_USER)
    world.state, world.policy_socket, world.control_socket = own / "state.db", own / "policy", own / "control"
    world.settings["accounts"]["database"] = f"sqlite:///{world.database}"
    world.settings["state"]["database"] = f"sqlite:///{world.state}"
    world.settings["control"]["socket"] = str(world.control_socket)
    world.settings["mailstore"] |= {"helper": f"{run}/helper.sock", "engine_user": str(ENGINE_USER)}
    world.settings["policy"] |= {"trouble": TROUBLE, "listen": [f"unix:{world.policy_socket}"]}
    world.write_settings()
    world.folder.chmod(0o755)
    give(world)
    return run / "helper.sock"


def give(world: SmallWorld) -> None:
    """All that is in the mailboxes is their owner's, as what Dovecot stores."""
    for path in [world.mailstore, *world.mailstore.rglob("*")]:
        os.chown(path, OWNER, OWNER)
        path.chmod(0o700 if path.is_dir() else 0o600)


class Place(Protocol):
    """What is asked of a world to run both beside it."""

    @property
    def config(self) -> Path:
        """The settings file."""

    @property
    def control_socket(self) -> Path:
        """The engine's."""

    @property
    def policy_socket(self) -> Path:
        """The engine's."""


@contextmanager
def helping(world: Place, owner: int = OWNER) -> Iterator[subprocess.Popen[str]]:
    """The helper, once it listens."""
    sock = Path(load(world.config, {}).settings.mailstore.helper)
    with code_of(owner, _HELP, world.config, reads_all=True) as running:
        try:
            until(lambda: running.poll() is not None or sock.exists(), "the helper listens", 60)
            assert running.poll() is None, running.communicate()[1]
            yield running
        finally:
            running.terminate()
            running.wait(30)


@contextmanager
def serving(world: Place, *, reads_all: bool = False) -> Iterator[subprocess.Popen[str]]:
    """The engine, once it answers. Its user has no right in the mailboxes, but for reading with ``reads_all``."""
    with code_of(ENGINE_USER, _SERVE, world.config, reads_all=reads_all) as running:
        until(lambda: running.poll() is not None or _is_answering(world), "the engine answers", 60)
        assert running.poll() is None, running.communicate()[1]
        yield running


def worker_of(helper: subprocess.Popen[str]) -> int:
    """The process id of the helper's worker; 0 while there is none."""
    found = Path(f"/proc/{helper.pid}/task/{helper.pid}/children").read_text().split()
    return int(found[0]) if found else 0


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that does nothing for a while."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def problem(world: Place) -> str:
    """What the engine says of its mailboxes."""
    with Console(world.control_socket) as console:
        status: Status = console.ask(GetStatus, Status)
        return status.mailstore_problem


def _is_answering(world: Place) -> bool:
    return answers(str(world.control_socket)) and answers(str(world.policy_socket))
