"""Asks maps of Postfix through its own program, postmap(1), which knows every type of map.

Theory of operation. A map that is asked often has a postmap of its own that stays: ``postmap -q -`` reads one key a
line and prints a line for each that is found. After the map itself a ``static:`` map answers, so that there is a line
for every key. postmap writes only once 4096 bytes are full, so after each batch a *mark* is asked, a random key that is
found in an ``inline:`` map before all others, with a value of three times that length.

A batch counts only as a whole: each line must be that of its key, in order, up to the mark. So a map that prints line
breaks can't answer for other keys. A map that fails ends postmap; the keys of that batch are then asked one by one.

A postmap lives for ``_LIFE`` seconds at most where it keeps a file open or read that may have been replaced. A map
that does not answer, or fails several times in a row, is left alone for a while; its keys have no answer meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from ...base.programs import find, last_line, search_path

PATIENCE = 5.0  # seconds for the answers to a batch
QUEUED = 2000  # keys of one map that wait at most
_WAIT = 2.0  # seconds that a key waits at most before it is asked
_PACE = 0.05  # seconds that a batch should take
LONGEST = 64 * 1024  # bytes of an answer
_BATCH = 64
_LIFE, _LONG_LIFE = 2.0, 60.0
# Maps that are asked over a connection: nothing of them is kept. Each start of a program may hold the loop up.
_CONNECTED = frozenset({"socketmap", "tcp", "ldap", "mysql", "pgsql", "memcache", "mongodb"})
_IDLE = 3.0  # seconds without a key after which a thread ends
_THREADS = 4
_SLOW = 0.02  # seconds that the oldest key may wait before another thread helps
_FAILURES = 3  # in a row
_FIRST_REST, _LONGEST_REST = 1.0, 30.0
_BUFFER = 4096  # of Postfix's streams
_CHUNK = 1 << 16


class MapError(Exception):
    """A map gave no answer. ``one_key``: it failed, by what is seen, for one of the keys: postmap ended by itself."""

    def __init__(self, reason: str, *, one_key: bool = False) -> None:
        super().__init__(reason)
        self.one_key = one_key


class MapAnswer(NamedTuple):
    """The answer of a map to a key: ``value`` is None where it has no such key. ``fault`` is why there is no answer."""

    key: str
    value: str | None
    fault: str = ""


class Postmap:
    """One running postmap for one map. Used in one thread."""

    def __init__(self, name: str) -> None:
        program = find("postmap")
        if program is None:
            raise MapError("postmap is not installed")
        mark = secrets.token_hex(12)
        self._mark, self._none = f"{mark}m".encode(), f"{mark}n".encode()
        maps = [f"inline:{{ {{{self._mark.decode()} = {'z' * 3 * _BUFFER}}} }}", name, f"static:{self._none.decode()}"]
        lasting = name.partition(":")[0] in _CONNECTED
        self._until = time.monotonic() + (_LONG_LIFE if lasting else _LIFE)
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                [program, "-q", "-", *maps],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C", "PATH": search_path()},
            )
        except (OSError, ValueError) as error:
            raise MapError(f"postmap can't be run: {getattr(error, 'strerror', None) or error}") from None
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    @property
    def old(self) -> bool:
        """Whether another one should answer the next batch."""
        return time.monotonic() > self._until

    def ask(self, keys: Sequence[str], patience: float = PATIENCE) -> list[str | None]:
        """The value of each key, None where there is none. Raises MapError; then it can't be asked any more."""
        asked = b"".join(key.encode() + b"\n" for key in keys) + self._mark + b"\n"
        return self._parse(keys, self._exchange(asked, time.monotonic() + patience, LONGEST * len(keys)))

    def _exchange(self, asked: bytes, until: float, most: int) -> bytes:
        """What is printed before the mark."""
        process, end = self._process, b"\n" + self._mark + b"\t"
        found, told, start = b"\n" + self._rest, b"", 1 if self._rest else 0
        with selectors.DefaultSelector() as waiting:
            waiting.register(_pipe(process.stdin), selectors.EVENT_WRITE)
            waiting.register(_pipe(process.stdout), selectors.EVENT_READ)
            waiting.register(_pipe(process.stderr), selectors.EVENT_READ)
            while (at := found.find(end, start)) < 0:
                ready = waiting.select(max(0.0, until - time.monotonic()))
                if not ready or len(found) > most + 4 * _BUFFER:
                    raise MapError(f"postmap {'printed too much' if ready else 'did not answer in time'}{_told(told)}")
                for key, _ in ready:
                    if key.fileobj is process.stdin:
                        part = asked = self._write(asked)
                    else:
                        part = os.read(key.fd, _CHUNK)
                    if key.fileobj is process.stderr:
                        told = (told + part)[-LONGEST:]
                    elif key.fileobj is process.stdout:
                        found += part or self._ended(told)
                    if not part:
                        waiting.unregister(key.fileobj)
        self._rest = found[at + len(end) :]
        return found[1:at]

    def _write(self, asked: bytes) -> bytes:
        assert self._process.stdin is not None
        try:
            return asked[os.write(self._process.stdin.fileno(), asked) :]
        except BlockingIOError:
            return asked
        except BrokenPipeError:  # it has ended; its output says why
            return b""

    def _ended(self, told: bytes) -> bytes:
        """Raises MapError with the reason that postmap gave."""
        with contextlib.suppress(OSError, TypeError):
            told += _pipe(self._process.stderr).read() or b""
        raise MapError(
            last_line(told.decode(errors="replace"))[:300] or "postmap ended without an answer", one_key=True
        )

    def _parse(self, keys: Sequence[str], printed: bytes) -> list[str | None]:
        lines = printed.split(b"\n")
        if lines and set(lines[0]) <= set(b"z"):  # the end of the mark before
            lines = lines[1:]
        if len(lines) != len(keys):
            raise MapError("postmap printed what is no answer", one_key=True)
        return [self._value(key.encode(), line) for key, line in zip(keys, lines, strict=True)]

    def _value(self, key: bytes, line: bytes) -> str | None:
        if not line.startswith(key + b"\t"):
            raise MapError("postmap printed what is no answer", one_key=True)
        value = line[len(key) + 1 :]
        return None if value == self._none else value.decode(errors="replace")

    def kill(self) -> None:
        """End the program, whatever it does; may be called in another thread."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """End the program, and free what it used."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _told(text: bytes) -> str:
    line = last_line(text.decode(errors="replace"))[:300]
    return f": {line}" if line else ""


