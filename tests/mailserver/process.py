"""One server process and its children: started, waited for, and stopped by process id.

Theory of operation: each server is started as the leader of a session of its own, in the foreground. So Ctrl-C in the
terminal reaches only the tests, which then stop the servers in order, and everything the server forks is found by its
session id, also after the leader died. Three nets catch a server that nobody stopped: the fixture's end, `atexit`, and
(when Python itself is killed) a guard, a shell that ends the server once the pipe from here is closed. The kernel's
parent death signal (prctl(2)) would not do: Postfix's master changes its ids at start, which disarms it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import ClassVar, Self

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.01
LOG_TAIL = 4000

_TEMPLATES = Path(__file__).parent / "templates"
# An ordinary user's PATH lacks the folders of servers.
SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"]
)


class ServerFailedError(Exception):
    """A private server did not do what a test needs; the text ends with the tail of its log."""


def find_program(name: str) -> str | None:
    """The path of an installed program, those for administrators included."""
    return shutil.which(name, path=SEARCH_PATH)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds; False when it still does not after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def session_members(leader: int) -> list[int]:
    """The living processes of the session that process `leader` opened, children of dead parents included."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if _session_of(pid) == leader]


def _session_of(pid: int) -> int | None:
    """None for a process that is gone, or dead and not yet collected by its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # proc(5): "pid (name) state ppid pgrp session ..."; a name may hold blanks and brackets.
    state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
    return None if state in "ZX" else int(session)


def exchange(path: Path, text: str) -> None:
    """Give a file another text in one step: a server that reads its settings meanwhile never finds a part of them."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.chown(new, path.stat().st_uid, path.stat().st_gid)
    shutil.copymode(path, new)
    new.replace(path)


def render(template: str, target: Path | None = None, /, **values: object) -> str:
    """Fill the `$names` of a file in templates/, and write the result to `target` if there is one."""
    text = Template((_TEMPLATES / template).read_text()).substitute(values)
    if target:
        target.write_text(text)
    return text


class Daemon(ABC):
    """A server in a folder of its own. Starting one that runs, and stopping one that does not, does nothing."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Write folders and configuration; called before every start, so changed attributes take effect."""

    @abstractmethod
    def command(self) -> list[str]:
        """The server's command line; it must stay in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves its clients by now."""

    @property
    def pid(self) -> int:
        """Process id of the running server's main process."""
        if self._process is None:
            raise ServerFailedError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until clients are served. Raises ServerFailedError with the log otherwise."""
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start without waiting, so that several servers can come up side by side."""
        if self.running:
            return
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PATH": SEARCH_PATH, "LC_ALL": "C"},
            )
        self._guard = _guard(self._process.pid)
        atexit.register(self.stop)

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait for a launched server. Raises ServerFailedError with the log when it ends or takes too long."""
        if not wait_until(lambda: not self.running or self.is_ready(), seconds) or not self.running:
            raise self.failed(f"did not start, or not within {seconds:.0f} s")

    def stop(self) -> None:
        """End the server and everything it started: SIGTERM first, SIGKILL to what is left after STOP_SECONDS."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        if not wait_until(lambda: _is_gone(process), STOP_SECONDS):
            _kill(process)
        if self._guard:
            self._guard.communicate(b"dismissed\n")
        atexit.unregister(self.stop)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server for the length of a `with` block, then start it again on the same data and port."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def failed(self, what: str) -> ServerFailedError:
        """An error about this server, with the end of its log."""
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return ServerFailedError(f"{self.name}: {what}\n--- {self.log}\n{log[-LOG_TAIL:]}")


def _guard(pid: int) -> subprocess.Popen[bytes]:
    """A shell that ends process `pid` when its stdin ends with this process; the word "dismissed" sends it home."""
    script = 'read -r word; [ "$word" = dismissed ] || kill -TERM "$0"'
    return subprocess.Popen(["sh", "-c", script, str(pid)], stdin=subprocess.PIPE, start_new_session=True)


def _is_gone(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None and not session_members(process.pid)


def _kill(process: subprocess.Popen[bytes]) -> None:
    for pid in session_members(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # ended since it was listed
    if not wait_until(lambda: _is_gone(process), STOP_SECONDS):
        raise ServerFailedError(f"processes {session_members(process.pid)} survive SIGKILL")
