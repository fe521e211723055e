"""A policy server that answers what a test wants, over a real socket."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from mailquota.core.policy.protocol import RequestReader, answer, text_attribute

DUNNO = "DUNNO"
FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"


def dunno(_recipient: str) -> str:
    """A policy server that permits everything."""
    return DUNNO


class ScriptedPolicy:
    """``decide`` gives the action for a recipient, or None for no answer at all; ``requests`` is what was asked."""

    def __init__(self) -> None:
        self.decide: Callable[[str], str | None] = dunno
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = threading.Event()
        self.released = threading.Event()

    def take(self, request: bytes) -> bytes | None:
        """The answer to a request."""
        self.requests.append(request)
        self.asked.set()
        action = self.decide(text_attribute(request, "recipient"))
        return None if action is None else answer(action)

    @contextlib.contextmanager
    def listening(self, path: Path) -> Iterator[None]:
        """Answer at this path until the end of the block; then every connection is closed."""
        policy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                policy.connections += 1
                reader = RequestReader()
                self.request.settimeout(0.02)
                while not policy.released.is_set():
                    try:
                        data = self.request.recv(65536)
                    except TimeoutError:
                        continue
                    for request in reader.feed(data):
                        reply = policy.take(request)
                        if reply is not None:
                            self.request.sendall(reply)
                    if not data:
                        return

        self.released.clear()
        with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield
            finally:
                self.released.set()
                server.shutdown()
                thread.join()
        path.unlink()
