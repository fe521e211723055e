"""The engine's side of the helper: orders to a process that has the rights of the owner of the mailboxes.

Theory of operation. The helper (core/helper) listens on a UNIX socket. Each thread of the engine has a connection of
its own, which a thread of the helper serves: so a file system that hangs makes one thread hang here and one there, and
no other work waits. An order is a verb with its arguments, its answer a value or an error; both are frames of msgpack
behind their length, and bounded. The greeting carries the engine's descriptor of inotify, to which the helper adds
watches, so the kernel tells the engine of changes itself.

Probes for answers to Postfix go ahead in one frame for many (``send_ahead``), and their results come back as they are
ready, in the same order. A connection that the helper ended, as it was started anew, is replaced by another one.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from .errors import DeliveryError, MailquotaError, NoSuchAccountError, UnreachableError

PROTOCOL = 1  # an engine and a helper that differ in it do not work together
LONGEST_ORDER = 16 * 1024 * 1024  # bytes; a mail, or the last counts of a mailbox of 100,000 folders
LONGEST_ANSWER = 32 * 1024 * 1024
_SHORT_ANSWER = 1024 * 1024  # of all orders but those of _LONG
_LONGEST_GREETING = 64 * 1024
_LONG = frozenset({"count", "measure", "folders", "times", "contents", "sizes", "quotas_of", "quota_all"})
LONGEST_REASON = 300  # characters; why a mailbox can't be measured is kept for each one
_LONGEST_TEXT = 1000  # characters of an error
_LONGEST_RESULT = 2048  # bytes of the result of a probe
_LENGTH = struct.Struct("!I")
_GREETING_SECONDS = 1.0
_ENCODER = msgspec.msgpack.Encoder()
_PART = 1 << 20
_LAST_LOOK = 0.001  # seconds
# What comes of an answer that no helper gives: msgspec raises what Python does for texts, numbers and depth.
_UNREADABLE = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
_FAULTS = (OSError, EOFError, *_UNREADABLE)
_BY_PATH = frozenset({"maildir", "count"})  # the drivers that measure at mailstore.path


class HelperAwayError(UnreachableError):
    """The helper does not run, or went away at work. ``began``: it had the order, and may have carried it out."""

    def __init__(self, why: str, *, began: bool = False) -> None:
        super().__init__(f"the helper of the engine is away ({why})")
        self.began = began


class HelperSaidError(MailquotaError):
    """What the helper could not do; ``kind`` as in core/helper/answers.py."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Ahead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The result of a probe: its watch (-1: none), what was found, and the figures or the reason.

    ``kind`` is 0 for a measurement by maildirsize, 1 where a count is due, 2 where nothing changed, 3 where it can't be
    measured, 4 where the folder above all mailboxes is not there, 5 where its owner made the mailbox unreadable.
    """

    watch: int
    kind: int
    used: int = 0
    messages: int = 0
    stamp: int = 0
    expires_at: float | None = None
    reason: str = ""


Probe = tuple[Any, ...]  # its words: core/mailboxes/helper_driver.py
_AHEAD = msgspec.msgpack.Decoder(list[Ahead])


def send(sock: socket.socket, data: bytes) -> None:
    """One frame. Raises OSError."""
    sock.sendall(_LENGTH.pack(len(data)) + data)


def receive(sock: socket.socket, most: int, until: float | None = None) -> bytes:
    """One frame of at most ``most`` bytes, until ``until`` of time.monotonic(), or as long as it takes.

    Raises EOFError at the end, and for a longer one; OSError.
    """
    return read(sock, announced(sock, most, until), until)


def announced(sock: socket.socket, most: int, until: float | None = None) -> int:
    """How many bytes the next frame has. Raises as ``receive``."""
    (length,) = _LENGTH.unpack(read(sock, _LENGTH.size, until))
    if length > most:
        raise EOFError
    return int(length)


def read(sock: socket.socket, wanted: int, until: float | None = None) -> bytes:
    """So many bytes. However small the parts are in which they come, no more than twice as many are kept."""
    data = _part(sock, wanted, until) if wanted else b""
    if len(data) == wanted:
        return data
    whole = bytearray(data)
    while len(whole) < wanted:
        whole += _part(sock, wanted - len(whole), until)
    return bytes(whole)


def _part(sock: socket.socket, wanted: int, until: float | None) -> bytes:
    if until is not None:
        sock.settimeout(max(until - time.monotonic(), _LAST_LOOK))
    part = sock.recv(min(wanted, _PART))
    if not part or (until is not None and time.monotonic() > until):
        raise TimeoutError if part else EOFError
    return part


class Channel:
    """The connection of one thread. Results that were sent ahead come in their order."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._outstanding: deque[Probe] = deque()
        self._ready: deque[Ahead] = deque()

    def __del__(self) -> None:
        """With the thread ends its connection."""
        self.sock.close()

    @property
    def is_ended(self) -> bool:
        """Whether the helper has closed it."""
        if self._outstanding:
            return False
        try:
            return not self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def send_ahead(self, probes: Sequence[Probe]) -> None:
        """Ask for these probes."""
        self.drop()
        send(self.sock, _ENCODER.encode(("probe", probes)))
        self._outstanding.extend(probes)

    def ahead(self, probe: Probe) -> Ahead | None:
        """The result of a probe that was sent ahead; of those before it nothing is kept. None where it was not sent."""
        if probe not in self._outstanding:
            return None
        while self._outstanding[0] != probe:
            self._next()
            self._outstanding.popleft()
            self._ready.popleft()
        self._next()
        self._outstanding.popleft()
        return self._ready.popleft()

    def drop(self) -> None:
        """Take all results that are still to come, and keep none."""
        while self._outstanding:
            self._next()
            self._outstanding.popleft()
            self._ready.popleft()

    def _next(self) -> None:
        if not self._ready:
            found = _AHEAD.decode(receive(self.sock, _LONGEST_RESULT * len(self._outstanding)))
            if not 0 < len(found) <= len(self._outstanding):
                raise EOFError
            self._ready.extend(found)


