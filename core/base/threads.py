"""Does blocking work in daemon threads, which can't keep the process alive when they hang."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_LONGEST_REST = 2.0  # seconds of a pause in ``gently``


async def in_thread(work: Callable[[], T]) -> T:
    """The result of blocking work, done in a thread; its exception is raised here.

    A pool of asyncio would wait for its threads at exit; this one is a daemon, so a file system that hangs does not.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T is None

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised in the task that waits
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop has ended, so nothing waits for the result

    threading.Thread(target=run, name="mailquota-work", daemon=True).start()
    return await future


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of blocking work, or its exception, where there is no loop. Raises TimeoutError after ``seconds``.

    The work then goes on in its thread: a system call that hangs can't be cancelled.
    """
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised by the caller below
            results.put((None, error))

    threading.Thread(target=run, name="mailquota-work", daemon=True).start()
    try:
        result, failure = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s") from None
    if failure is not None:
        raise failure
    return result  # type: ignore[return-value]  # None only where T is None


async def gently(share: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of ``work`` with these arguments, done in a thread, followed by a pause.

    The pause is such that ``share`` (above 0, at most 1) of the time is spent working, but two seconds at most.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    result = await in_thread(lambda: work(*args, **kwargs))
    await asyncio.sleep(min((loop.time() - started) * (1 / share - 1), _LONGEST_REST))
    return result
