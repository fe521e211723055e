"""Metrics for Prometheus over HTTP, in a thread with a loop of its own.

Theory of operation. Once a second the engine's loop puts its figures into ``MetricsServer.figures``; scraping costs the
loop nothing more. The page is made at most once for each set of figures, however often it is fetched. A client has 5 s
for its whole request, and where there are 16 the oldest one makes room for the next, so that slow and hostile clients
keep nobody out. Where the address is in use, binding is tried again every 5 s, since after a hand-over
the old engine releases it a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import threading
from collections.abc import Callable

from ..base import restarts
from ..base.endpoints import ListenAddress
from ..base.errors import MailquotaError
from ..base.sockets import bind
from .metric_page import Figures, MetricPage

log = logging.getLogger(__name__)

_FIGURES_SECONDS = 1.0
_RETRY_SECONDS = 5.0
_CLIENT_SECONDS = 5.0
_MOST_CLIENTS = 16
_HEAD_BYTES = 8192
_REQUEST = re.compile(rb"([A-Z]+) ([^ ?]+)(?:\?[^ ]*)? HTTP/1\.[01]\r\n")


class Exporter:
    """Starts and ends the server of the metrics. ``figures`` is called on the engine's loop, where this is used."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self._address: tuple[str, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self, address: tuple[str, int] | None) -> None:
        """Serve metrics on this host and port, and nowhere else; None ends that."""
        if address == self._address:
            return
        self._address = address
        if self._task is not None:
            self._task.cancel()
        self._task = None if address is None else restarts.start("metrics", lambda: self._run(*address))

    async def _run(self, host: str, port: int) -> None:
        """Update the figures each second, until cancelled or the thread has ended."""
        server = MetricsServer(host, port)
        try:
            while server.lives:
                server.figures = self._figures()
                await asyncio.sleep(_FIGURES_SECONDS)
        finally:
            server.stop()


class MetricsServer:
    """Serves ``figures`` from its own thread until it is stopped. No method blocks or raises."""

    def __init__(self, host: str, port: int) -> None:
        self.figures: Figures | None = None
        self._address = ListenAddress("inet", host=host, port=port)
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._clients: dict[asyncio.StreamWriter, None] = {}  # oldest first
        self._missing = False
        self._thread = threading.Thread(target=self._run, name="mailquota-metrics", daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether the thread runs; also true where the package is missing, as starting again would not help."""
        return self._missing or self._thread.is_alive()

    def stop(self) -> None:
        """Have the thread end, without waiting for it."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stopped.set)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except ImportError:
            self._missing = True
            log.error("metrics are off, as a package is missing; install it with: pip install 'mailquota[metrics]'")
        except BaseException:  # an outer edge: Exporter sees that the thread ended, and starts another
            log.exception("the metrics can't be served")

    async def _serve(self) -> None:
        self._page = MetricPage()
        sock = await self._bound()
        if sock is None:
            return
        server = await asyncio.start_server(self._answer, sock=sock, limit=_HEAD_BYTES)
        log.info("metrics on %s", self._address)
        try:
            await self._stopped.wait()
        finally:  # whatever ends this: the next server needs the address
            server.close()

    async def _bound(self) -> socket.socket | None:
        """The listening socket, as soon as the address is free; None where ``stop`` came first."""
        logged = False
        while not self._stopped.is_set():
            try:
                return bind(self._address)[0]
            except MailquotaError as error:
                if not logged:
                    log.error("no metrics for now: %s", error)
                logged = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _RETRY_SECONDS)
        return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= _MOST_CLIENTS:
            oldest = next(iter(self._clients))
            del self._clients[oldest]
            oldest.transport.abort()
        self._clients[writer] = None
        try:
            async with asyncio.timeout(_CLIENT_SECONDS):
                writer.write(self._response(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, EOFError, asyncio.LimitOverrunError) as error:
            log.debug("a client of the metrics was given up: %s", error)
        finally:
            self._clients.pop(writer, None)
            writer.transport.abort()

    def _response(self, head: bytes) -> bytes:
        request = _REQUEST.match(head)
        if request is None:
            return _http("400 Bad Request")
        if request[1] not in {b"GET", b"HEAD"}:
            return _http("405 Method Not Allowed", more="Allow: GET, HEAD\r\n")
        if request[2] != b"/metrics":
            return _http("404 Not Found", b"the metrics are at /metrics\n")
        if self.figures is None:
            return _http("503 Service Unavailable")
        return _http("200 OK", self._page.text(self.figures), self._page.content_type, only_head=request[1] == b"HEAD")


def _http(
    status: str, body: bytes = b"", kind: str = "text/plain; charset=utf-8", *, more: str = "", only_head: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + (b"" if only_head else body)
