"""A lane: file work in threads that can neither hold the loop nor the work behind it when a disk hangs.

Theory of operation. What is submitted during one turn of the loop goes to the lane's threads as one batch (a lane of
several threads cuts it into parts), so the cost of waking a thread is shared. A thread works its batch off item by item
and hands it back as a whole; where that takes a while, what is done goes back meanwhile. A second thread and further
ones are started only where work waits because the disk is slow.

While batches are out, a timer on the loop looks at their progress: where a thread has been at the same item for
``patience`` seconds, a file system hangs. Then what is done is handed back, that item's key is marked as stuck, and the
rest of the batch goes to another thread. The stuck thread is left alone; when its system call returns, it clears the
mark and ends. A thread that dies is replaced, and the item that it was at gets the fault as its result. A key that is
stuck is not worked at. Where ``MAX_STUCK`` threads hang at keys of one place, nothing of that place is, and where
``MAX_STUCK_EVERYWHERE`` hang nothing at all, until one of them returns. Threads are daemons: a hanging disk can't keep
the process from ending.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Generic, TypeVar

from mailquota.core.base import restarts

log = logging.getLogger(__name__)

MAX_STUCK = 8
MAX_STUCK_EVERYWHERE = 64
_TICK = 0.04
_SLOW = 0.005  # seconds that a batch may be out before another thread helps, and before what is done goes back
_PART = 16  # items of a batch where several threads share the work

I = TypeVar("I")  # noqa: E741 - the item of work
R = TypeVar("R")


class _Skipped:
    """The result of what was not worked at."""


_SKIPPED = _Skipped()


class _Batch(Generic[I, R]):
    __slots__ = ("cpu_seconds", "handed", "items", "results", "seen", "sent", "since", "worker")

    def __init__(self, items: list[I], sent: float) -> None:
        self.items = items
        self.results: list[R | Exception | _Skipped] = []
        self.handed = 0  # results that are back already
        self.sent = sent  # loop time
        self.worker: _Worker[I, R] | None = None  # who is at it; set in its thread
        self.cpu_seconds = 0.0
        self.seen = -1  # progress at the last look
        self.since = 0.0  # loop time at which this progress was first seen


class _Worker(Generic[I, R]):
    """One thread. The loop sets ``retired`` when it gives the thread up."""

    def __init__(self, lane: Lane[I, R]) -> None:
        self.retired = False
        self.stuck_at: tuple[Hashable, Hashable] | None = None  # place and key
        self._lane = lane
        self._batch: _Batch[I, R] | None = None  # the last one
        threading.Thread(target=self._run, name=f"mailquota-{lane.name}", daemon=True).start()

    def _run(self) -> None:
        lane = self._lane
        try:
            while not self.retired and (batch := lane.queue.get()) is not None:
                self._batch = batch
                batch.worker = self
                started = time.thread_time()
                self._work_off(batch)
                batch.cpu_seconds = time.thread_time() - started
                lane.post(lane.finished, batch)
        except BaseException as error:  # noqa: BLE001 - an outer edge: the thread ends, the lane goes on
            lane.post(lane.died, self, self._batch, error)
        if self.stuck_at is not None:
            lane.post(lane.recovered, *self.stuck_at)

    def _work_off(self, batch: _Batch[I, R]) -> None:
        lane, results = self._lane, batch.results
        told = time.perf_counter()
        for item in batch.items:
            if self.retired:
                return
            if results and time.perf_counter() - told > _SLOW:
                lane.post(lane.progressed, batch)
                told = time.perf_counter()
            try:
                results.append(lane.work(item) if lane.wanted(item) and lane.usable(item) else _SKIPPED)
            except Exception as error:  # noqa: BLE001 - an outer edge: the item's fault becomes its result
                results.append(error)


class Lane(Generic[I, R]):
    """``work(item)`` in at most so many ``threads``, ``done(item, result)`` on the loop; a result may be the exception
    that it raised.

    ``key(item)`` names what may hang, ``place(item)`` what its keys may hang with; ``patience`` is in seconds. For an
    item whose work hangs, and for one that was not begun because it is not ``wanted`` any more, ``stuck(item)`` is
    called on the loop instead of ``done``. A lane of one thread keeps the order.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[I], R],
        done: Callable[[I, R | Exception], None],
        *,
        stuck: Callable[[I], None],
        key: Callable[[I], Hashable],
        place: Callable[[I], Hashable],
        patience: float,
        threads: int = 1,
        wanted: Callable[[I], bool] = lambda _item: True,
    ) -> None:
        self.name = name
        self.work = work
        self.wanted = wanted
        self.queue: SimpleQueue[_Batch[I, R] | None] = SimpleQueue()
        self._done = done
        self._give_back = stuck
        self._key = key
        self._place = place
        self._patience = patience
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._pending: list[I] = []
        self._out: dict[_Batch[I, R], None] = {}  # sent and not back yet, oldest first
        self._workers: set[_Worker[I, R]] = set()  # but for those that hang
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: Counter[Hashable] = Counter()  # threads that hang, by key
        self._stuck_at: Counter[Hashable] = Counter()  # and by place
        self._closed = False
        self._starved = False  # no thread could be started
        self.hangs = 0  # threads that were given up, ever
        self.cpu_seconds = 0.0  # of batches that came back whole

    @property
    def stuck(self) -> int:
        """Threads that hang now."""
        return self._stuck.total()

    def usable(self, item: I) -> bool:
        """Whether submitting makes sense: neither the item's key nor its place nor everything hangs."""
        return not self._stuck or not (
            self.is_stuck(item) or self._stuck_at[self._place(item)] >= MAX_STUCK or self.stuck >= MAX_STUCK_EVERYWHERE
        )

    def is_stuck(self, item: I) -> bool:
        """Whether it is this very key that hangs."""
        return self._key(item) in self._stuck

    def submit(self, item: I) -> None:
        """Have ``work(item)`` done; ``done`` or ``stuck`` follows, never within this call."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(item)

    def close(self) -> None:
        """Let the threads end after the item that they are at; nothing is handed back any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._out.clear()
        for worker in self._workers:
            worker.retired = True
            self.queue.put(None)

    def post(self, callback: Callable[..., None], *args: object) -> None:
        """Call on the loop, from a worker; a loop that has ended does not care any more."""
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.debug("%s: the loop has ended", self.name)

    def _flush(self) -> None:
        items, self._pending = self._pending, []
        if not self._closed:
            self._send(items)

    def _send(self, items: list[I]) -> None:
        size = len(items) if self._threads == 1 else _PART
        now = self._loop.time()
        for start in range(0, len(items), size):
            batch: _Batch[I, R] = _Batch(items[start : start + size], now)
            self._out[batch] = None
            self.queue.put(batch)
        self._help(now)
        self._look_soon()

    def _look_soon(self) -> None:
        if self._out and self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._look)

    def _help(self, now: float) -> None:
        """Threads for what waits: the first at once, others where the oldest batch has been out for long."""
        oldest = next(iter(self._out), None)
        most = 1 if oldest is None or now - oldest.sent < _SLOW else self._threads
        try:
            while len(self._workers) < min(most, len(self._out)):
                self._workers.add(_Worker(self))
            self._starved = False
        except RuntimeError as error:  # no more threads may be started now: the next look tries again
            if not self._starved:
                log.error("%s: %s; what is to be done there waits", self.name, error)
            self._starved = True

    def progressed(self, batch: _Batch[I, R]) -> None:
        """A batch takes its time: what is done of it."""
        if batch in self._out:
            self._hand_back(batch, len(batch.results))

    def finished(self, batch: _Batch[I, R]) -> None:
        """A batch came back. One that was taken from its worker meanwhile has been dealt with."""
        if batch not in self._out:
            return
        del self._out[batch]
        self.cpu_seconds += batch.cpu_seconds
        self._hand_back(batch, len(batch.results))
        rest = batch.items[len(batch.results) :]  # its worker was given up at the batch before
        if rest:
            self._send(rest)

    def died(self, worker: _Worker[I, R], batch: _Batch[I, R] | None, error: BaseException) -> None:
        """A thread ended: another one goes on, behind the item that it was at."""
        self._workers.discard(worker)
        if worker.retired:
            return
        restarts.count(f"thread for {self.name}", error)
        if batch is not None and batch in self._out:
            del self._out[batch]
            if len(batch.results) < len(batch.items):
                batch.results.append(RuntimeError(f"a thread of ours ended at it: {error!r}"))
            done = len(batch.results)
            self._hand_back(batch, done)
            if rest := batch.items[done:]:
                self._send(rest)
        self._help(self._loop.time())

    def recovered(self, place: Hashable, key: Hashable) -> None:
        """A stuck thread returned."""
        self._stuck -= Counter([key])  # what comes to 0 is not there any more
        self._stuck_at -= Counter([place])
        log.warning("%s: the file system of %s answers again", self.name, key)

    def _hand_back(self, batch: _Batch[I, R], until: int) -> None:
        start, batch.handed = batch.handed, until
        for item, result in zip(batch.items[start:until], batch.results[start:until], strict=True):
            try:
                if isinstance(result, _Skipped):
                    self._give_back(item)
                else:
                    self._done(item, result)
            except Exception:  # an outer edge: a fault at one item must not lose the others
                log.exception("%s: a result could not be taken", self.name)

    def _look(self) -> None:
        """The timer: do the batches get on?"""
        self._timer = None
        now = self._loop.time()
        try:
            for batch in list(self._out):
                progress = len(batch.results)
                if batch.worker is None:
                    continue
                if progress != batch.seen:
                    batch.seen, batch.since = progress, now
                elif now - batch.since >= self._patience and progress < len(batch.items):
                    self._give_up(batch, batch.worker, progress)
            self._help(now)
        finally:
            self._look_soon()

    def _give_up(self, batch: _Batch[I, R], worker: _Worker[I, R], progress: int) -> None:
        """The worker hangs at item ``progress`` of its batch: go on without it."""
        item = batch.items[progress]
        place, key = worker.stuck_at = self._place(item), self._key(item)
        worker.retired = True
        self._workers.discard(worker)
        del self._out[batch]
        self._stuck[key] += 1
        self._stuck_at[place] += 1
        self.hangs += 1
        log.error("%s: the file system of %s does not answer", self.name, key)
        self._hand_back(batch, progress)
        rest = batch.items[progress + 1 :]
        for lost in [item, *(other for other in rest if not self.usable(other))]:
            self._give_back(lost)
        if rest := [other for other in rest if self.usable(other)]:
            self._send(rest)
