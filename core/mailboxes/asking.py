"""Questions that a decision can wait for only so long: asked in threads of our own, one at a time for an account.

Whoever wants an answer puts the question first and comes for the answer later, so that those of many mailboxes are
asked at the same time. It is waited for up to ``WAIT`` after it was put: however many decisions wait, and however slow
the service is, none waits longer. The answer goes to where the work puts it, and is there for the next decision.

``steady`` is a clock that never goes back: by it, not by the time of day, a question was put just now.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from mailquota.core.base import restarts

log = logging.getLogger(__name__)

WAIT = 0.08  # seconds, within the enforcer's deadline
_KEPT = 1000  # questions; of more those that are answered are forgotten
_SAME = 0.3  # seconds in which a question is one of the same decision

Work = Callable[[str, int | None, float], object]  # of an address, its limit, and the time of day


class _Query:
    def __init__(self, address: str, limit: int | None, now: float, put_at: float) -> None:
        self.address = address
        self.limit = limit
        self.now = now
        self.put_at = put_at
        self.until = monotonic() + WAIT  # when it is waited for no more
        self.done = threading.Event()
        self.error: Exception | None = None


class UsageQueries:
    """Does ``work`` in at most so many threads; ``expected`` are the errors that are no faults of ours."""

    def __init__(
        self, name: str, work: Work, workers: int, expected: tuple[type[Exception], ...], steady: Callable[[], float]
    ) -> None:
        self._name = name
        self._steady = steady
        self._work = work
        self._most = workers
        self._expected = expected
        self._lock = threading.Lock()
        self._queries: dict[str, _Query] = {}  # the last one about each account
        self._queue: SimpleQueue[_Query] = SimpleQueue()
        self._left = 0  # questions without an answer
        self._workers = 0

    def put(self, address: str, limit: int | None, now: float) -> _Query:
        """Have it asked, unless that is under way or was done just now."""
        with self._lock:
            query, put_at = self._queries.get(address), self._steady()
            if query is None or (query.done.is_set() and put_at - query.put_at >= _SAME):
                query = _Query(address, limit, now, put_at)
                self._send(query)
            self._help()
            return query

    def ask(self, address: str, limit: int | None, now: float) -> Exception | None:
        """Wait for the answer, as long as it makes sense. The error, where it failed within that."""
        query = self.put(address, limit, now)
        query.done.wait(max(0.0, query.until - monotonic()))
        return query.error

    def _send(self, query: _Query) -> None:
        if len(self._queries) >= _KEPT:
            self._queries = {name: kept for name, kept in self._queries.items() if not kept.done.is_set()}
        self._queries[query.address] = query
        self._queue.put(query)
        self._left += 1

    def _help(self) -> None:
        """A thread more, where there is work for it; with the lock held."""
        if self._workers >= min(self._most, self._left):
            return
        try:
            threading.Thread(target=self._run, name=f"mailquota-{self._name}", daemon=True).start()
        except RuntimeError as error:  # no more may be started now: the next question tries again
            log.error("%s: nothing can be asked now: %s", self._name, error)
        else:
            self._workers += 1

    def _run(self) -> None:
        try:
            while True:
                self._answer(self._queue.get())
        except BaseException as error:  # noqa: BLE001 - an outer edge: the thread ends, another one goes on
            restarts.count(f"thread for {self._name}", error)
            with self._lock:
                self._workers -= 1
                self._help()

    def _answer(self, query: _Query) -> None:
        try:
            self._work(query.address, query.limit, query.now)
        except self._expected as error:
            query.error = error
        except Exception as error:  # an outer edge: who waits for the answer must get one
            log.exception("%s: %s could not be asked about", self._name, query.address)
            query.error = error
        finally:
            with self._lock:
                self._left -= 1
            query.done.set()
