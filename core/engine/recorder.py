"""Records what happens in the engine, so that ``mailquota replay`` can show it later.

Once a second the answers since the last time are picked, at most ``_MOST`` of them, refusals first; every ten seconds
they are written together with the accounts that changed, the status, and new entries of the journal and the warnings.
Rows are made in small slices on the loop. All else is done in a thread, which is waited for by nobody else: while it
hangs, nothing is picked, and nothing piles up. What could not be written is lost, and the status says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..base.errors import MailquotaError
from ..base.model import AccountRow
from ..base.threads import in_thread
from ..control.results import DecisionRow, JournalRow, Status, WarningRow
from ..mailboxes.ledger import Ledger
from ..policy.log import DecisionLog
from ..recordings.periods import Period
from ..recordings.writing import Limits, Writer

log = logging.getLogger(__name__)

T = TypeVar("T", JournalRow, WarningRow)
PERIOD = 10  # seconds
_MOST = 50  # answers of one second
_SLICE = 50  # rows that are made at once
_REST_SECONDS = 0.002
_PART = 20_000  # rows of one period
_GROUP = 20  # answers that are made readable at once
_KNOWN, _ALL = 50, 2000  # entries of the journal, and warnings, that are read each time, and where all of those are new
_AGAIN_SECONDS = 60.0  # after a failure
_SLOW_SECONDS = 30.0
_STOP_SECONDS = 0.3


class Sources(NamedTuple):
    """Where the recorder takes things from. ``limits`` are those of the settings in force."""

    ledger: Ledger
    decisions: DecisionLog
    status: Callable[[], Status]
    journal: Callable[[int], list[JournalRow]]
    warnings: Callable[[int], Awaitable[list[WarningRow]]]
    limits: Callable[[], Limits]


class _Newest:
    """The newest rows that were recorded, by id; tells which of others are new or have changed."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def knows(self, rows: Iterable[Any]) -> bool:
        """Whether one of them was recorded."""
        return any(row.id in self._known for row in rows)

    def take(self, rows: list[T]) -> list[T]:
        """Those that are to be recorded, oldest first."""
        new = [row for row in reversed(rows) if self._known.get(row.id) != row]
        self._known = {row.id: row for row in rows[:_KNOWN]}
        return new


