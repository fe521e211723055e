"""Measures all mailboxes in rounds, and each second those on a screen or asked for in the last 30 s.

The latter are not measured while a watch (core/policy/watch.py) shows that nothing changed. A round takes ``SHARE`` of
a core at most: after each 64 mailboxes it rests in proportion to the CPU time that they took. The first round has to be
over soon, as until then the table has gaps, so it takes more: ``FIRST_SHARE``. Mailboxes are measured in the threads of
lanes (core/base/lanes.py): where a file system hangs, its mailboxes are left out and the round goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..base import restarts
from ..base.lanes import Lane
from .driver import Driver
from .ledger import Entry, Ledger
from .measure import MadeUnreadable, Measurement, Unmeasurable

log = logging.getLogger(__name__)

SHARE = 0.05
FIRST_SHARE = 0.8
_SLICE = 64
_LOOK_SECONDS = 1.0  # between two measurements of accounts on a screen, or with a request lately
_ASKED_SECONDS = 30.0  # after a request an account is measured each second for so long
_REST_SECONDS = 1.0  # between two rounds
_PATIENCE = 30.0  # a count of a million messages by stat is slow, not hanging


class Measured(NamedTuple):
    """A new measurement, or why there is none, and the last one from which it was made."""

    base: Measurement | None
    outcome: Measurement | str
    unreadable: bool = False  # its owner made it so


Measure = Callable[[str, int | None, Measurement | None, float], Measurement]


def measure_entry(measure: Measure, entry: Entry) -> Measured:
    """Measure one mailbox with a method of a driver. Runs in any thread, and never raises Unmeasurable."""
    base = entry.known
    if entry.fault:
        return Measured(base, entry.fault)
    if not entry.mailbox:
        return Measured(base, "Dovecot takes no such user name")
    try:
        return Measured(base, measure(entry.address, entry.limit, base, time.time()))
    except Unmeasurable as error:
        return Measured(base, str(error), isinstance(error, MadeUnreadable))


class _Slice:
    """Accounts that are measured together; ``done`` is set when the last one is."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def one_done(self) -> None:
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


_Item = tuple[Entry, _Slice]


class Poller:
    """Keeps the usage in the ledger fresh. ``asked`` has the accounts of recent requests, and when, in loop time."""

    def __init__(self, ledger: Ledger, driver: Driver, asked: dict[Entry, float]) -> None:
        self._ledger = ledger
        self._asked = asked
        self._place_of = driver.place
        self._loop = asyncio.get_running_loop()
        self._watched: dict[object, list[str]] = {}
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes = {
            "rounds": self._lane("rounds", driver.survey),
            "looks": self._lane("looks", driver.look),
            "orders": self._lane("orders", driver.measure),
        }
        self._share = FIRST_SHARE
        self._hurry = asyncio.Event()
        self.rounds = 0
        self.first_round = asyncio.Event()  # set once all accounts were measured

    def _lane(self, name: str, measure: Measure) -> Lane[_Item, Measured]:
        def work(item: _Item) -> Measured:
            return measure_entry(measure, item[0])

        return Lane(name, work, self._done, stuck=self._hangs, key=_key, place=self._place, patience=_PATIENCE)

    def _place(self, item: _Item) -> str:
        return self._place_of(item[0].address)

    def start(self) -> None:
        """Begin; to be called once the ledger has the accounts."""
        self._tasks = [restarts.start("rounds", self._rounds), restarts.start("looks", self._looks)]

    def stop(self) -> None:
        """End. A thread that hangs in a system call is left to itself."""
        for task in self._tasks:
            task.cancel()
        for lane in self._lanes.values():
            lane.close()

    def watch(self, client: object, addresses: Iterable[str]) -> None:
        """Measure these accounts each second, as they are on the screen of ``client``; an empty list ends that."""
        wanted = list(addresses)
        if wanted:
            self._watched[client] = wanted
            self._look.set()
        else:
            self._watched.pop(client, None)

    async def measure_now(self, entries: list[Entry]) -> None:
        """Measure these and return when that is done, as after a change."""
        await self._slice("orders", entries)

    async def survey_now(self, entries: list[Entry]) -> None:
        """Measure these as a round would, for a command that shows all accounts and runs no rounds."""
        await self._slice("rounds", entries)

    def hurry(self) -> None:
        """Begin a round anew, at the pace of the first one: many mailboxes may have another usage now."""
        self._hurry.set()

    async def _rounds(self) -> None:
        while True:
            if await self._round():
                self.rounds += 1
                self.first_round.set()
                self._share = SHARE
                await asyncio.sleep(_REST_SECONDS)
            if self._hurry.is_set():
                self._hurry.clear()
                self._share = FIRST_SHARE

    async def _round(self) -> bool:
        """Measure all accounts once; False where it has to begin anew before its end."""
        entries = list(self._ledger.entries.values())
        for start in range(0, len(entries), _SLICE):
            if self._hurry.is_set():
                return False
            used = await self._slice("rounds", entries[start : start + _SLICE])
            await asyncio.sleep(used / self._share - used)
        return True

    async def _looks(self) -> None:
        while True:
            used = await self._slice("looks", self._wanted())
            self._look.clear()
            try:
                async with asyncio.timeout(max(_LOOK_SECONDS, used / SHARE)):
                    await self._look.wait()
            except TimeoutError:
                continue

    def _wanted(self) -> list[Entry]:
        now = self._loop.time()
        for entry, at in list(self._asked.items()):
            if now - at > _ASKED_SECONDS:
                del self._asked[entry]
        shown = {address for addresses in self._watched.values() for address in addresses}
        entries = [entry for entry in map(self._ledger.get, shown) if entry is not None]
        return [entry for entry in {*entries, *self._asked} if not _is_fresh(entry, now)]

    async def _slice(self, name: str, entries: list[Entry]) -> float:
        """Measure these in lane ``name``; the CPU seconds that it took."""
        lane, now = self._lanes[name], _Slice(len(entries))
        before = lane.cpu_seconds
        items = [(entry, now) for entry in entries]
        for item in items:
            if lane.usable(item):
                lane.submit(item)
            elif lane.is_stuck(item):
                self._hangs(item)
            else:  # all threads hang on other file systems: its last measurement stays, with its age
                now.one_done()
        if items:
            await now.done
        return lane.cpu_seconds - before

    # ---- called by the lanes, on the loop

    def _done(self, item: _Item, result: Measured | Exception) -> None:
        entry, part = item
        try:
            self._take(entry, result)
        finally:  # without this an error in here would leave the round waiting for this slice for ever
            part.one_done()

    def _take(self, entry: Entry, result: Measured | Exception) -> None:
        if isinstance(result, Exception):
            if entry.trouble is None:
                log.error("%s could not be measured", entry.address, exc_info=result)
            self._ledger.set_trouble(entry, str(result))
        elif isinstance(result.outcome, str):
            self._ledger.set_trouble(entry, result.outcome, unreadable=result.unreadable)
        else:
            self._ledger.set_known(entry, result.base, result.outcome, time.time())

    def _hangs(self, item: _Item) -> None:
        self._ledger.set_trouble(item[0], "its file system does not answer")
        item[1].one_done()


def _is_fresh(entry: Entry, now: float) -> bool:
    """Whether its maildirsize is watched and did not change, so that measuring would find nothing new."""
    return entry.fresh_until > now and entry.known is not None and entry.known.complete


def _key(item: _Item) -> str:
    return item[0].address
