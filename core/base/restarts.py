"""Parts of an engine that die and are started again: counted here, so that it is never just a line in the log.

Theory of operation. A part that works for the life of an engine runs by ``keep_going``. Where it ends, by a fault or
because somebody cancelled it who is not its owner, it is started again after a pause, which grows while it goes on
failing. A thread that ends is replaced by whoever gives it work, and ``count`` is told. The counts are those of the
process; ``status`` and the metrics show them by the name of the part. What can't be started again ends the engine (see
core/engine/engine.py), and a service manager starts that anew.
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
    """A part ended and is started again. In any thread."""
    with _counting:
        _counts[part] += 1
    log.error("%s: ended%s, and is started again", part, " by a fault" if error else "", exc_info=error)


def counts() -> dict[str, int]:
    """How often each part was started again, in the life of this process."""
    with _counting:
        return dict(_counts)


async def keep_going(part: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have ``work`` done until this is cancelled; it is not meant to end."""
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
    """What it ended by. Who cancels this cancels the task, and has it end first."""
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
    """``keep_going`` beside what goes on; cancel it to end the part."""
    return asyncio.create_task(keep_going(part, work))