def ask_once(name: str, keys: Sequence[str], patience: float = PATIENCE) -> list[str | None]:
    """The values of these keys by a postmap that ends afterwards. Raises MapError. Blocks for ``patience`` at most."""
    postmap = Postmap(name)
    try:
        found: list[str | None] = []
        for start in range(0, len(keys), _BATCH):
            found += postmap.ask(keys[start : start + _BATCH], patience)
        return found
    finally:
        postmap.end()


class MapAsker:
    """Asks one map, in threads that end when there is nothing to ask. ``answered`` is called in a thread.

    ``ask`` may be called in any thread and never waits.
    """

    def __init__(self, name: str, answered: Callable[[list[MapAnswer]], None]) -> None:
        self.name = name
        self.fault = ""  # why it does not answer now
        self._answered = answered
        self._lock = threading.Condition()
        self._queue: deque[tuple[str, float]] = deque()
        self._alone: set[str] = set()  # keys of a batch that failed: each is asked by itself
        self._threads = 0
        self._idle = 0
        self._failed = 0
        self._rest = _FIRST_REST
        self._resting_until = 0.0
        self._closed = False
        self._took = 0.0  # seconds for the last batch
        self._size = 8  # keys of the next batch
        self._running: set[Postmap] = set()

    @property
    def slow(self) -> bool:
        """Whether the last answers took so long that nobody should wait for the next ones."""
        return self._took > _SLOW

    @property
    def resting(self) -> bool:
        """Whether the map is left alone now, as it did not answer."""
        return time.monotonic() < self._resting_until

    def ask(self, key: str) -> bool:
        """Have a key asked; False where that will not be done, as too many wait or the map does not answer."""
        with self._lock:
            if self._closed or self.resting or len(self._queue) >= QUEUED:
                return False
            now = time.monotonic()
            self._queue.append((key, now))
            slow = now - self._queue[0][1] > _SLOW
            if self._idle:
                self._lock.notify()
            elif not self._threads or (slow and self._threads < _THREADS):
                self._start()
        return True

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="mailquota-map", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self.fault = str(error)
        else:
            self._threads += 1

    def close(self) -> None:
        """Ask no more, and end all programs, so that the threads end."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            for postmap in self._running:
                postmap.kill()
            self._lock.notify_all()

    def _run(self) -> None:
        postmap: Postmap | None = None
        try:
            while batch := self._next():
                if postmap is not None and postmap.old:
                    self._end(postmap)
                    postmap = None
                try:
                    postmap = postmap or self._begin()
                    started = time.monotonic()
                    values = postmap.ask(batch)
                except MapError as error:
                    self._end(postmap)
                    postmap = None
                    self._answered(self._failure(batch, error))
                else:
                    self._works(batch, time.monotonic() - started)
                    self._answered([MapAnswer(key, value) for key, value in zip(batch, values, strict=True)])
        finally:
            with self._lock:
                self._threads -= 1
            self._end(postmap)

    def _begin(self) -> Postmap:
        postmap = Postmap(self.name)
        with self._lock:
            self._running.add(postmap)
            if self._closed:
                postmap.kill()
        return postmap

    def _end(self, postmap: Postmap | None) -> None:
        if postmap is not None:
            with self._lock:
                self._running.discard(postmap)
            postmap.end()

    def _next(self) -> list[str]:
        """The next keys to ask; empty where the thread should end."""
        with self._lock:
            if not self._queue and not self._closed:
                self._idle += 1
                self._lock.wait(_IDLE)
                self._idle -= 1
            batch: list[str] = []
            lost: list[str] = []
            now = time.monotonic()
            while self._queue and len(batch) < self._size:
                key, since = self._queue[0]
                if now - since > _WAIT and len(lost) < _BATCH:
                    self._queue.popleft()
                    lost.append(key)
                    continue
                if key in self._alone and batch:
                    break
                self._queue.popleft()
                batch.append(key)
                if key in self._alone:
                    break
        if lost:
            self._answered([MapAnswer(key, None, "more is asked than it answers") for key in lost])
        return batch

    def _works(self, batch: list[str], took: float) -> None:
        with self._lock:
            self._took = took
            self._size = max(1, min(_BATCH, int(_PACE * len(batch) / max(took, 1e-6))))
            self._alone.difference_update(batch)
            self._failed, self._rest, self.fault = 0, _FIRST_REST, ""

    def _failure(self, batch: list[str], error: MapError) -> list[MapAnswer]:
        """What to answer now: nothing where the keys will be asked one by one."""
        with self._lock:
            self.fault = str(error)
            if error.one_key and len(batch) > 1:
                self._alone.update(batch)
                self._queue.extendleft((key, time.monotonic()) for key in reversed(batch))
                return []
            self._alone.difference_update(batch)
            self._failed += 1
            lost = list(batch)
            if self._failed >= _FAILURES or not error.one_key:
                self._resting_until = time.monotonic() + self._rest
                self._rest = min(2 * self._rest, _LONGEST_REST)
                lost += [key for key, _ in self._queue]
                self._queue.clear()
                self._alone.clear()
            return [MapAnswer(key, None, str(error)) for key in lost]
