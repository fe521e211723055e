"""A server of socketmap_table(5): netstrings of ``name key``, answered from a dictionary."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from tests.mailserver.ports import HOST


class Socketmap:
    """Listens on 127.0.0.1. ``delay`` in seconds before each answer; ``silent``: no answer at all."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.delay = 0.0
        self.silent = False
        self.asked = 0
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self) -> str:
        """As in Postfix's settings."""
        return f"socketmap:inet:{HOST}:{self.port}:rows"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client, client.makefile("rb") as lines:
            while text := self._read(lines.read(1), lines):
                self.asked += 1
                time.sleep(self.delay)
                if self.silent:
                    continue
                found = self.rows.get(text.partition(" ")[2].lower())
                answer = f"OK {found}" if found is not None else "NOTFOUND "
                client.sendall(f"{len(answer)}:{answer},".encode())

    def _read(self, first: bytes, lines: object) -> str:
        length = b""
        while first and first != b":":
            length += first
            first = lines.read(1)  # type: ignore[attr-defined]
        if not first:
            return ""
        text: bytes = lines.read(int(length) + 1)  # type: ignore[attr-defined]
        return text[:-1].decode()

    def close(self) -> None:
        """Accept no more; connections end with their clients."""
        self._socket.close()
