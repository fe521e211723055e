"""Handing an engine's sockets to another process, so that not one request is lost.

The old engine starts the new one with one end of a socket pair. It sends the listening sockets; the new engine reads
settings and accounts and says READY when it could answer. Only then the old one stops reading, answers what it has
read, and sends every connection with the bytes of a half-read request; what clients send meanwhile waits in the kernel
and goes along. The counts go with them (core/engine/counters.py). Where the new engine fails before
DONE, it is ended and the old one goes on with what it still holds; once DONE is sent, or the old one dies, the
new one serves.

An engine in a console goes on without a terminal. One that runs as a service keeps the service's log, and tells systemd
its new main process (sd_notify(3), MAINPID). Files of sockets that systemd opened stay systemd's.

A message is a frame like those of the control protocol (length, msgpack); file descriptors are sent with it
(SCM_RIGHTS, unix(7)).
"""

from __future__ import annotations

import array
import contextlib
import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from ..base import process
from ..base.errors import MailquotaError
from ..base.others_folders import Identity
from ..base.sockets import InheritedSockets
from ..base.text import shown

log = logging.getLogger(__name__)

VARIABLE = "MAILQUOTA_HANDOVER_FD"
MODULE = "mailquota"
READY_SECONDS = 20.0
_FDS_A_MESSAGE = 100  # the kernel takes 253
# They name one process id, and are wrong for another process: sockets come by a message, the watchdog by MAINPID.
_OURS_ALONE = frozenset({"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"})
_LENGTH = struct.Struct(">I")
_LONGEST = 256 * 1024 * 1024  # bytes of a message; counts of 100,000 accounts have some 10 MB


class Message(msgspec.Struct, frozen=True):
    """One message between the two engines. ``kind`` is listen, connections, known, ready or done.

    listen: ``texts`` are the addresses of the listening sockets, ``foreign`` those of them whose files belong to
    systemd and are not to be removed; ``files`` are the others' as they were made. connections: ``received`` has the
    bytes of each that are not answered yet. known: the counts, in ``known`` (core/engine/counters.py).
    """

    kind: str
    texts: list[str] = []
    received: list[bytes] = []
    foreign: list[str] = []
    known: bytes = b""
    files: dict[str, Identity] = {}


def send(channel: socket.socket, message: Message, handles: Sequence[int] = ()) -> None:
    """Send one message with descriptors, which the caller closes. Blocking; raises OSError."""
    body = msgspec.msgpack.encode(message)
    data = _LENGTH.pack(len(body)) + body
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))] if handles else []
    sent = channel.sendmsg([data], rights)
    if sent < len(data):  # nothing more to one that has it all and closed: that would raise
        channel.sendall(data[sent:])


def receive(channel: socket.socket) -> tuple[Message, list[int]]:
    """The next message and its descriptors. Blocking; raises EOFError and OSError where the other engine is gone."""
    handles: list[int] = []
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size, handles))
    if length > _LONGEST:
        raise EOFError  # it is no engine
    body = _read(channel, length, handles)
    return msgspec.msgpack.decode(body, type=Message), handles


def _read(channel: socket.socket, wanted: int, handles: list[int]) -> bytes:
    data = b""
    while len(data) < wanted:
        room = socket.CMSG_SPACE(_FDS_A_MESSAGE * 4)
        part, rights, _flags, _address = channel.recvmsg(wanted - len(data), room, socket.MSG_CMSG_CLOEXEC)
        if not part:
            raise EOFError
        for level, kind, payload in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(payload[: len(payload) - len(payload) % found.itemsize])
                handles.extend(found)
        data += part
    return data


