"""The command ``mailquota``: opens the console, or runs another command, which never imports Textual.

The console attaches to the engine that answers on the control socket. If none does, it starts one in a thread of its
own process while Textual is imported; an error of that start is reported before a screen opens.

Whatever ends the screen, the engine goes on where Postfix needs it: it is handed over or stopped as the operator chose,
and handed over, or kept without a screen, if the terminal or the console failed. Only a console that fails before its
first screen was drawn stops its engine: Postfix did not depend on it yet, and it would go on unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from mailquota.core.base.errors import MailquotaError
from mailquota.core.commands.logs import log_detached, log_nowhere
from mailquota.core.commands.main import run
from mailquota.core.commands.options import Common, Replay
from mailquota.core.commands.output import complain
from mailquota.core.commands.utf8 import start_in_utf8

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailquota.core.control.client import Client
    from mailquota.core.control.messages import Welcome
    from mailquota.core.doctor.model import Finding
    from mailquota.core.engine.serve import Embedded
    from mailquota.core.settings.config import Config
    from mailquota.core.settings.declared import Console

    from .desk.examining import Examine
    from .desk.link import Connect
    from .frame.leaving import Outcome

log = logging.getLogger(__name__)

_CLIENT = "console"
_GARBAGE = 20_000  # objects until a collection; Python's 700 are a tenth of the time in which a screen is drawn
_LEFT_BEHIND = (signal.SIGCONT, signal.SIGTSTP, signal.SIGWINCH)  # by Textual, whose handlers fail without a screen


def main() -> int:
    """Run the command line; returns the exit code."""
    start_in_utf8()
    return run(sys.argv[1:], open_console)


def open_console(common: Common, demo: int | None, replay: Replay | None = None) -> int:
    """Open the console: attached to an engine, with its own engine, on a demo world of ``demo`` accounts, or on what
    was recorded.
    """
    gc.set_threshold(_GARBAGE)
    if replay is not None:
        return _show_replay(common, replay)
    if demo is not None:
        return _show_demo(common, demo)
    config = common.load()
    return _attach(common, config) if asyncio.run(_engine_answers(config)) else _embed(common, config)


async def _engine_answers(config: Config) -> bool:
    """Whether an engine accepts this console. Raises UnreachableError if one is there and does not."""
    from mailquota.core.commands.session import find_engine

    found = await find_engine(config, _CLIENT, read_only=True)
    if found is not None:
        await found[0].close()
    return found is not None


def _attach(common: Common, config: Config) -> int:
    from mailquota.core.control.client import Client

    log_nowhere()

    async def connect() -> tuple[Client, Welcome]:
        return await Client.connect(config.settings.control.socket, _CLIENT, read_only=common.read_only)

    _run_screen(common, connect, config.settings.console, _examine(config), embedded=False, program=_program(config))
    return 0


def _embed(common: Common, config: Config) -> int:
    from mailquota.core.commands.serving import engine_options
    from mailquota.core.engine.serve import Embedded

    _stand_fast()
    log_detached(config.settings.control.socket)
    engine = Embedded(config, engine_options(common, config, embedded=True))
    shown = threading.Event()
    try:
        engine.begin()
        import mailquota.tui.app  # noqa: F401  while the engine starts

        engine.wait()
        _finish(engine, _run_embedded(common, engine, config, shown=shown.set))
    except Exception:
        if shown.is_set():  # Postfix uses this engine already
            _keep_enforcing(engine)
        elif engine.running:
            complain("the console did not start, so its policy server was stopped again")
        raise
    finally:
        engine.stop()
    return 0


def _stand_fast() -> None:
    """Ignore Ctrl+Z until the console's driver has it: a stopped process would keep the policy socket, and not answer.

    The terminal makes a signal of that key as long as there is no screen.
    """
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)


def _finish(engine: Embedded, outcome: Outcome) -> None:
    from .frame.leaving import Outcome

    if outcome is Outcome.LOST:
        _keep_enforcing(engine)
    elif outcome is Outcome.HANDED_OVER:
        complain("the policy server goes on in the background; mailquota opens the console again")


def _keep_enforcing(engine: Embedded) -> None:
    """The screen is gone: hand the engine over to a process of its own, else keep it running in this one."""
    ended = _end_by_order()
    try:
        pid = engine.hand_over()
    except MailquotaError as error:
        if engine.handed_over:  # by an order of the screen, before it ended
            return
        text = f"{error}; the policy server goes on in this process until it is terminated"
        log.error("%s", text)
        complain(text)
        ended.wait()  # the engine's thread answers Postfix meanwhile
    else:
        complain(f"the policy server goes on in the background as process {pid}")


def _end_by_order() -> threading.Event:
    """An event that is set by SIGTERM or SIGINT. The terminal may be gone, so SIGHUP is ignored."""
    ended = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in _LEFT_BEHIND:
        signal.signal(number, signal.SIG_DFL)
    _stand_fast()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    return ended


def _show_demo(common: Common, accounts: int) -> int:
    from mailquota.core.commands.serving import world_settings
    from mailquota.core.demo.traffic import Traffic
    from mailquota.core.demo.world import World
    from mailquota.core.engine.options import Options
    from mailquota.core.engine.serve import Embedded

    _stand_fast()
    log_nowhere()
    with World.temporary(accounts) as world:
        load = world_settings(world)
        config = load()
        engine = Embedded(config, Options(load, demo=True, embedded=True))
        engine.begin()
        import mailquota.tui.app  # noqa: F401  while the engine starts

        engine.wait()
        with contextlib.ExitStack() as stack:
            stack.callback(engine.stop)
            stack.enter_context(Traffic(world, world.policy_socket, random.Random()).running())
            _run_embedded(common, engine, config, demo=True)
    return 0


def _show_replay(common: Common, replay: Replay) -> int:
    """The settings of this server count only where they can be read: a file may be looked at anywhere."""
    from mailquota.core.recordings.player import Player
    from mailquota.core.settings.declared import Console

    log_nowhere()
    try:
        looks = common.load().settings.console
    except MailquotaError:
        looks = Console()
    player = Player(replay.recording, replay.place)
    _run_screen(common, player.connect, looks, _examine_nothing, embedded=False, clock=player.now)
    return 0


def _examine_nothing() -> list[Finding]:
    raise MailquotaError("a replay shows the past, and the doctor examines the present")


def _connect_to(engine: Embedded, common: Common) -> Connect:
    from mailquota.core.base.threads import in_thread
    from mailquota.core.control.client import Client

    async def connect() -> tuple[Client, Welcome]:
        return await Client.adopt(await in_thread(engine.connect), _CLIENT, read_only=common.read_only)

    return connect


def _examine(config: Config, *, demo: bool = False) -> Examine:
    """In a process of its own, as it reads all accounts; a demo has few, and a folder that ends with this process."""
    if demo:
        from mailquota.core.doctor.examine import examine

        return partial(examine, config)
    from mailquota.core.commands.doctor_apart import examine_apart

    return partial(examine_apart, config.path)


def _run_embedded(
    common: Common, engine: Embedded, config: Config, *, demo: bool = False, shown: Callable[[], object] = lambda: None
) -> Outcome:
    return _run_screen(
        common,
        _connect_to(engine, common),
        config.settings.console,
        _examine(config, demo=demo),
        embedded=True,
        demo=demo,
        program=_program(config),
        shown=shown,
    )


def _run_screen(
    common: Common,
    connect: Connect,
    console: Console,
    examine: Examine,
    *,
    embedded: bool,
    demo: bool = False,
    program: tuple[str, ...] = ("mailquota",),
    shown: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> Outcome:
    from .app import run_console
    from .desk.memory import Memory

    memory = Memory() if demo else Memory.of_this_user()  # a demo reads and writes nothing outside its folder
    kept = memory.kept
    return run_console(
        connect,
        embedded=embedded,
        examine=examine,
        demo=demo,
        read_only=common.read_only,
        no_color=common.no_color,
        ascii_only=common.ascii or console.ascii,
        mouse=not common.no_mouse and (console.mouse if kept.mouse is None else kept.mouse),
        theme=kept.theme or console.theme,
        memory=memory,
        program=program,
        shown=shown,
        clock=clock,
    )


def _program(config: Config) -> tuple[str, ...]:
    """The words by which a command of a shell reaches the engine of this console."""
    from mailquota.core.settings.config import DEFAULT_PATH

    path = config.path
    return ("mailquota",) if path is None or path == DEFAULT_PATH else ("mailquota", "--config", str(path.absolute()))
