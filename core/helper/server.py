"""The helper's worker: it accepts the engine's connections, each served by a thread, until it is ended.

Who may connect: the engine's own user, and root. A connection begins with a greeting. Orders are bounded, and so is the
number of connections: of one file system that hangs the engine leaves a few behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import sys
import threading
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ..base import process
from ..base.errors import MailquotaError, SettingsError
from ..base.helper_calls import LONGEST_ORDER, PROTOCOL, announced, read, send
from ..mailboxes.from_settings import engine_user
from ..mailboxes.measure import Unmeasurable
from ..settings.config import Config
from .answers import failure, value
from .probes import Asked, Batch, Flusher, Watcher, work_off
from .verbs import Verbs

log = logging.getLogger(__name__)

HEARTBEAT = 1.0  # seconds
MOST_CONNECTIONS = 400
MOST_LARGE = 16  # orders of more than _SMALL_ORDER bytes at a time; others wait for their turn
_SMALL_ORDER = 64 * 1024
_SWITCH_SECONDS = 0.0005  # a probe must not wait long for a count in another thread
_GREETING_SECONDS = 5.0
_LONGEST_GREETING = 64
_CREDENTIALS = struct.Struct("3i")
_LENGTH = 4
_ORDER = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_HELLO = msgspec.msgpack.Decoder(tuple[str, tuple[int]])
_NO_ORDERS = (OSError, EOFError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NAMES = (
    "ping", "follow", "count", "measure", "folders", "recorded", "compare", "times", "is_mailbox", "is_folder", "real",
    "stray", "quota", "sizes", "quotas_of", "quota_all", "recount", "recount_by_doveadm", "empty_by_doveadm", "empty",
    "deliver", "was_delivered", "contents",
)  # fmt: skip


class Order:
    """A verb with the types of its arguments: anything else is refused."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self._work = work
        hints = typing.get_type_hints(work)
        hints.pop("return", None)
        self._arguments: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(tuple[*hints.values()])  # type: ignore[misc]

    def carry_out(self, raw: msgspec.Raw) -> bytes:
        """The answer."""
        try:
            return value(self._work(*self._arguments.decode(raw)))
        except (MailquotaError, Unmeasurable, OSError) as error:
            return failure(error)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
            return failure(MailquotaError(f"that is no order: {error}"))


class Server:
    """Serves connections, by ``verbs``, for the users with these numbers."""

    def __init__(self, verbs: Verbs, users: frozenset[int]) -> None:
        self._verbs = verbs
        self._users = users
        self._orders = {name: Order(getattr(verbs, name)) for name in _NAMES}
        self._watcher = Watcher(verbs.store.base)
        self._flusher = Flusher()
        self._places = threading.Semaphore(MOST_CONNECTIONS)
        self._large = threading.Semaphore(MOST_LARGE)

    def accept(self, sock: socket.socket) -> None:
        """Serve a connection in a thread of its own; close one that is too many, or of somebody else."""
        if not self._may(sock) or not self._places.acquire(blocking=False):
            sock.close()
            return
        try:
            threading.Thread(target=self._run, args=(sock,), name="connection", daemon=True).start()
        except RuntimeError as error:
            log.error("no further connection: %s", error)
            self._places.release()
            sock.close()

    def _may(self, sock: socket.socket) -> bool:
        _, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in self._users:
            log.warning("user %d may not use the helper", user)
        return user in self._users

    def _run(self, sock: socket.socket) -> None:
        notify = -1
        try:
            with sock, contextlib.suppress(*_NO_ORDERS):
                notify = _greet(sock)
                self._serve(sock, notify)
        except Exception:  # an outer edge: one connection ends, others go on
            log.exception("a connection ended by a fault")
        finally:
            if notify >= 0:
                os.close(notify)
            self._places.release()

    def _serve(self, sock: socket.socket, notify: int) -> None:
        while True:
            length = announced(sock, LONGEST_ORDER)
            with self._large if length > _SMALL_ORDER else contextlib.nullcontext():
                self._order(sock, notify, read(sock, length))

    def _order(self, sock: socket.socket, notify: int, data: bytes) -> None:
        verb, raw = _ORDER.decode(data)
        if verb == "probe":
            self._probe(sock, notify, msgspec.msgpack.decode(raw, type=list[Asked]))
            return
        order = self._orders.get(verb)
        send(sock, failure(MailquotaError("there is no such order")) if order is None else order.carry_out(raw))

    def _probe(self, sock: socket.socket, notify: int, asked: list[Asked]) -> None:
        batch = Batch(sock)
        self._flusher.begin(batch)
        try:
            work_off(self._verbs, self._watcher, notify, asked, batch)
        finally:
            self._flusher.end(batch)


def _greet(sock: socket.socket) -> int:
    """Take the greeting; the descriptor of inotify that came with it, -1 without one. Raises EOFError."""
    sock.settimeout(_GREETING_SECONDS)
    data, handles, _, _ = socket.recv_fds(sock, _LENGTH + _LONGEST_GREETING, 1, socket.MSG_CMSG_CLOEXEC)
    notify = handles[0] if handles else -1
    try:
        for extra in handles[1:]:
            os.close(extra)
        word, (number,) = _HELLO.decode(data[_LENGTH:])
        if word != "hello" or number != PROTOCOL:
            send(sock, failure(MailquotaError("engine and helper are of different versions: start both anew")))
            raise EOFError
        send(sock, value("hello"))
        sock.settimeout(None)
    except BaseException:
        if notify >= 0:
            os.close(notify)
        raise
    return notify


def work(config: Config, listener: socket.socket, heart: int) -> None:
    """Serve for the life of this process, and write a byte into ``heart`` each second. Raises MailquotaError."""
    process.close_to_others()
    sys.setswitchinterval(_SWITCH_SECONDS)
    server = Server(Verbs(config), frozenset({0, known_engine_user(config)}))
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        os.write(heart, b".")
        if not poll.poll(HEARTBEAT * 1000):
            continue
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            sock, _ = listener.accept()
            sock.setblocking(True)
            server.accept(sock)


def known_engine_user(config: Config) -> int:
    """The number of ``mailstore.engine_user``. Raises SettingsError where there is no such user."""
    user = engine_user(config)
    if user is None:
        raise SettingsError(f"mailstore.engine_user: there is no user {config.settings.mailstore.engine_user}")
    return user
