"""Questions that a decision can wait for only so long: asked in threads of our own, one at a time for an account.

Whoever asks waits for ``WAIT``. Where that was in vain nobody waits any more until an answer came in time again, so a
service that is slow holds up one decision and not a queue of them. The answer goes to where the work puts it, and is
there for the next decision.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger(__name__)

WAIT = 0.08  # seconds, within the enforcer's deadline

Work = Callable[[str, int | None, float], object]  # of an address, its limit, and the time


class _Question:
    def __init__(self, address: str, limit: int | None, now: float) -> None:
        self.address = address
        self.limit = limit
        self.now = now
        self.done = threading.Event()
        self.error: Exception | None = None


class Asking:
    """Does ``work`` in at most so many threads; ``expected`` are the errors that are no faults of ours."""

    def __init__(self, name: str, work: Work, workers: int, expected: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._work = work
        self._most = workers
        self._expected = expected
        self._lock = threading.Lock()
        self._under_way: dict[str, _Question] = {}
        self._queue: SimpleQueue[_Question] = SimpleQueue()
        self._workers = 0
        self._slow = False  # whether an answer was waited for in vain since the last one that came in time

    def ask(self, address: str, limit: int | None, now: float) -> Exception | None:
        """Ask, unless it is being asked already, and wait for a while. The error, where it failed within that."""
        question = self._question(address, limit, now)
        self._slow = not question.done.wait(0 if self._slow else WAIT)
        return question.error

    def _question(self, address: str, limit: int | None, now: float) -> _Question:
        with self._lock:
            question = self._under_way.get(address)
            if question is None:
                question = self._under_way[address] = _Question(address, limit, now)
                self._queue.put(question)
                if self._workers < min(self._most, len(self._under_way)):
                    self._workers += 1
                    threading.Thread(target=self._run, name=f"mailquota-{self._name}", daemon=True).start()
            return question

    def _run(self) -> None:
        while True:
            question = self._queue.get()
            try:
                self._work(question.address, question.limit, question.now)
            except self._expected as error:
                question.error = error
            except Exception as error:  # an outer edge: who waits for the answer must get one
                log.exception("%s: %s could not be asked about", self._name, question.address)
                question.error = error
            finally:
                with self._lock:
                    del self._under_way[question.address]
                question.done.set()