class Successor:
    """The new engine, in the process of the old one. Blocking; used in a thread.

    It is started as ``mailquota`` with these arguments. ``foreign`` and ``files`` as in Message; ``detached``: without
    standard error. Every method raises MailquotaError where the new engine can't go on; its process has ended then.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        listeners: dict[str, socket.socket],
        foreign: Sequence[str],
        *,
        detached: bool,
        files: Mapping[str, Identity] | None = None,
    ) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(READY_SECONDS)
        try:
            with theirs:
                self._process = _start(arguments, theirs.fileno(), detached=detached)
        except OSError as error:
            self._channel.close()
            raise MailquotaError(f"no engine could be started in the background: {error.strerror or error}") from error
        self.pid = self._process.pid
        message = Message("listen", list(listeners), foreign=list(foreign), files=dict(files or {}))
        with self._ending("did not start"):
            send(self._channel, message, [sock.fileno() for sock in listeners.values()])

    def wait_ready(self) -> None:
        """Wait until the new engine could answer, 20 s at most."""
        with self._ending("did not get ready"):
            message, _ = receive(self._channel)
            if message.kind != "ready":
                raise EOFError

    def give(self, connections: Sequence[tuple[int, bytes]], known: bytes = b"") -> None:
        """Send connections with their unanswered bytes, the counts, and the end. The caller closes the descriptors."""
        with self._ending("went away"):
            for start in range(0, len(connections), _FDS_A_MESSAGE):
                part = connections[start : start + _FDS_A_MESSAGE]
                send(self._channel, Message("connections", received=[data for _, data in part]), [fd for fd, _ in part])
            send(self._channel, Message("known", known=known))
            send(self._channel, Message("done"))
        self._channel.close()
        self._process.returncode = 0  # it outlives this process on purpose: Popen need not warn of that

    def end(self) -> None:
        """Kill the new engine. May be called twice."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    @contextmanager
    def _ending(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            self.end()
            raise MailquotaError(
                f"the engine in the background {what}, its log says why; everything stays as it was"
            ) from error


def _start(arguments: Sequence[str], channel: int, *, detached: bool) -> subprocess.Popen[bytes]:
    """A process of the same code as this one. -P keeps modules of the current folder out of it."""
    everything = process.environment_for_python()
    environment = {name: value for name, value in everything.items() if name not in _OURS_ALONE}
    environment[VARIABLE] = str(channel)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if detached else None,
        start_new_session=True, pass_fds=[channel], env=environment, cwd="/",
    )  # fmt: skip


def _channel(text: str) -> socket.socket | None:
    """The socket with this number if it is one end of a pair, as the old engine makes it; None otherwise."""
    try:
        handle = int(text)
        channel = socket.socket(fileno=handle)
    except (OSError, ValueError, OverflowError):
        return None
    try:
        channel.getpeername()
        if channel.family == socket.AF_UNIX and channel.type == socket.SOCK_STREAM:
            os.set_inheritable(handle, False)
            return channel
    except OSError:
        pass  # it is not connected
    channel.detach()
    return None


class Predecessor:
    """The old engine, in the process of the new one. Blocking; used in a thread."""

    def __init__(self, channel: socket.socket) -> None:
        self.known = b""  # its counts, once all its connections came
        self._channel = channel
        self._channel.settimeout(READY_SECONDS)

    @classmethod
    def from_environment(cls) -> Predecessor | None:
        """The engine that started this process to hand over, or None."""
        text = os.environ.pop(VARIABLE, "")
        channel = _channel(text) if text else None
        if channel is None and text:
            log.warning("%s is %s, no socket of an engine that hands over; it is ignored", VARIABLE, shown(text))
        return cls(channel) if channel is not None else None

    def listeners(self) -> InheritedSockets:
        """Its listening sockets. MailquotaError where it is gone."""
        try:
            message, handles = receive(self._channel)
        except (OSError, EOFError, msgspec.DecodeError) as error:
            self._channel.close()
            raise MailquotaError("the engine that wanted to hand over is gone") from error
        found = {name: socket.socket(fileno=fd) for name, fd in zip(message.texts, handles, strict=True)}
        return InheritedSockets(found, frozenset(message.foreign), message.files)

    def say_ready(self) -> None:
        """Tell the old engine that this one could answer. Where the old one is gone, this one goes on all the same."""
        with contextlib.suppress(OSError):
            send(self._channel, Message("ready"))

    def connections(self) -> Iterator[tuple[socket.socket, bytes]]:
        """Its connections with the bytes that it did not answer, until it is done or gone."""
        try:
            while True:
                message, handles = receive(self._channel)
                if message.kind == "done":
                    break
                self.known = message.known or self.known
                for handle, received in zip(handles, message.received, strict=True):
                    yield socket.socket(fileno=handle), received
        except (OSError, EOFError) as error:
            log.warning("the engine before this one ended before it had handed everything over: %s", error)
        self._channel.close()
