"""Our own measurements beside Dovecot's (core/mailboxes/witness.py), by the fast driver, in a thread that may hang."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from ..base.lanes import Lane
from .ledger import Entry
from .measure import Measurement, Unmeasurable
from .witnessed_driver import WitnessedDriver

log = logging.getLogger(__name__)

_PATIENCE = 30.0  # seconds; a count of a million messages by stat is slow, not hanging


class Look(NamedTuple):
    """One measurement: None where the mailbox can't be measured; ``made`` is False where its disk hangs or is away."""

    found: Measurement | None
    made: bool = True


_HANGS = Look(None, made=False)


class OwnLooks:
    """Measures accounts by the fast driver, also those that go by Dovecot. Used on the engine's loop.

    ``away(address)`` is called in the thread, and says why the mailstore of an account is not there, "" where it is.
    Without its mailstore neither an empty mailbox of ours nor one of Dovecot proves anything.
    """

    def __init__(self, driver: WitnessedDriver, away: Callable[[str], str]) -> None:
        self._driver = driver
        self._away = away
        self._lane: Lane[Entry, Look] | None = None
        self._found: dict[Entry, Look] = {}
        self._wanted = 0

    @property
    def cpu_seconds(self) -> float:
        """Of its thread, since the start."""
        return self._lane.cpu_seconds if self._lane is not None else 0.0

    def close(self) -> None:
        """End the thread."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None

    async def look_at(self, entries: list[Entry]) -> list[Look]:
        """Measure these; where Dovecot is the driver nothing is measured."""
        if self._driver.is_only_dovecot:
            return [_HANGS] * len(entries)
        lane = self._lane = self._lane or self._open()
        self._found, self._wanted = {}, len(entries)
        self._complete = asyncio.get_running_loop().create_future()
        for entry in entries:
            if lane.usable(entry):
                lane.submit(entry)
            else:
                self._take(entry, _HANGS)
        await self._complete
        return [self._found[entry] for entry in entries]

    def _open(self) -> Lane[Entry, Look]:
        return Lane(
            "witness", self._measure, self._take, stuck=lambda entry: self._take(entry, _HANGS),
            key=lambda entry: entry.address, place=lambda entry: self._driver.fast.place(entry.address),
            patience=_PATIENCE,
        )  # fmt: skip

    def _measure(self, entry: Entry) -> Look:
        """Runs in the lane's thread."""
        verdict, known = entry.verdict, entry.known
        if self._driver.is_by_dovecot(entry.address):
            known = verdict.ours if verdict is not None else None
        if self._away(entry.address):
            return _HANGS
        try:
            return Look(self._driver.fast.measure(entry.address, entry.limit, known, time.time()))
        except Unmeasurable:
            return Look(None)

    def _take(self, entry: Entry, result: Look | Exception) -> None:
        if isinstance(result, Exception):
            log.debug("%s can't be measured: %s", entry.address, result)
            result = _HANGS
        self._found[entry] = result
        if len(self._found) == self._wanted and not self._complete.done():
            self._complete.set_result(None)
