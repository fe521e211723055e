"""The command on a terminal of its own, as a person has it."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from typing import Self

from tests.core.commands.command_line import COMMAND, ROOT, SECONDS, environment
from tests.tui.drawn import Drawn

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[P\]^_].*?(?:\x1b\\|\x07)|.)", re.DOTALL)
_OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """``with`` closes the line at its end, which is a SIGHUP to the command, and waits for it."""

    def __init__(self, *words: str, env: dict[str, str] | None = None, command: Sequence[str] = COMMAND) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
        # A program between sets the controlling terminal: what runs between fork and exec here must not be Python.
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *command, *words],
            cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env=environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}),
        )  # fmt: skip
        os.close(slave)
        self._drawn = Drawn(100, 24)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._raw = b""
        self._before = b""  # what earlier waits have taken
        self._open = True

    @property
    def raw(self) -> str:
        """Everything that was sent, escapes included."""
        return self._raw.decode(errors="replace")

    @property
    def seen(self) -> str:
        """Everything that was sent from the start, escapes included."""
        return (self._before + self._raw).decode(errors="replace")

    @property
    def text(self) -> str:
        """Everything that was sent, without escapes."""
        return _ESCAPES.sub("", self.raw)

    def type(self, keys: str) -> None:
        """Keys."""
        self.send(keys.encode())

    def send(self, data: bytes) -> None:
        """Bytes, in one packet."""
        os.write(self._master, data)

    def wait_for(self, *texts: str) -> None:
        """Until all of these were sent since the last wait, or something was and they stand on the screen now.

        Only what differs is sent, so a text may never be sent as one. AssertionError with what is there when they do
        not come.
        """
        until = time.monotonic() + SECONDS
        while not all(text in self.text or (self._raw and text in self._drawn.text) for text in texts):
            assert self._read(until - time.monotonic()), (
                f"{texts} did not come: {self.text[-2000:]}\n{self._drawn.text}"
            )
        self._before += self._raw
        self._raw = b""

    def see(self) -> str:
        """Take what was sent until now: all since the last wait, escapes included."""
        while self._read(0.0):
            pass
        return self.raw

    def frames_until_quiet(self, end: bytes) -> int:
        """How many frames with this end come before two seconds pass without a byte."""
        before = len(self._raw)
        while self._read(2.0):
            pass
        return self._raw[before:].count(end)

    def wait(self) -> int:
        """Until the command has ended; its exit code."""
        until = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < until:
            self._read(0.05)
        while self._read(0.0):
            pass
        return self.process.wait(SECONDS)

    def hang_up(self) -> None:
        """The line is cut."""
        if self._open:
            self._open = False
            os.close(self._master)

    def _read(self, seconds: float) -> bool:
        """Take what was sent; False where nothing comes within the time, or ever again."""
        if not self._open or seconds < 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self._master, 65536)
        except OSError:  # the other end is closed
            return False
        self._raw += part
        self._drawn.feed(self._decode(part))
        return bool(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS)
        self.process.kill()
        self.process.wait()
