"""Runs an engine: without a screen until a signal ends it, or in a thread beside a console."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from ..base import systemd
from ..base.errors import MailquotaError, UnreachableError
from ..settings.config import Config
from .engine import Engine
from .handover import Predecessor
from .options import Options
from .orders import Orders

log = logging.getLogger(__name__)

T = TypeVar("T")
_SWITCH_SECONDS = 0.0005
_LOOK_SECONDS = 0.5
_START_SECONDS = 10.0  # ended before it listens, it would leave its sockets


def serve(config: Config, options: Options, beside: Callable[[], None] | None = None) -> None:
    """Run an engine until SIGTERM or SIGINT; SIGHUP reloads. Raises what ``Engine.start`` raises.

    ``beside`` is called once the engine listens.
    """
    predecessor = Predecessor.from_environment()
    uvloop.run(_serve(config, options, predecessor, beside))


async def _serve(
    config: Config, options: Options, predecessor: Predecessor | None, beside: Callable[[], None] | None
) -> None:
    engine = _make_engine(config, options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, engine.ending.due.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: reloads.append(loop.create_task(_reload(engine))))
    reloads: list[asyncio.Task[None]] = []
    await engine.start(predecessor)
    systemd.notify("READY=1", f"STATUS=answering on {' '.join(engine.status().listen)}")
    log.info("answering on %s", " ".join(engine.status().listen))
    if beside is not None:
        beside()
    await engine.ending.due.wait()
    if engine.listeners.handed_over:
        log.info("another process has the sockets now")
    else:
        log.info("stopping")
        systemd.notify("STOPPING=1")
    await engine.stop()
    if engine.ending.failed:
        raise MailquotaError(engine.ending.failed)


def _make_engine(config: Config, options: Options) -> Engine:
    """An engine that takes the orders of clients. Called on its loop."""
    engine = Engine(config, options)
    engine.control.handle = Orders(engine).handle
    return engine


async def _reload(engine: Engine) -> None:
    try:
        await engine.reload()
        log.info("settings and accounts were read again")
    except MailquotaError as error:
        log.error("reload failed, the old settings go on: %s", error)
    except Exception:  # an outer edge: no task waits for this one
        log.exception("reload failed")


class Embedded:
    """An engine in a thread with a loop of its own, for the console in the same process.

    The console uses it over a socket pair, as it would an engine of another process; so an error in a screen, or a
    screen that hangs, can't stop the answers. Python switches between the threads each 0.5 ms instead of each 5 ms,
    because that is what an answer may have to wait while a screen is drawn.
    """

    def __init__(self, config: Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._run, name="mailquota-engine", daemon=True)
        self._started = threading.Event()
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Start the thread, without waiting: the console is imported meanwhile."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the engine listens; call ``begin`` first. Raises what ``Engine.start`` raises."""
        self._started.wait()
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        """Start, and wait until the engine listens."""
        self.begin()
        self.wait()

    def connect(self) -> socket.socket:
        """A socket that is connected to the control server. UnreachableError where the engine has ended."""
        ours, theirs = socket.socketpair()
        assert self._engine is not None
        try:
            self.call(self._engine.control.adopt(theirs))
        except BaseException:
            ours.close()
            theirs.close()
            raise
        return ours

    @property
    def running(self) -> bool:
        """Whether the engine runs in this process."""
        return self._started.is_set() and self._thread.is_alive()

    @property
    def handed_over(self) -> bool:
        """Whether another process has the sockets now."""
        return self._engine is not None and self._engine.listeners.handed_over

    def hand_over(self) -> int:
        """Give the sockets to an engine in the background; its pid. Raises MailquotaError."""
        assert self._engine is not None
        return self.call(self._engine.hand_over())

    def stop(self) -> None:
        """End the engine, and wait 5 s at most. One that is starting is waited for, as it would leave its sockets."""
        if self._thread.is_alive():
            self._started.wait(_START_SECONDS)
        if self._loop is not None and self._engine is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._engine.ending.due.set)
            self._thread.join(5.0)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the engine's loop, and return its result. UnreachableError where the engine has ended."""
        assert self._loop is not None
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:  # the loop is closed
            work.close()
            raise self._gone() from error
        while True:
            try:
                return future.result(_LOOK_SECONDS)
            except concurrent.futures.CancelledError as error:
                raise self._gone() from error
            except TimeoutError as error:
                if future.done():  # only now, or its own TimeoutError
                    return future.result()
                if not self._thread.is_alive():
                    raise self._gone() from error

    def _gone(self) -> UnreachableError:
        return UnreachableError("the engine has ended" + (f": {self._error}" if self._error else ""))

    def _run(self) -> None:
        try:
            uvloop.run(self._main())
        except BaseException as error:  # ``wait`` raises it
            self._error = error
            if self._started.is_set():
                log.exception("the engine ended")
        self._started.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = engine = _make_engine(self._config, self._options)
        await engine.start()
        self._started.set()
        await engine.ending.due.wait()
        await engine.stop()
        if engine.ending.failed:
            raise MailquotaError(engine.ending.failed)
