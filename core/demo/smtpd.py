"""The policy client of an smtpd process: connects at the first request, keeps the connection, tries twice at most."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

_TIMEOUT = 10.0  # seconds for one answer, as in the recipe for Postfix
_LOOK = 0.05  # seconds between two looks at ``stop``
_ANSWER_MOST = 4096
_TRIES = 2  # smtpd_policy_service_try_limit
_PERMITS = frozenset({"DUNNO", "OK", "PERMIT"})


def permits(action: str) -> bool:
    """Whether an action lets the mail pass: DUNNO, OK, nothing, or digits alone (access(5))."""
    word = action.partition(" ")[0]
    return not word or word.upper() in _PERMITS or action.isdigit()


class Smtpd:
    """One connection to the policy server at ``path``; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def ask(self, request: bytes, stop: threading.Event) -> str | None:
        """The action that answers a request. None without an answer, or where ``stop`` was set meanwhile."""
        for _ in range(_TRIES):
            try:
                return self._attempt(request, stop)
            except (OSError, EOFError):
                self.close()
            if stop.is_set():
                break
        return None

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _attempt(self, request: bytes, stop: threading.Event) -> str:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(_LOOK)
            self._socket.connect(str(self._path))
        self._socket.sendall(request)
        return _action(_receive(self._socket, stop))


def _receive(sock: socket.socket, stop: threading.Event) -> bytes:
    """An answer with the empty line at its end. Raises EOFError and OSError."""
    until = time.monotonic() + _TIMEOUT
    answer = b""
    while not answer.endswith(b"\n\n"):
        try:
            part = sock.recv(_ANSWER_MOST)
        except TimeoutError:
            if stop.is_set() or time.monotonic() > until:
                raise
            continue
        if not part:
            raise EOFError
        answer += part
    return answer


def _action(answer: bytes) -> str:
    name, _, value = answer.decode("utf-8", "replace").strip().partition("=")
    if name != "action":
        raise EOFError("an answer without action")
    return value
