"""The limit of the design: a uvloop server that answers DUNNO without looking at the request.

python -m tests.benchmarks.bare SOCKET
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Bare(asyncio.Protocol):
    """One answer for each read: the load generator has one request outstanding on a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport.write(b"action=DUNNO\n\n")


async def main(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Bare, path, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
