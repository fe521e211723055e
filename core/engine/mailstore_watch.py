"""Follows whether the file systems of the mailboxes are there, and tells it to all who use their usage.

Theory of operation. Twice a second the guard (core/mailboxes/mailstore_guard.py) names the file systems whose mount
changed, or that are lost. Each of them is looked at in a thread of its own, so that one that hangs keeps back no other.
When one is lost, its accounts get the reason at once instead of at the next round, and no answer uses a figure that was
fresh. When it is back, a round begins anew, at the pace of the first one.

What is known of them is written into a file (core/mailboxes/mailstore_memory.py) a few seconds after it changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from itertools import islice

from ..base import restarts
from ..base.threads import gently, in_thread
from ..mailboxes.from_settings import Mailboxes
from ..mailboxes.ledger import Entry
from ..mailboxes.rounds import Poller
from ..policy.watch import Watch

log = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds
_PATIENCE = 2.0  # for a look; one that takes longer goes on alone
_REMEMBER_TURNS = 10  # between two looks at what is to be remembered
_SLICE = 512  # accounts
_SHARE = 0.5


class MailstoreWatch:
    """Runs on the engine's loop. ``watch`` has the figures that count as fresh."""

    def __init__(self, mailboxes: Mailboxes, poller: Poller, watch: Watch) -> None:
        self._guard = mailboxes.guard
        self._ledger = mailboxes.ledger
        self._memory = mailboxes.memory
        self._poller = poller
        self._watch = watch
        self._looking: dict[str, asyncio.Task[None]] = {}  # by mount point
        self._generation = 0
        self._began = False
        self._told: dict[str, str] = {}  # what was lost at the last turn

    async def run(self, begin: asyncio.Event) -> None:
        """Look twice a second, from when ``begin`` is set until cancelled: before that there are no accounts."""
        await begin.wait()
        self._began = True
        turns = 0
        while True:
            try:
                await self.turn()
                if turns % _REMEMBER_TURNS == 0 or self._told:
                    await self.remember()
            except Exception as error:  # noqa: BLE001 - an outer edge: one file system must not end the watch
                restarts.count("mailstore", error)
            turns += 1
            await asyncio.sleep(_PAUSE)

    async def turn(self) -> None:
        """Look at what is due, and tell what became of it."""
        due = await in_thread(self._guard.due)
        for point in due:
            if point not in self._looking:
                self._looking[point] = asyncio.create_task(self._look(point))
        if self._looking:
            await asyncio.wait(self._looking.values(), timeout=_PATIENCE)
        if self._generation != self._guard.generation:
            self._generation = self._guard.generation
            await self._tell()

    async def _look(self, point: str) -> None:
        try:
            await in_thread(lambda: self._guard.judge([point]))
        finally:
            del self._looking[point]

    async def remember(self) -> None:
        """Write down what is known, if that is something else than before."""
        await in_thread(lambda: self._memory.write(self._guard.memory()))

    async def finish(self, seconds: float) -> None:
        """Write down what is known, as the engine stops; for so long at most."""
        if self._began:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.remember()

    async def _tell(self) -> None:
        self._watch.doubt_all()
        lost, before = dict(self._guard.lost), self._told
        self._told = lost
        for point, reason in lost.items():
            if before.get(point) != reason:
                log.error("%s; usage of its mailboxes is unknown until it is back", reason)
        for point in before.keys() - lost.keys():
            log.warning("the mailstore is back: %s", point)
        if lost:
            await self._mark()
        if before.keys() - lost.keys():
            self._poller.hurry()

    async def _mark(self) -> None:
        """Give the reason to the accounts of what is lost."""
        entries = iter(list(self._ledger.entries.values()))
        while part := list(islice(entries, _SLICE)):
            for entry, reason in await gently(_SHARE, self._reasons, part):
                self._ledger.set_trouble(entry, reason)

    def _reasons(self, entries: list[Entry]) -> list[tuple[Entry, str]]:
        found = ((entry, self._guard.reason(entry.address)) for entry in entries if entry.mailbox and not entry.fault)
        return [(entry, reason) for entry, reason in found if reason]
