"""Looks usage up in a slow service (doveadm, SQL) in worker threads; an answer to Postfix waits 80 ms for it at most.

``put`` starts a query and ``ask`` waits for its result, so that the mailboxes of one request are looked up at the same
time. The wait ends ``WAIT`` after the query was put, however many requests wait and however slow the service is. The
work itself stores what it finds; a result that comes too late for one request is there for the next.

``steady`` is a clock in seconds that never goes back: how old a query is must not depend on the time of day.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from ..base import restarts

log = logging.getLogger(__name__)

WAIT = 0.08  # seconds, within the enforcer's deadline
_KEPT = 1000  # queries; where there are more, those that are done are dropped
_SAME = 0.3  # seconds; a finished query younger than this still serves, as it may belong to the same request

Work = Callable[[str, int | None, float], object]  # of an address, its limit in bytes, and the time of day


class _Query:
    def __init__(self, address: str, limit: int | None, now: float, put_at: float) -> None:
        self.address = address
        self.limit = limit
        self.now = now
        self.put_at = put_at
        self.until = monotonic() + WAIT  # no request waits for it longer
        self.done = threading.Event()
        self.error: Exception | None = None


class UsageQueries:
    """Does ``work`` in up to ``workers`` threads, for one account once at a time.

    ``expected`` are the errors of the service, which are handed on; any other one is a fault of this program and is
    logged as well.
    """

    def __init__(
        self, name: str, work: Work, workers: int, expected: tuple[type[Exception], ...], steady: Callable[[], float]
    ) -> None:
        self._name = name
        self._steady = steady
        self._work = work
        self._most = workers
        self._expected = expected
        self._lock = threading.Lock()
        self._queries: dict[str, _Query] = {}  # the last query of each account
        self._queue: SimpleQueue[_Query] = SimpleQueue()
        self._left = 0  # queries that are not done
        self._workers = 0

    def put(self, address: str, limit: int | None, now: float) -> _Query:
        """Start a query, unless one for this account is under way or was done a moment ago."""
        with self._lock:
            query, put_at = self._queries.get(address), self._steady()
            if query is None or (query.done.is_set() and put_at - query.put_at >= _SAME):
                query = _Query(address, limit, now, put_at)
                self._send(query)
            self._help()
            return query

    def ask(self, address: str, limit: int | None, now: float) -> Exception | None:
        """Wait for the query of this account, until ``WAIT`` after it was put; its error, if it failed by then."""
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
        """Start one more thread if there is work for it. The caller holds the lock."""
        if self._workers >= min(self._most, self._left):
            return
        try:
            threading.Thread(target=self._run, name=f"mailquota-{self._name}", daemon=True).start()
        except RuntimeError as error:  # the system lets no thread start now: the next query tries again
            log.error("%s: no thread can be started, so nothing is looked up now: %s", self._name, error)
        else:
            self._workers += 1

    def _run(self) -> None:
        try:
            while True:
                self._answer(self._queue.get())
        except BaseException as error:  # noqa: BLE001 - an outer edge: this thread ends, a new one takes its place
            restarts.count(f"thread for {self._name}", error)
            with self._lock:
                self._workers -= 1
                self._help()

    def _answer(self, query: _Query) -> None:
        try:
            self._work(query.address, query.limit, query.now)
        except self._expected as error:
            query.error = error
        except Exception as error:  # an outer edge: a request waits for this and must go on
            log.exception("%s: %s could not be looked up", self._name, query.address)
            query.error = error
        finally:
            with self._lock:
                self._left -= 1
            query.done.set()
