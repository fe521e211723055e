"""The command as a process of its own, over a small world; with an engine beside it or without."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.core.worlds import SmallWorld
from tests.mailserver.process import wait_until

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "mailquota")
SECONDS = 90.0

Done = subprocess.CompletedProcess[str]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would change what a command does."""
    ours = {key: value for key, value in os.environ.items() if key not in {"MAILQUOTA_CONFIG", "NO_COLOR", "COLUMNS"}}
    return {**ours, **(more or {})}


def run_command(
    *words: str | bytes,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> Done:
    """``mailquota WORDS``, to its end."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=ROOT,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=SECONDS,
        env=environment(env),
        check=False,
    )


class CommandLine:
    """``mailquota --config FILE WORDS`` for one world."""

    def __init__(self, world: SmallWorld) -> None:
        self.world = world

    def __call__(self, *words: str | bytes, **how: Any) -> Done:
        return run_command("--config", str(self.world.config), *words, **how)

    def json(self, *words: str) -> Any:
        """The document that a command prints; it must succeed."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start_engine(self) -> subprocess.Popen[str]:
        """``mailquota --serve``, once it answers or has ended."""
        command = [*COMMAND, "--serve", "--config", str(self.world.config)]
        engine = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=environment(), text=True)
        started = wait_until(
            lambda: engine.poll() is not None or _answers(self.world.control_socket, engine.pid), SECONDS
        )
        if not started:
            engine.kill()
            raise AssertionError(f"the engine neither answers nor ends: {engine.communicate()[1]}")
        return engine

    @contextmanager
    def engine(self) -> Iterator[subprocess.Popen[str]]:
        """An engine for the length of a block, ended by SIGTERM."""
        engine = self.start_engine()
        try:
            yield engine
        finally:
            stop(engine)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that was started here."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _answers(path: Path, pid: int) -> bool:
    """Whether it is this process that listens."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder) == pid
