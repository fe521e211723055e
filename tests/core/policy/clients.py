"""What smtpd is to a policy server: a connection with requests and answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mailquota.core.base.endpoints import parse_listen
from mailquota.core.base.socket_files import SocketOwner
from mailquota.core.base.sockets import bind
from mailquota.core.policy.server import PolicyServer


def request(recipient: str | None, size: int | str | None = None, state: str | None = "RCPT", **others: str) -> bytes:
    """As Postfix sends it; None leaves an attribute out."""
    values = {
        "request": "smtpd_access_policy",
        "protocol_state": state,
        "sender": "sender@example.net",
        "recipient": recipient,
        "size": size,
        **others,
    }
    lines = [f"{name}={value}\n" for name, value in values.items() if value is not None]
    return ("".join(lines) + "\n").encode()


class Client:
    """One connection to the policy server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, path: Path) -> Client:
        """To a unix socket."""
        return cls(*await asyncio.open_unix_connection(path))

    def send(self, *requests: bytes) -> None:
        """Without waiting for answers."""
        self.writer.write(b"".join(requests))

    async def answer(self) -> str:
        """The next one, as what stands after ``action=``; EOFError where the connection ends instead."""
        reply = (await self.reader.readuntil(b"\n\n")).decode()
        assert reply.startswith("action=")
        assert reply.count("\n") == 2
        return reply.removeprefix("action=").removesuffix("\n\n")

    async def ask(self, recipient: str | None, size: int | str | None = None, state: str | None = "RCPT") -> str:
        """A request and its answer."""
        self.send(request(recipient, size, state))
        return await self.answer()

    async def ended(self) -> bool:
        """Wait for the other side to end the connection; whether nothing came before that."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


@asynccontextmanager
async def serving(server: PolicyServer, path: Path) -> AsyncIterator[socket.socket]:
    """The server listens on a unix socket within."""
    sock, _, _ = bind(parse_listen(f"unix:{path}"), SocketOwner(0o600))
    try:
        await server.listen(sock)
        yield sock
        await server.close(1.0)
    finally:
        server.stop_accepting()
        sock.close()
