"""A policy server that gives one answer to everything and remembers the questions."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Question = dict[str, str]


@contextmanager
def recorded_policy(path: Path, action: str) -> Iterator[list[Question]]:
    """Serve a unix socket for Postfix; the list fills with the questions, as attribute dictionaries."""
    questions: list[Question] = []
    connections: list[socket.socket] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            connections.append(self.connection)
            while question := _read_question(self.rfile):
                questions.append(question)
                self.wfile.write(f"action={action}\n\n".encode())

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        shutil.chown(path, "postfix")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield questions
        finally:
            server.shutdown()
            thread.join()
            path.unlink()
            _hang_up(connections)


def _hang_up(connections: list[socket.socket]) -> None:
    """End the conversations: Postfix keeps a connection for minutes and would go on asking an old recorder."""
    for connection in connections:
        with suppress(OSError):  # Postfix was first
            connection.shutdown(socket.SHUT_RDWR)


def _read_question(lines: Iterator[bytes]) -> Question:
    """The attributes up to the next empty line; none at the end of the connection."""
    question: Question = {}
    for line in lines:
        name, equals, value = line.decode().rstrip("\n").partition("=")
        if not equals:
            break
        question[name] = value
    return question
