"""Through how many rooms the work of the program goes: each way is taken in the real program, with its calls traced.

A room is a folder of ``core`` or ``tui``; a module that lies beside the rooms counts as one. Each way is taken several
times over accounts of its own, and what is passed each time counts: what else an engine does then falls out.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mailquota import core, tui
from mailquota.core.base.threads import in_thread
from mailquota.core.control.client import Client
from mailquota.core.control.messages import Welcome
from mailquota.core.doctor.examine import examine
from mailquota.core.engine.serve import Embedded
from mailquota.tui.app import MailquotaApp
from tests.core.clients import PolicyClient, until
from tests.core.engines import embedded, inner, measured, serving
from tests.core.worlds import SmallWorld
from tests.mailserver.fixture import temporary_folder
from tests.tui.stage import Driven, make_app, start_tasks_as_textual_does

_TIMES = 5
_OF_A_FUNCTION = 0x2  # CO_NEWLOCALS: what runs on import, modules and bodies of classes, has it not
_TOPS = {str(Path(package.__file__ or "").parent): name for package, name in ((core, "core"), (tui, "tui"))}
_LIMIT = 10_000  # bytes


class Trace:
    """A profile function of the interpreter: the rooms whose functions are entered, in all threads, while it is on."""

    def __init__(self) -> None:
        self._on = False
        self._passed: set[str] = set()
        self._rooms: dict[str, str | None] = {}  # by file

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if self._on and event == "call" and code.co_flags & _OF_A_FUNCTION:
            name = code.co_filename
            room = self._rooms[name] if name in self._rooms else self._rooms.setdefault(name, _room(name))
            if room is not None:
                self._passed.add(room)

    def start(self) -> None:
        """From here on."""
        self._passed = set()
        self._on = True

    def stop(self) -> set[str]:
        """Up to here."""
        self._on = False
        return set(self._passed)


def _room(file: str) -> str | None:
    for folder, name in _TOPS.items():
        if file.startswith(f"{folder}/"):
            return f"{name}/{file[len(folder) + 1 :].partition('/')[0]}"
    return None


def _address(number: int) -> str:
    return f"user{number}@example.org"


def _usual(trace: Trace, way: Callable[[int], object]) -> set[str]:
    """What is passed whenever a way is taken."""
    found: list[set[str]] = []
    for number in range(_TIMES):
        trace.start()
        way(number)
        found.append(trace.stop())
    return set.intersection(*found)


@contextmanager
def _world() -> Iterator[SmallWorld]:
    with temporary_folder() as folder:
        world = SmallWorld(folder)
        world.settings["accounts"]["refresh"] = "1h"
        world.settings["warnings"] = {"thresholds": [80], "delivery": "maildir"}
        world.write_settings()
        for number in range(_TIMES):
            world.add_mailbox(_address(number), [1000] * 4, _LIMIT)
            world.add_alias(f"alias{number}@example.org", _address(number))
        yield world


def _answers(trace: Trace, world: SmallWorld) -> dict[str, set[str]]:
    with PolicyClient(world.policy_socket) as postfix:
        postfix.ask("nobody@example.net")

        def ask(number: int) -> None:
            assert postfix.ask(f"alias{number}@example.org", 100) == "DUNNO"

        return {
            "a policy request, first ask of an alias": _usual(trace, ask),
            "the same, figure fresh": _usual(trace, ask),
        }


async def _console(engine: Embedded, scene: Callable[[Driven], object]) -> None:
    async def connect() -> tuple[Client, Welcome]:
        return await Client.adopt(await in_thread(engine.connect), "console")

    app: MailquotaApp = make_app(connect, embedded=True)
    start_tasks_as_textual_does()
    async with app.run_test(size=(120, 32)) as pilot:
        driven = Driven(app, pilot)
        await driven.loaded()
        for _ in range(100):  # until nothing moves any more
            await asyncio.sleep(0.01)
        await scene(driven)  # type: ignore[misc]


async def _edits(trace: Trace, world: SmallWorld, driven: Driven) -> set[str]:
    found: list[set[str]] = []
    for number in range(_TIMES):
        await driven.press("e")
        await driven.sees("Edit limit")
        await driven.press("ctrl+u", *f"{20 + number}K")
        await driven.sees(f"{20 + number}K")
        trace.start()
        await driven.pilot.press("enter")
        await driven.until(lambda limit=(20 + number) * 1024: driven.row.limit_bytes == limit, "the new limit")  # type: ignore[misc]
        await driven.loses("Edit limit")
        found.append(trace.stop())
    return set.intersection(*found)


async def _deliveries(trace: Trace, world: SmallWorld, driven: Driven) -> set[str]:
    found: list[set[str]] = []
    for _ in range(_TIMES):
        address, used = driven.row.address, driven.row.used_bytes or 0
        trace.start()
        world.deliver(address, 100)
        await driven.until(lambda used=used: driven.row.used_bytes == used + 100, "the delivery")  # type: ignore[misc]
        found.append(trace.stop())
    return set.intersection(*found)


def _of_the_console(trace: Trace, world: SmallWorld, engine: Embedded) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    async def scene(driven: Driven) -> None:
        found['Enter in "Edit limit" to SQL, journal, table'] = await _edits(trace, world, driven)
        found["a delivery in maildirsize to the table"] = await _deliveries(trace, world, driven)

    asyncio.run(_console(engine, scene))
    return found


def _warning(trace: Trace, world: SmallWorld, running: Embedded) -> set[str]:
    """From the look at what changed, which an engine takes each second, to the mail in its mailbox."""
    thresholds, ledger, poller = inner(running).alerts.thresholds, inner(running).ledger, inner(running).poller
    found: list[set[str]] = []
    for number in range(_TIMES):
        world.deliver(_address(number), 4500)
        running.call(poller.measure_now([ledger.entries[_address(number)]]))
        trace.start()
        running.call(thresholds.round())
        until(lambda number=number: list((world.maildir(_address(number)) / "new").iterdir()), "the mail")  # type: ignore[misc]
        found.append(trace.stop())
    return set.intersection(*found)


def measure() -> None:
    """Print the table: each way, how many rooms it passes, and which."""
    trace = Trace()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        with _world() as world, embedded(world) as engine:
            measured(engine)
            ways = _answers(trace, world)
            ways["threshold to delivered mail"] = _warning(trace, world, engine)
            ways |= _of_the_console(trace, world, engine)
        with _world() as world, serving(world):
            ways["the doctor's run"] = _usual(trace, lambda _: examine(world.load()))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    for way, rooms in ways.items():
        print(f"{way:45} {len(rooms):3}  {' '.join(sorted(rooms))}")
