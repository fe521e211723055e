"""Starts parts of the engine again when they end by an error, and counts how often.

Theory of operation. A part that works for the life of an engine runs by ``keep_going``. Where it ends, by an error or
by a cancellation from elsewhere, it is started again after a pause, which doubles while it goes on failing. A thread
that ends is replaced by the code that gives it work, which calls ``count``. The counts are those of this process;
``status`` and the metrics show them by the name of the part, so that a failure is more than a line in the log. A part
that can't be started again ends the engine (see core/engine/ending.py), and the service manager starts a new one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds
_counts: Counter[str] = Counter()
_counting = threading.Lock()


def count(part: str, error: BaseException | None) -> None:
    """Count that a part ended and is started again, and log it. May be called in any thread."""
    with _counting:
        _counts[part] += 1
    log.error("%s: ended%s, and is started again", part, " by a fault" if error else "", exc_info=error)


def counts() -> dict[str, int]:
    """How often each part was started again since this process began, by name."""
    with _counting:
        return dict(_counts)


async def keep_going(part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``work``, and again whenever it ends, until this is cancelled.

    Each end is counted and logged. Before the next start there is a pause of 1 to 60 s, which doubles while ``work``
    ends soon after its start.
    """
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE
    while True:
        started = loop.time()
        count(part, await _end_of(asyncio.create_task(work(), name=part)))
        if loop.time() - started > _LONGEST_PAUSE:
            pause = _FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _end_of(task: asyncio.Task[None]) -> BaseException | None:
    """The error that a task ended by; None where it returned or was cancelled.

    It runs as a task of its own so that a cancellation inside ``work`` differs from one of this coroutine, which is
    passed on: the task is cancelled and ends before the cancellation is raised on.
    """
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s: its end failed", task.get_name(), exc_info=error)
        raise
    return None if task.cancelled() else task.exception()


def start(part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Run ``keep_going`` as a task; cancelling it ends the part."""
    return asyncio.create_task(keep_going(part, work))