class Helper:
    """The helper that listens at ``path``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._notify = -1
        self._local = threading.local()

    def watch_with(self, handle: int) -> None:
        """Have new connections add watches to this descriptor of inotify."""
        self._notify = handle
        self._local = threading.local()  # all connections are made anew

    def call(self, verb: str, *arguments: Any, gives: Any = Any) -> Any:
        """Have it do what ``verb`` names; the answer, of the type ``gives``.

        Raises HelperAwayError, HelperSaidError, OSError, NoSuchAccountError, UnreachableError, DeliveryError.
        """
        order = _ENCODER.encode((verb, arguments))
        channel = self._channel()
        try:
            channel.drop()
            send(channel.sock, order)
            answer = receive(channel.sock, LONGEST_ANSWER if verb in _LONG else _SHORT_ANSWER)
        except _FAULTS as error:
            raise self._lost(error, began=True) from error
        return _value(answer, gives)

    def send_ahead(self, probes: Sequence[Probe]) -> None:
        """Ask for these probes at once. Where that fails each one is asked for by itself."""
        with contextlib.suppress(HelperAwayError):
            channel = self._channel()
            try:
                channel.send_ahead(probes)
            except _FAULTS as error:
                raise self._lost(error) from error

    def probe(self, probe: Probe) -> Ahead:
        """The result of a probe, sent ahead or not. Raises HelperAwayError."""
        for last in (False, True):  # a second time where the connection had ended
            channel = self._channel()
            try:
                found = channel.ahead(probe)
                if found is None:
                    channel.send_ahead([probe])
                    found = channel.ahead(probe)
            except _FAULTS as error:
                away = self._lost(error)
                if last:
                    raise away from error
                continue
            assert found is not None
            self._local.watch = found.watch
            return found
        raise AssertionError

    def take_watch(self) -> int:
        """The watch that the last probe of this thread has added, once; -1 where there is none."""
        watch: int = getattr(self._local, "watch", -1)
        self._local.watch = -1
        return watch

    def ask(self, driver: str = "") -> str:
        """Why it does not answer, or measures by another driver than this one; "" if all is well.

        In a connection of its own, within two seconds.
        """
        try:
            with self._connect() as sock:
                until = time.monotonic() + _GREETING_SECONDS
                sock.settimeout(_GREETING_SECONDS)
                send(sock, _ENCODER.encode(("ping", ())))
                theirs = _value(receive(sock, _LONGEST_GREETING, until), str)[:_LONGEST_TEXT]
        except _FAULTS as error:
            return str(HelperAwayError(_why(error)))
        except MailquotaError as error:
            return str(error)
        both = {driver, theirs}
        differ = len(both) > 1 and both <= _BY_PATH
        return f"the helper's settings measure by {theirs}, those of the engine by {driver}" if differ else ""

    def _channel(self) -> Channel:
        found: Channel | None = getattr(self._local, "channel", None)
        if found is None or found.is_ended:
            try:
                found = self._local.channel = Channel(self._connect())
            except _FAULTS as error:
                raise self._lost(error) from error
        return found

    def _connect(self) -> socket.socket:
        """A connection after the greeting, of which the helper takes one descriptor."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        until = time.monotonic() + _GREETING_SECONDS
        try:
            sock.settimeout(_GREETING_SECONDS)
            sock.connect(self.path)
            greeting = _ENCODER.encode(("hello", (PROTOCOL,)))
            handles = [self._notify] if self._notify >= 0 else []
            socket.send_fds(sock, [_LENGTH.pack(len(greeting)) + greeting], handles)
            _value(receive(sock, _LONGEST_GREETING, until), str)
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return sock

    def _lost(self, error: Exception, *, began: bool = False) -> HelperAwayError:
        channel: Channel | None = getattr(self._local, "channel", None)
        if channel is not None:
            channel.sock.close()  # at once: the error may keep it alive
        self._local.channel = None
        return HelperAwayError(_why(error), began=began)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it ended the connection"


def _value(answer: bytes, type_: Any) -> Any:
    """The value of an answer. Raises the error in it."""
    try:
        kind, content = msgspec.msgpack.decode(answer, type=tuple[str, msgspec.Raw])
        if not kind:
            return msgspec.msgpack.decode(content, type=type_)
        error = _error(kind, content)
    except _UNREADABLE as odd:
        raise HelperSaidError("error", f"the helper's answer can't be read: {odd}") from odd
    raise error


def _error(kind: str, content: msgspec.Raw) -> Exception:
    """The error that an answer has, as core/helper/answers.py wrote it."""
    if kind == "os":
        number, text, name = msgspec.msgpack.decode(content, type=tuple[int, str, str])
        text, name = text[:_LONGEST_TEXT], name[:_LONGEST_TEXT]
        return OSError(number, text, name) if name else OSError(number, text)
    if kind == "delivery":
        text, temporary, unclear = msgspec.msgpack.decode(content, type=tuple[str, bool, bool])
        return DeliveryError(text[:_LONGEST_TEXT], temporary=temporary, unclear=unclear)
    text = msgspec.msgpack.decode(content, type=str)[:_LONGEST_TEXT]
    if kind == "account":
        return NoSuchAccountError(text)
    return UnreachableError(text) if kind == "unreachable" else HelperSaidError(kind[:_LONGEST_TEXT], text)
