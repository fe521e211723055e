"""``mailquota --helper``: keeps a worker (core/helper/server.py) on the helper's socket.

The worker is a process of its own. One that ended is started again after a pause, which doubles up to half a minute
while workers end soon. One that gives no sign of life for ten seconds is killed first. A thread of it that hangs with a
file system does not count: the engine leaves it alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from ..base import process, systemd
from ..base.errors import SettingsError
from ..base.socket_files import SocketOwner, bind, remove
from ..settings.config import Config
from .server import known_engine_user

log = logging.getLogger(__name__)

VARIABLE = "MAILQUOTA_HELPER_FDS"
_BACKLOG = 512
_OPEN_TO_ALL = 0o666  # who connects is looked at by the kernel's word: core/helper/server.py
_FIRST_SIGN = 60.0  # seconds; Dovecot is asked for its settings first
_NEXT_SIGN = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LASTING = 60.0  # a worker that lived so long was no failed start
_TURN = 1.0


class _EndedError(BaseException):
    """SIGTERM or SIGINT came."""


def supervise(config: Config, arguments: Sequence[str]) -> None:
    """Listen and keep a worker, started as ``mailquota`` with ``arguments``, until SIGTERM or SIGINT.

    Raises SettingsError where the settings name no helper, and AddressInUseError.
    """
    path = config.settings.mailstore.helper
    if not path:
        raise SettingsError("mailstore.helper is not set: no engine would use this helper")
    if os.geteuid() in {0, known_engine_user(config)}:
        raise SettingsError("the helper runs as the owner of the mailboxes, not as root or mailstore.engine_user")
    process.close_to_others()
    listener, _, made = bind(path, SocketOwner(_OPEN_TO_ALL), _BACKLOG)
    listener.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        systemd.notify("READY=1")
        log.info("the helper listens on %s", path)
        _keep(listener, arguments)
    except _EndedError:
        systemd.notify("STOPPING=1")
    finally:
        remove(path, made)
        listener.close()


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _EndedError


def _keep(listener: socket.socket, arguments: Sequence[str]) -> None:
    pause = _FIRST_PAUSE
    while True:
        started = time.monotonic()
        why = _one(listener, arguments)
        if time.monotonic() - started > _LASTING:
            pause = _FIRST_PAUSE
        log.error("the helper's worker %s; another one is started in %g s", why, pause)
        _rest(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _rest(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        systemd.notify("WATCHDOG=1")
        time.sleep(min(_TURN, left))


def _one(listener: socket.socket, arguments: Sequence[str]) -> str:
    """One worker, from start to end; how it ended."""
    heart, theirs = os.pipe()
    try:
        environment = process.environment_for_python() | {VARIABLE: f"{listener.fileno()} {theirs}"}
        environment.pop("NOTIFY_SOCKET", None)
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "mailquota", *arguments],
            pass_fds=[listener.fileno(), theirs], env=environment, cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        os.close(heart)
        return f"could not be started: {error.strerror or error}"
    finally:
        os.close(theirs)
    try:
        return _watch(worker, heart)
    finally:
        os.close(heart)
        worker.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel; another one can do without it
            worker.wait(_TURN)


def _watch(worker: subprocess.Popen[bytes], heart: int) -> str:
    """Wait for the end of a worker, or of its signs of life."""
    due = time.monotonic() + _FIRST_SIGN
    while True:
        systemd.notify("WATCHDOG=1")
        if select.select([heart], [], [], _TURN)[0]:
            if not os.read(heart, 4096):
                code = worker.wait()
                return f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            due = time.monotonic() + _NEXT_SIGN
        elif time.monotonic() > due:
            return "did not give a sign of life, and was killed"


def descriptors() -> tuple[socket.socket, int] | None:
    """The listening socket and the pipe of a worker, from the environment; None for a supervisor."""
    words = os.environ.pop(VARIABLE, "").split()
    if len(words) != 2:
        return None
    listener, heart = map(int, words)
    for handle in (listener, heart):
        os.set_inheritable(handle, False)
    return socket.socket(fileno=listener), heart
