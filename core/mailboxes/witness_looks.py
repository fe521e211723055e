"""Our own measurements beside Dovecot's (core/mailboxes/witness.py), by the fast driver, in a thread that may hang."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..base.gathering import GatheringLane
from .ledger import Entry
from .measure import Measurement, Unmeasurable
from .witnessed_driver import WitnessedDriver

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
        self._lane: GatheringLane[Entry, Look] | None = None

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
        found = await lane.gather(entries)
        return [found[entry] for entry in entries]

    def _open(self) -> GatheringLane[Entry, Look]:
        return GatheringLane(
            "witness", self._measure, _HANGS, key=lambda entry: entry.address,
            place=lambda entry: self._driver.fast.place(entry.address), patience=_PATIENCE,
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
