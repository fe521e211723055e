"""The client's side of the control protocol, for the console and the commands.

One task reads events from the connection. An answer ends the ``request`` that waits for it; all other events go to
``on_event`` in their order, on the loop that connected. When the connection ends, requests that wait fail with
EngineGoneError and ``on_event`` gets a last Goodbye with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from ..base.errors import MailquotaError, ProtocolError, UnreachableError
from ..base.version import build, version
from .framing import EventReader, encode
from .messages import (
    VERSION,
    Event,
    Failed,
    Goodbye,
    Hello,
    Order,
    Progress,
    Reply,
    Request,
    Welcome,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
HELLO_SECONDS = 5.0
_CHUNK = 256 * 1024


class EngineGoneError(UnreachableError):
    """There is no engine, or it has closed the connection."""

    @property
    def nobody_listens(self) -> bool:
        """Whether no engine runs for certain. Not where one does not answer, or does not let this user connect."""
        return isinstance(self.__cause__, FileNotFoundError | NotADirectoryError | ConnectionRefusedError)


class RequestFailedError(MailquotaError):
    """The engine refused a request; ``exit_code`` is what a command ends with, as the engine says."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def operator_origin(environ: dict[str, str]) -> str:
    """The origin of an order, for the journal: the user that called sudo, the host that came by ssh, or ""."""
    sudo = environ.get("SUDO_USER", "")
    ssh = environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return " ".join(part for part in (f"sudo:{sudo}" if sudo else "", f"ssh:{ssh}" if ssh else "") if part)


class Client:
    """A connection to one engine. Make it with ``connect`` or ``adopt``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._events = EventReader()
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._progress: dict[int, Callable[[Progress], None]] = {}
        self._last_id = 0
        self._engine = ""  # the version of mailquota that the engine is, and its build
        self._engine_build = ""
        self._task: asyncio.Task[None] | None = None
        self._gone: str | None = None  # why the connection ended
        self._welcome: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()
        self.on_event: Callable[[Event], None] = lambda _event: None

    @classmethod
    async def connect(cls, path: str, client: str, *, read_only: bool = False) -> tuple[Client, Welcome]:
        """Connect to the engine that listens on ``path``. EngineGoneError where none does, or answers within 5 s."""
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise EngineGoneError(f"no engine answers on {path}: {error.strerror or error}") from error
        return await cls._start(reader, writer, client, read_only=read_only)

    @classmethod
    async def adopt(cls, sock: socket.socket, client: str, *, read_only: bool = False) -> tuple[Client, Welcome]:
        """Use a connected socket, as the console does to the engine in its own process. Raises EngineGoneError."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return await cls._start(reader, writer, client, read_only=read_only)

    @classmethod
    async def _start(
        cls, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str, *, read_only: bool
    ) -> tuple[Client, Welcome]:
        self = cls(reader, writer)
        self.send(Hello(VERSION, client, operator_origin(dict(os.environ)), read_only))
        self._task = asyncio.get_running_loop().create_task(self._read())
        try:
            return self, await asyncio.wait_for(self._welcome, HELLO_SECONDS)
        except TimeoutError:
            await self.close()
            raise EngineGoneError(f"the engine did not answer within {HELLO_SECONDS:g} s") from None
        except BaseException:
            await self.close()
            raise

    def send(self, order: Order) -> None:
        """Send without waiting for an answer."""
        self._writer.write(encode(order))

    def next_id(self) -> int:
        """A request id that this connection has not used."""
        self._last_id += 1
        return self._last_id

    async def request(
        self, order: Request, answer: type[T] | Any, progress: Callable[[Progress], None] | None = None
    ) -> T:
        """Send a request and wait for its answer, decoded as ``answer``.

        Raises RequestFailedError when the engine refuses, EngineGoneError when it goes away.
        """
        if self._gone is not None:
            raise EngineGoneError(self._gone)
        future: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
        self._waiting[order.id] = future
        if progress is not None:
            self._progress[order.id] = progress
        self.send(order)
        try:
            raw = await future
        finally:
            self._waiting.pop(order.id, None)
            self._progress.pop(order.id, None)
        try:
            result: T = msgspec.msgpack.decode(raw, type=answer)
        except msgspec.MsgspecError as error:
            raise RequestFailedError(f"the answer of the engine can't be read: {self._versions()}", 1) from error
        return result

    def _versions(self) -> str:
        """Which two versions do not understand each other, and what to do."""
        ours, theirs = version(), self._engine
        if ours != theirs:
            cause = f"it is mailquota {theirs or 'of another version'}, this is mailquota {ours}"
        elif self._engine_build in {"", build()}:
            cause = "it was started before mailquota was updated"
        else:
            cause = f"it is another build of this version ({self._engine_build}, this is {build()})"
        return f"{cause}; mailquota reload --restart, or a restart of the service, brings both to one version"

    def _in_words(self, reason: str) -> str:
        """The reason of a Goodbye, or of a message that can't be read; of another version in an operator's words."""
        if reason.startswith("not an order"):
            return f"the engine that runs does not know this order: {self._versions()}"
        if reason.startswith("not an event"):
            return f"the engine that runs sends what this mailquota does not know: {self._versions()}"
        return reason

    async def close(self) -> None:
        """End the connection; nothing reaches ``on_event`` afterwards."""
        self.on_event = lambda _event: None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        reason = "the engine closed the connection"
        try:
            while data := await self._reader.read(_CHUNK):
                for event in self._events.feed(data):
                    self._take(event)
        except (OSError, ProtocolError) as error:
            reason = self._in_words(str(error))
        except Exception as error:  # an outer edge: a fault in on_event must not leave requests waiting
            log.exception("an event of the engine could not be taken")
            reason = f"internal error: {error}"
        self._end(reason)

    def _take(self, event: Event) -> None:
        if isinstance(event, Reply):
            self._resolve(event.id, event.result)
        elif isinstance(event, Failed):
            message = self._in_words("not an order") if event.message.endswith(" is no order") else event.message
            self._resolve(event.id, RequestFailedError(message, event.exit_code))
        elif isinstance(event, Progress):
            if (report := self._progress.get(event.id)) is not None:
                report(event)
        elif isinstance(event, Welcome):
            self._engine, self._engine_build = event.engine, event.build
            if not self._welcome.done():
                self._welcome.set_result(event)
        elif isinstance(event, Goodbye):
            raise ProtocolError(event.reason)
        else:
            self.on_event(event)

    def _resolve(self, number: int, result: msgspec.Raw | Exception) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    def _end(self, reason: str) -> None:
        self._gone = reason
        gone = EngineGoneError(reason)
        if not self._welcome.done():
            self._welcome.set_exception(gone)
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(gone)
        self._writer.close()
        self.on_event(Goodbye(reason))
