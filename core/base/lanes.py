"""A lane does file work in threads, so that a file system that hangs blocks neither the loop nor other work.

Theory of operation. Items that are submitted during one turn of the loop go to the lane's threads as one batch (a lane
of several threads cuts it into parts), so that waking a thread is paid for once. A thread works on its batch item by
item and hands the results back together; where that takes long, it hands back those that are ready meanwhile. A second
thread and further ones are started only where work waits because the file system is slow.

While batches are out, a timer on the loop checks their progress. Without progress for ``patience`` seconds the item
counts as hanging, probably because its file system does not answer. The results so far are then handed back, the item's
key counts as stuck, and the rest of the batch goes to another thread. A system call that hangs can't be cancelled, so
the thread is left alone: when the call returns, the key is no longer stuck and the thread ends; the item's result is
lost. A thread that dies by an error is replaced, and the item that it was at gets the error as its result.

No work is done for a key that is stuck. Where ``MAX_STUCK`` threads hang at keys of one place, none is done for that
place, and where ``MAX_STUCK_EVERYWHERE`` hang none at all, until one of them returns: else one file system that hangs
would take a thread for each mailbox on it. Threads are daemons, so a hanging one can't keep the process from ending.
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

from . import restarts

log = logging.getLogger(__name__)

MAX_STUCK = 8  # threads for one place
MAX_STUCK_EVERYWHERE = 64
_TICK = 0.04  # seconds between two checks of progress
_SLOW = 0.005  # seconds that a batch may be out before another thread helps, and before ready results are handed back
_PART = 16  # items of a batch where several threads share the work

I = TypeVar("I")  # noqa: E741 - the item of work
R = TypeVar("R")


class _Skipped:
    """Stands for the result of an item that was not worked on: not wanted any more, or its key is stuck."""


_SKIPPED = _Skipped()


class _Batch(Generic[I, R]):
    __slots__ = ("cpu_seconds", "handed", "items", "results", "seen", "sent", "since", "worker")

    def __init__(self, items: list[I], sent: float) -> None:
        self.items = items
        self.results: list[R | Exception | _Skipped] = []
        self.handed = 0  # results that were handed back
        self.sent = sent  # loop time
        self.worker: _Worker[I, R] | None = None  # the thread that works on it; set in that thread
        self.cpu_seconds = 0.0
        self.seen = -1  # number of results at the last check
        self.since = 0.0  # loop time of the check that first found this number


class _Worker(Generic[I, R]):
    """One thread of a lane. The loop sets ``retired`` when it gives the thread up, and ``stuck_at`` where it hangs."""

    def __init__(self, lane: Lane[I, R]) -> None:
        self.retired = False
        self.stuck_at: tuple[Hashable, Hashable] | None = None  # place and key
        self._lane = lane
        self._batch: _Batch[I, R] | None = None  # the one that it works on, or worked on last
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
        except BaseException as error:  # noqa: BLE001 - an outer edge: the thread ends, the lane starts another
            lane.post(lane.died, self, self._batch, error)
        if self.stuck_at is not None:
            lane.post(lane.recovered, *self.stuck_at)

    def _work_off(self, batch: _Batch[I, R]) -> None:
        # The loop reads the length of ``results`` while this thread appends: it is how far the batch has come.
        lane, results = self._lane, batch.results
        reported = time.perf_counter()
        if lane.prepare is not None:
            lane.prepare([item for item in batch.items if lane.wanted(item) and lane.usable(item)])
        for item in batch.items:
            if self.retired:  # given up while it hung: the rest of the batch is another thread's by now
                return
            if results and time.perf_counter() - reported > _SLOW:
                lane.post(lane.progressed, batch)
                reported = time.perf_counter()
            try:
                results.append(lane.work(item) if lane.wanted(item) and lane.usable(item) else _SKIPPED)
            except Exception as error:  # noqa: BLE001 - an outer edge: the error becomes the item's result
                results.append(error)


class Lane(Generic[I, R]):
    """Calls ``work(item)`` in at most ``threads`` threads, not counting those that hang, then ``done(item, result)``.

    ``done`` is called on the loop; the result is what ``work`` returned, or the exception that it raised. ``key(item)``
    is what may hang, such as a mailbox; ``place(item)`` is what many keys have in common, such as a mount point.
    Without progress for ``patience`` seconds an item counts as hanging: ``stuck(item)`` is called on the loop instead
    of ``done``, and what its work returns later is lost. ``stuck`` is also called for an item that was not begun,
    because its key or place is stuck or because ``wanted(item)`` is false by then. ``prepare`` is called in
    the thread, with those items of a batch that it is going to work on. With one thread the order of items
    is kept, unless a thread hangs or dies.
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
        prepare: Callable[[list[I]], None] | None = None,
    ) -> None:
        self.name = name
        self.prepare = prepare
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
        self._out: dict[_Batch[I, R], None] = {}  # sent and not yet handed back, oldest first
        self._workers: set[_Worker[I, R]] = set()  # without those that hang
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: Counter[Hashable] = Counter()  # threads that hang, by key
        self._stuck_at: Counter[Hashable] = Counter()  # and by place
        self._closed = False
        self._starved = False  # no thread could be started
        self.hangs = 0  # threads given up because they hung, since the start
        self.cpu_seconds = 0.0  # of threads, for batches that were worked to their end

    @property
    def hanging_threads(self) -> int:
        """The number of threads that hang now."""
        return self._stuck.total()

    def usable(self, item: I) -> bool:
        """Whether work for the item would be begun: its key is not stuck, and not too many threads hang."""
        return not self._stuck or not (
            self.is_stuck(item)
            or self._stuck_at[self._place(item)] >= MAX_STUCK
            or self.hanging_threads >= MAX_STUCK_EVERYWHERE
        )

    def is_stuck(self, item: I) -> bool:
        """Whether the item's own key is stuck."""
        return self._key(item) in self._stuck

    def submit(self, item: I) -> None:
        """Have ``work(item)`` done; ``done`` or ``stuck`` is called later, never within this call."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(item)

    def close(self) -> None:
        """End: each thread after the item that it is at. No result is handed back from now on."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._out.clear()
        for worker in self._workers:
            worker.retired = True
            self.queue.put(None)

    def post(self, callback: Callable[..., None], *args: object) -> None:
        """Call on the loop, from a worker's thread; nothing happens where the loop has ended."""
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
        self._check_soon()

    def _check_soon(self) -> None:
        if self._out and self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._check)

    def _help(self, now: float) -> None:
        """Start threads for waiting batches: the first at once, more where the oldest has been out for long."""
        oldest = next(iter(self._out), None)
        most = 1 if oldest is None or now - oldest.sent < _SLOW else self._threads
        try:
            while len(self._workers) < min(most, len(self._out)):
                self._workers.add(_Worker(self))
            self._starved = False
        except RuntimeError as error:  # the system allows no more threads; the next check of progress tries again
            if not self._starved:
                log.error("%s: %s; its work waits until a thread can be started", self.name, error)
            self._starved = True

    def progressed(self, batch: _Batch[I, R]) -> None:
        """A batch takes long: hand back the results so far."""
        if batch in self._out:
            self._hand_back(batch, len(batch.results))

    def finished(self, batch: _Batch[I, R]) -> None:
        """A batch came back from its thread. One that was taken from a thread that hung was handed back before."""
        if batch not in self._out:
            return
        del self._out[batch]
        self.cpu_seconds += batch.cpu_seconds
        self._hand_back(batch, len(batch.results))
        # Items are left where the thread was given up just before it took this batch from the queue.
        rest = batch.items[len(batch.results) :]
        if rest:
            self._send(rest)

    def died(self, worker: _Worker[I, R], batch: _Batch[I, R] | None, error: BaseException) -> None:
        """A thread ended by an error: another one goes on after the item that it was at, which gets the error."""
        self._workers.discard(worker)
        if worker.retired:
            return
        restarts.count(f"thread for {self.name}", error)
        if batch is not None and batch in self._out:
            del self._out[batch]
            if len(batch.results) < len(batch.items):
                batch.results.append(RuntimeError(f"the thread that worked on it ended: {error!r}"))
            done = len(batch.results)
            self._hand_back(batch, done)
            if rest := batch.items[done:]:
                self._send(rest)
        self._help(self._loop.time())

    def recovered(self, place: Hashable, key: Hashable) -> None:
        """The system call of a thread that hung has returned."""
        self._stuck -= Counter([key])  # subtracting counters drops what reaches 0
        self._stuck_at -= Counter([place])
        log.warning("%s: the file system of %s answers again", self.name, key)

    def _hand_back(self, batch: _Batch[I, R], until: int) -> None:
        """Call ``done`` or ``stuck`` for the results from the last hand-back up to number ``until``.

        ``handed`` is moved on first: a call may submit work or close the lane, and no result may be handed back twice.
        """
        start, batch.handed = batch.handed, until
        for item, result in zip(batch.items[start:until], batch.results[start:until], strict=True):
            try:
                if isinstance(result, _Skipped):
                    self._give_back(item)
                else:
                    self._done(item, result)
            except Exception:  # an outer edge: an error with one item must not lose the others
                log.exception("%s: a result could not be handed back", self.name)

    def _check(self) -> None:
        """The timer: check the progress of all batches, and give up threads that hang."""
        self._timer = None
        now = self._loop.time()
        try:
            for batch in list(self._out):
                progress = len(batch.results)
                if batch.worker is None:  # still in the queue
                    continue
                if progress != batch.seen:
                    batch.seen, batch.since = progress, now
                elif now - batch.since >= self._patience and progress < len(batch.items):
                    self._give_up(batch, batch.worker, progress)
            self._help(now)
        finally:
            self._check_soon()

    def _give_up(self, batch: _Batch[I, R], worker: _Worker[I, R], progress: int) -> None:
        """Go on without a thread that hangs at item ``progress`` of its batch.

        The batch leaves ``_out`` before anything is handed back: should the thread return at this moment, ``finished``
        finds nothing of it and no result counts twice.
        """
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
        # Others with the same key, or of a place with too many threads that hang, would hang too: given back unbegun.
        for lost in [item, *(other for other in rest if not self.usable(other))]:
            self._give_back(lost)
        if rest := [other for other in rest if self.usable(other)]:
            self._send(rest)