class Recorder:
    """Made and used on the engine's loop. ``path`` is the folder; None: there is nowhere to record to."""

    def __init__(self, sources: Sources, path: str | None, now: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._writer = None if path is None else Writer(path, now)
        self._now = now
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._picked: list[Callable[[], DecisionRow]] = []
        self._skipped = 0
        self._seen = 0
        self._start = 0.0
        self._journal, self._warnings = _Newest(), _Newest()
        self._failed = ""
        self._writing_since: float | None = None

    @property
    def problem(self) -> str:
        """Why nothing can be recorded now; empty while it can, or is switched off."""
        if self._failed or self._writing_since is None:
            return self._failed
        slow = time.monotonic() - self._writing_since > _SLOW_SECONDS
        return "the file system of the recordings does not answer" if slow else ""

    @property
    def is_on(self) -> bool:
        """Whether the settings want it."""
        return self._writer is not None and self._sources.limits().bytes > 0

    def note(self, changed: Iterable[str], removed: Iterable[str]) -> None:
        """These accounts changed, those went."""
        if self.is_on:
            self._changed.update(changed)
            self._removed.update(removed)

    async def run(self, begin: asyncio.Event) -> None:
        """Record until cancelled, from ``begin`` on."""
        await begin.wait()
        self._begin()
        while True:
            for _ in range(PERIOD):
                await asyncio.sleep(1.0)
                self.pick()
            if self.is_on:
                await self.write()
            else:
                await self._close()
            if self._failed:
                await asyncio.sleep(_AGAIN_SECONDS)
                self._begin()

    def pick(self) -> None:
        """Take the answers since the last time."""
        if not self.is_on:
            self._seen = self._sources.decisions.count
            return
        rows, skipped = self._sources.decisions.pick(self._seen, _MOST)
        self._seen = self._sources.decisions.count
        self._picked += rows
        self._skipped += skipped

    def _begin(self) -> None:
        self._start, self._seen = self._now(), self._sources.decisions.count
        self._picked, self._skipped = [], 0

    async def _close(self) -> None:
        """It was switched off: end the file."""
        self._failed = ""
        self._changed, self._removed = set(), set()
        if self._writer is not None:
            await in_thread(self._writer.close)

    async def write(self) -> None:
        """Write what happened since the last time; after a failure the next file begins anew."""
        writer, limits = self._writer, self._sources.limits()
        assert writer is not None
        first = writer.wants_whole(limits)
        period = await self._period(first=first)
        makers, self._picked = self._picked, []
        try:
            self._writing_since = time.monotonic()
            if first:
                await self._write_table(writer, period, makers, limits)
            else:
                rows = await self._rows(self._take_changed())
                await in_thread(partial(_write, writer, period, makers, rows, limits))
        except OSError as error:
            self._fail(f"{error.filename or writer.path}: {error.strerror or error}")
        else:
            self._failed = ""
        finally:
            self._writing_since = None

    async def _write_table(
        self, writer: Writer, period: Period, makers: list[Callable[[], DecisionRow]], limits: Limits
    ) -> None:
        """All accounts, in several periods where they are many."""
        self._take_changed()
        addresses = list(self._sources.ledger.entries)
        for start in range(0, max(1, len(addresses)), _PART):
            rows = await self._rows(addresses[start : start + _PART])
            part = period if start == 0 else Period(start=period.end, end=period.end, whole=True)
            answers = makers if start == 0 else []
            await in_thread(partial(_write, writer, part, answers, rows, limits))

    def _take_changed(self) -> list[str]:
        changed, self._changed = self._changed, set()
        return sorted(changed)

    async def _rows(self, addresses: list[str]) -> list[AccountRow]:
        """The rows of these accounts, made with other work of the loop in between."""
        ledger, rows = self._sources.ledger, list[AccountRow]()
        for start in range(0, len(addresses), _SLICE):
            entries = map(ledger.get, addresses[start : start + _SLICE])
            rows += [ledger.row(entry) for entry in entries if entry is not None]
            await asyncio.sleep(_REST_SECONDS)
        return rows

    async def _period(self, *, first: bool) -> Period:
        """What happened, without answers and accounts."""
        if first:
            self._journal, self._warnings = _Newest(), _Newest()
        journal, warnings = await self._past(first=first)
        removed, self._removed = self._removed, set()
        start, skipped, end = self._start, self._skipped, self._now()
        self._start, self._skipped = end, 0
        return Period(
            start=min(start, end),
            end=end,
            whole=first,
            first=first,
            status=self._sources.status(),
            skipped=skipped,
            removed=[] if first else sorted(removed),
            journal=journal,
            warnings=warnings,
        )

    async def _past(self, *, first: bool) -> tuple[list[JournalRow], list[WarningRow]]:
        """Journal entries and warnings that are new. While the state database can't be used, there are none."""
        sources = self._sources
        try:
            journal = await in_thread(lambda: sources.journal(_KNOWN))
            if len(journal) == _KNOWN and not first and not self._journal.knows(journal):
                journal = await in_thread(lambda: sources.journal(_ALL))
            warnings = await sources.warnings(_KNOWN)
            if len(warnings) == _KNOWN and not first and not self._warnings.knows(warnings):
                warnings = await sources.warnings(_ALL)
        except MailquotaError:
            return [], []
        return self._journal.take(journal), self._warnings.take(warnings)

    def _fail(self, why: str) -> None:
        if why != self._failed:
            log.warning("nothing can be recorded: %s", why)
        self._failed = why

    async def finish(self) -> None:
        """Write what is left, as the engine stops, in a third of a second at most."""
        writer = self._writer
        if writer is None or not self.is_on or writer.wants_whole(self._sources.limits()):
            return
        self.pick()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self.write()
                await in_thread(writer.close)


def _write(
    writer: Writer, period: Period, makers: list[Callable[[], DecisionRow]], rows: list[AccountRow], limits: Limits
) -> None:
    """Write the period with its rows and answers; the latter are made readable here, in a thread, with rests."""
    answers = list[DecisionRow]()
    for start in range(0, len(makers), _GROUP):
        answers += [make() for make in makers[start : start + _GROUP]]
        time.sleep(_REST_SECONDS)
    writer.write(msgspec.structs.replace(period, decisions=answers, accounts=rows), limits)
