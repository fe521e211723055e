"""``mailquota --serve``: the engine without a screen."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..base.errors import MailquotaError, UsageError
from .logs import log_detached, log_to_stderr, read_by_journal, stderr_is_null
from .options import Common
from .output import is_terminal

if TYPE_CHECKING:
    from ..demo.world import World
    from ..engine.options import Options
    from ..settings.config import Config

log = logging.getLogger(__name__)


def serve(common: Common) -> int:
    """Run an engine until SIGTERM or SIGINT; returns the exit code. Raises MailquotaError where it can't start."""
    _refuse_read_only(common)
    from ..engine.handover import VARIABLE

    handed_over = VARIABLE in os.environ
    detached = handed_over and stderr_is_null()
    if detached:
        log_detached(None)
    else:
        log_to_stderr()
    try:
        _serve(common, detached=detached)
    except MailquotaError as error:
        if not handed_over and not read_by_journal():
            raise
        for line in (str(error), *filter(None, error.advice)):
            log.error("%s", line)  # a message on stderr would be lost, or lose its priority
        return error.exit_code
    return 0


def _serve(common: Common, *, detached: bool) -> None:
    config = common.load()
    if detached:
        log_detached(config.settings.control.socket)
    from ..engine.serve import serve as run_engine

    run_engine(config, engine_options(common, config))


def serve_demo(common: Common, accounts: int) -> int:
    """Run an engine on a throwaway world with random mail. Prints the path of its settings once it answers."""
    _refuse_read_only(common)
    log_to_stderr()
    from ..demo.traffic import Traffic
    from ..demo.world import World
    from ..engine.options import Options
    from ..engine.serve import serve as run_engine

    with World.temporary(accounts) as world, contextlib.ExitStack() as stack:
        load = world_settings(world)

        def begin() -> None:
            stack.enter_context(Traffic(world, world.policy_socket, random.Random()).running())
            click.echo(world.config_path.absolute())
            _end_with_terminal()

        run_engine(load(), Options(load, demo=True), begin)
    return 0


def world_settings(world: World) -> Callable[[], Config]:
    """A function that reads the settings of a throwaway world, and no others."""
    from ..settings.config import load

    return lambda: load(world.config_path, {})


def _end_with_terminal() -> None:
    """End this process when its terminal hangs up: SIGHUP alone makes an engine reload."""
    if is_terminal(sys.stdin):
        threading.Thread(target=_watch_terminal, args=(sys.stdin.fileno(),), daemon=True).start()


def _watch_terminal(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, 0)  # no events: poll(2) reports a hang-up always
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _refuse_read_only(common: Common) -> None:
    if common.read_only:
        raise UsageError("--read-only is for the console and the commands, not for an engine")


def engine_options(common: Common, config: Config, *, embedded: bool = False) -> Options:
    """Options that read the same settings again, and start the same engine without a screen from any folder."""
    from ..engine.options import Options

    file = ["--config", str(Path(config.path).absolute())] if config.path is not None else []
    if common.config is not None:
        common.config = common.config.absolute()
    return Options(load=common.load, arguments=("--serve", *file), embedded=embedded)
