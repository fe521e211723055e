"""Handing an engine's sockets to another process, so that not one request is lost.

The old engine starts the new one with one end of a socket pair. It sends the listening sockets; the new engine reads
settings and accounts and says READY when it could answer. Only then the old one stops reading, answers what it has
read, and sends every connection with the bytes of a half-read request; what clients send meanwhile waits in the kernel
and goes along. What was counted and refused so far goes with them (core/engine/carried.py). Where the new engine fails
before DONE, it is ended and the old one goes on with what it still holds; once DONE is sent, or the old one dies, the
new one serves.

An engine in a console goes on without a terminal. One that runs as a service keeps the service's log, and tells systemd
its new main process (sd_notify(3), MAINPID). Files of sockets that systemd opened stay systemd's.

A message is a frame of the control protocol's kind (length, msgpack), its file descriptors ride along (SCM_RIGHTS).
"""

from __future__ import annotations

import array
import contextlib
import logging
import os
import site
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.sockets import InheritedSockets

log = logging.getLogger(__name__)

VARIABLE = "MAILQUOTA_HANDOVER_FD"
MODULE = "mailquota"
READY_SECONDS = 20.0
_FDS_A_MESSAGE = 100  # the kernel takes 253
# Meant for the process of one id: inherited sockets come as a parcel, and whose life signs count is told by MAINPID.
_OURS_ALONE = frozenset({"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"})
_LENGTH = struct.Struct(">I")


class Parcel(msgspec.Struct, frozen=True):
    """``kind`` is listen, connections, known, ready or done. ``texts`` name listening sockets, ``received`` are bytes.

    ``foreign`` are those of the listening sockets whose files are not ours to remove. ``known`` is for
    core/engine/carried.py.
    """

    kind: str
    texts: list[str] = []
    received: list[bytes] = []
    foreign: list[str] = []
    known: bytes = b""


def send(channel: socket.socket, parcel: Parcel, handles: Sequence[int] = ()) -> None:
    """Send one parcel with its descriptors, which stay ours to close."""
    body = msgspec.msgpack.encode(parcel)
    data = _LENGTH.pack(len(body)) + body
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))] if handles else []
    sent = channel.sendmsg([data], rights)
    if sent < len(data):  # sending nothing to one who has all and closed would be an error
        channel.sendall(data[sent:])


def receive(channel: socket.socket) -> tuple[Parcel, list[int]]:
    """The next parcel. Raises EOFError where the other side is gone."""
    handles: list[int] = []
    head = _read(channel, _LENGTH.size, handles)
    body = _read(channel, _LENGTH.unpack(head)[0], handles)
    return msgspec.msgpack.decode(body, type=Parcel), handles


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
    """The new engine as the old one sees it. Blocking; used in a thread.

    ``foreign`` as in Parcel; ``detached``: it gets no standard error. Every method raises MailquotaError where the new
    engine can't go on; it has ended then.
    """

    def __init__(
        self, arguments: Sequence[str], listeners: dict[str, socket.socket], foreign: Sequence[str], *, detached: bool
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
        parcel = Parcel("listen", list(listeners), foreign=list(foreign))
        with self._ending("did not start"):
            send(self._channel, parcel, [sock.fileno() for sock in listeners.values()])

    def wait_ready(self) -> None:
        """Until the new engine could answer."""
        with self._ending("did not get ready"):
            parcel, _ = receive(self._channel)
            if parcel.kind != "ready":
                raise EOFError

    def give(self, connections: Sequence[tuple[int, bytes]], known: bytes = b"") -> None:
        """Send the connections, which stay ours to close, and what we know, and say that this was all."""
        with self._ending("went away"):
            for start in range(0, len(connections), _FDS_A_MESSAGE):
                part = connections[start : start + _FDS_A_MESSAGE]
                send(self._channel, Parcel("connections", received=[data for _, data in part]), [fd for fd, _ in part])
            send(self._channel, Parcel("known", known=known))
            send(self._channel, Parcel("done"))
        self._channel.close()
        self._process.returncode = 0  # it outlives us on purpose: nobody need be warned of that

    def end(self) -> None:
        """The new engine is not wanted any more; ended twice it is ended once."""
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
    """A process of the same code as this one, wherever we were started: -P keeps modules of the current folder out."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}
    environment[VARIABLE] = str(channel)
    root = str(Path(__file__).parents[3])
    if root not in {*site.getsitepackages(), site.getusersitepackages()}:  # not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", MODULE, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if detached else None,
        start_new_session=True, pass_fds=[channel], env=environment, cwd="/",
    )  # fmt: skip


class Predecessor:
    """The old engine as the new one sees it. Blocking; used in a thread."""

    def __init__(self, channel: socket.socket) -> None:
        self.known = b""  # what it knows, once its connections came
        self._channel = channel
        self._channel.settimeout(READY_SECONDS)

    @classmethod
    def from_environment(cls) -> Predecessor | None:
        """The one that started this process, or None."""
        text = os.environ.pop(VARIABLE, "")
        if not text.isdigit():
            return None
        os.set_inheritable(int(text), False)
        return cls(socket.socket(fileno=int(text)))

    def listeners(self) -> InheritedSockets:
        """Its listening sockets. MailquotaError where it is gone."""
        try:
            parcel, handles = receive(self._channel)
        except (OSError, EOFError) as error:
            self._channel.close()
            raise MailquotaError("the engine that wanted to hand over is gone") from error
        found = {name: socket.socket(fileno=fd) for name, fd in zip(parcel.texts, handles, strict=True)}
        return InheritedSockets(found, frozenset(parcel.foreign))

    def say_ready(self) -> None:
        """This engine could answer now. Where the other one died meanwhile, it is needed all the more."""
        with contextlib.suppress(OSError):
            send(self._channel, Parcel("ready"))

    def connections(self) -> Iterator[tuple[socket.socket, bytes]]:
        """Its connections, until it is done or gone."""
        try:
            while True:
                parcel, handles = receive(self._channel)
                if parcel.kind == "done":
                    break
                self.known = parcel.known or self.known
                for handle, received in zip(handles, parcel.received, strict=True):
                    yield socket.socket(fileno=handle), received
        except (OSError, EOFError) as error:
            log.warning("the engine before this one went without a word: %s", error)
        self._channel.close()
