"""A lane: file work in a thread that can neither hold the loop nor the work behind it when a disk hangs.

Theory of operation. What is submitted during one turn of the loop goes to the lane's thread as one batch, so the cost
of waking a thread is shared. The thread works the batch off item by item and hands it back as a whole. While a batch is
out, a timer on the loop looks at its progress: where the thread has been at the same item for ``patience`` seconds, a
file system hangs. Then what is done is handed back, that item's key is marked as stuck, and the rest of the work goes
to a new thread. The stuck thread is left alone; when its system call returns, it clears the mark and ends. A key that
is stuck is not worth submitting, and when ``MAX_STUCK`` threads hang nothing is, until one of them returns. Threads are
daemons: a hanging disk can't keep the process from ending.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

MAX_STUCK = 8
_TICK = 0.04

I = TypeVar("I")  # noqa: E741 - the item of work
R = TypeVar("R")


class _Batch(Generic[I, R]):
    __slots__ = ("cpu_seconds", "items", "results", "seen", "since")

    def __init__(self, items: list[I]) -> None:
        self.items = items
        self.results: list[R | Exception] = []
        self.cpu_seconds = 0.0
        self.seen = -1  # progress at the last look
        self.since = 0.0  # loop time at which this progress was first seen


class _Worker(Generic[I, R]):
    """One thread and its queue. The loop sets ``retired`` when it gives the thread up, at the work of ``stuck_key``."""

    def __init__(self, lane: Lane[I, R]) -> None:
        self.queue: SimpleQueue[_Batch[I, R] | None] = SimpleQueue()
        self.batches: list[_Batch[I, R]] = []  # out, oldest first; touched by the loop alone
        self.retired = False
        self.stuck_key: Hashable = None
        self._lane = lane
        threading.Thread(target=self._run, name=f"mailquota-{lane.name}", daemon=True).start()

    def _run(self) -> None:
        lane, queue = self._lane, self.queue
        while not self.retired and (batch := queue.get()) is not None:
            started = time.thread_time()
            self._work_off(batch)
            batch.cpu_seconds = time.thread_time() - started
            lane.post(lane.finished, self, batch)
        if self.stuck_key is not None:
            lane.post(lane.recovered, self.stuck_key)

    def _work_off(self, batch: _Batch[I, R]) -> None:
        work, results = self._lane.work, batch.results
        for item in batch.items:
            if self.retired:
                return
            try:
                results.append(work(item))
            except Exception as error:  # noqa: BLE001 - an outer edge: the item's fault becomes its result
                results.append(error)


class Lane(Generic[I, R]):
    """``work(item)`` in a thread, ``done(item, result)`` on the loop; a result may be the exception that it raised.

    ``key(item)`` names what may hang, ``patience`` is in seconds. For an item whose work hangs ``stuck(item)`` is
    called on the loop instead of ``done``.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[I], R],
        done: Callable[[I, R | Exception], None],
        *,
        stuck: Callable[[I], None],
        key: Callable[[I], Hashable],
        patience: float,
    ) -> None:
        self.name = name
        self.work = work
        self._done = done
        self._give_back = stuck
        self._key = key
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._pending: list[I] = []
        self._worker: _Worker[I, R] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: dict[Hashable, int] = {}
        self._closed = False
        self.hangs = 0  # threads that were given up, ever
        self.cpu_seconds = 0.0  # of batches that came back whole

    @property
    def stuck(self) -> int:
        """Threads that hang now."""
        return sum(self._stuck.values())

    def usable(self, item: I) -> bool:
        """Whether submitting makes sense: neither the item's key nor everything hangs."""
        return not self._stuck or (self._key(item) not in self._stuck and self.stuck < MAX_STUCK)

    def submit(self, item: I) -> None:
        """Have ``work(item)`` done; ``done`` or ``stuck`` follows, never within this call."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(item)

    def close(self) -> None:
        """Let the thread end after the item that it is at; nothing is handed back any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._worker is not None:
            self._worker.batches.clear()
            self._worker.retired = True
            self._worker.queue.put(None)

    def post(self, callback: Callable[..., None], *args: object) -> None:
        """Call on the loop, from a worker; a loop that has ended does not care any more."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.debug("%s: the loop has ended", self.name)

    def _flush(self) -> None:
        items, self._pending = self._pending, []
        if not self._closed:
            self._send(_Batch(items))

    def _send(self, batch: _Batch[I, R]) -> None:
        if self._worker is None:
            self._worker = _Worker(self)
        batch.since = self._loop.time()
        self._worker.batches.append(batch)
        self._worker.queue.put(batch)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._look)

    def finished(self, worker: _Worker[I, R], batch: _Batch[I, R]) -> None:
        """A batch came back whole. One that was taken from its worker meanwhile has been dealt with."""
        if batch in worker.batches:
            worker.batches.remove(batch)
            self.cpu_seconds += batch.cpu_seconds
            self._hand_back(batch, len(batch.items))

    def recovered(self, key: Hashable) -> None:
        """A stuck thread returned."""
        left = self._stuck.get(key, 0) - 1
        if left > 0:
            self._stuck[key] = left
        else:
            self._stuck.pop(key, None)
        log.warning("%s: the file system of %s answers again", self.name, key)

    def _hand_back(self, batch: _Batch[I, R], count: int) -> None:
        for item, result in zip(batch.items[:count], batch.results[:count], strict=True):
            try:
                self._done(item, result)
            except Exception:  # an outer edge: a fault at one item must not lose the others
                log.exception("%s: a result could not be taken", self.name)

    def _look(self) -> None:
        """The timer: is the oldest batch getting on?"""
        worker = self._worker
        self._timer = None
        if worker is None or not worker.batches:
            return
        batch, now = worker.batches[0], self._loop.time()
        progress = len(batch.results)
        if progress != batch.seen:
            batch.seen, batch.since = progress, now
        elif now - batch.since >= self._patience and progress < len(batch.items):
            self._give_up(worker, batch, progress)
        self._timer = self._loop.call_later(_TICK, self._look)

    def _give_up(self, worker: _Worker[I, R], batch: _Batch[I, R], progress: int) -> None:
        """The worker hangs at item ``progress`` of its oldest batch: go on without it."""
        item = batch.items[progress]
        key = self._key(item)
        worker.stuck_key, worker.retired, self._worker = key, True, None
        worker.queue.put(None)
        self._stuck[key] = self._stuck.get(key, 0) + 1
        self.hangs += 1
        log.error("%s: the file system of %s does not answer", self.name, key)
        rest = batch.items[progress + 1 :]
        for later in worker.batches[1:]:
            rest += later.items
        worker.batches.clear()
        self._hand_back(batch, progress)
        for lost in [item, *(other for other in rest if not self.usable(other))]:
            self._give_back(lost)
        if rest := [other for other in rest if self.usable(other)]:
            self._send(_Batch(rest))
