"""Writes limits, lasting and temporary ones, with their journal entries.

Theory of operation. Limits are in the accounts database, journal and temporary limits in the state database, so no
transaction spans both. The journal first gets the intent, as an entry of kind ``unclear`` with the old and the new
limit, and the outcome afterwards: the entry becomes that of the change, or goes where nothing was changed. So it stays
where the answer of the database was lost, or the engine was killed in between. Where the journal can't be written, a
lasting limit is set all the same, and its result says so. A temporary limit is noted first (core/changes/temporary.py),
and refused if that fails: without the note it would never end. ``lock`` is held during a change, so there is one at a
time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ..accounts.store import AccountStore, AnyLimit, LimitChange, LimitChangedError, LimitResult
from ..base.errors import MailquotaError
from ..base.threads import in_thread
from ..base.times import local_time
from ..base.units import format_limit
from ..control.results import JournalRow, SetResult
from ..history.connection import Sql, StateError
from ..history.journal import Journal, JournalEntry, limit_text
from ..history.who import Intent, Operator
from ..mailboxes.ledger import Ledger
from ..mailboxes.rounds import Poller
from .results import failed, numbered
from .temporary import Temporary, TemporaryLimits, holding, replace

log = logging.getLogger(__name__)

_FRESH_MOST = 1000  # accounts that are all measured before and after a change; of more only those not known yet

Running = Mapping[str, Sequence[Temporary]]  # temporary limits by address


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One limit that is to be written, in bytes. ``expect`` is the limit before, as in LimitChange.

    ``until``: when a temporary limit ends, in seconds since the epoch; ``then``: the limit from then on. ``begun``: the
    journal entry of a temporary limit that runs again by this change. ``undoes``: the entry that is taken back;
    ``again``: the entry of an undo whose edit is set again.
    """

    planned: SetResult
    expect: int | AnyLimit | None
    reason: str = ""
    until: float | None = None
    then: int | None = None
    begun: int | None = None
    undoes: int | None = None
    again: int | None = None

    @property
    def since(self) -> int | None:
        """The entry that must be the last one about this limit."""
        return self.again if self.undoes is None else self.undoes

    @property
    def address(self) -> str:
        """The account whose limit it is."""
        return self.planned.address

    def promised(self) -> SetResult:
        """The result if all goes well; that of a dry run."""
        return msgspec.structs.replace(self.planned, until=self.until, then_bytes=self.then)


class LimitChanges:
    """Used on the engine's loop. ``noted`` is set when there is a new temporary limit; ``clock``: since the epoch."""

    def __init__(self, ledger: Ledger, poller: Poller, journal: Journal, clock: Callable[[], float]) -> None:
        self.lock = asyncio.Lock()
        self.noted = asyncio.Event()
        self.temporary = TemporaryLimits(journal.database)
        self.journal = journal
        self.clock = clock
        self._ledger = ledger
        self._poller = poller

    async def measure(self, addresses: Sequence[str]) -> None:
        """Measure these accounts; of more than _FRESH_MOST only those whose usage is not known yet."""
        entries = (entry for entry in map(self._ledger.get, addresses) if entry is not None)
        await self._poller.measure_now(
            [entry for entry in entries if entry.known is None or len(addresses) <= _FRESH_MOST]
        )

    async def running(self, *, needed: bool) -> Running:
        """The temporary limits that have not ended. Where they can't be read: StateError if ``needed``, else none."""
        try:
            return await in_thread(self.temporary.running)
        except StateError as error:
            if needed:
                raise _unremembered(error) from error
            return {}

    async def carry_out(
        self, accounts: AccountStore, changes: Sequence[Change], operator: Operator, running: Running
    ) -> list[SetResult]:
        """Write these limits, one for each account, and their journal entries; called with the lock held.

        Raises StateError where a temporary limit can't be noted, before anything is changed; and DatabaseError.
        """
        if not changes:
            return []
        noted = await self._note(changes)
        limits = [LimitChange(c.address, c.planned.new_bytes, c.expect) for c in changes]
        intent = Intent(self.journal, [_entry(c, c.promised(), "", operator) for c in changes])
        await intent.begin()
        try:
            written = await in_thread(lambda: accounts.set_limits(limits))
        except MailquotaError as error:
            await intent.fail(error)
            # The commit may have been done although its answer was lost, so the notes stay: one without its limit does
            # no harm, a limit without its note would never end. Where old and new limit are equal the note would count
            # although its limit was never set, so it is deleted.
            await self._forget(noted, (c for c in changes if c.planned.new_bytes == c.planned.old_bytes))
            raise
        await self._forget(noted, (c for c, w in zip(changes, written, strict=True) if w.error is not None))
        results = [await self._result(c, w) for c, w in zip(changes, written, strict=True)]
        results = await self._write_down(
            changes, results, _TemporaryState(noted=noted, running=running, now=self.clock()), operator, intent
        )
        await self.measure([c.address for c in changes])
        return results

    async def _note(self, changes: Iterable[Change]) -> dict[str, int]:
        """Note temporary limits before they are set; the id of each, by address."""
        wanted = [(c.address, c.then, c.planned.new_bytes, c.until) for c in changes if c.until is not None]
        if not wanted:
            return {}
        try:
            numbers = await in_thread(lambda: self.temporary.begin(wanted))
        except StateError as error:
            raise _unremembered(error) from error
        self.noted.set()
        return dict(zip((address for address, *_ in wanted), numbers, strict=True))

    async def _forget(self, noted: dict[str, int], changes: Iterable[Change]) -> None:
        numbers = [noted.pop(c.address) for c in changes if c.address in noted]
        if not numbers:
            return
        try:
            await in_thread(lambda: self.temporary.forget(numbers))
        except StateError as error:  # when they end it will be found that the limits are other ones
            log.warning("limits that were not set stay noted: %s", error)

    async def _result(self, change: Change, written: LimitResult) -> SetResult:
        planned = change.planned
        if isinstance(written.error, LimitChangedError) and change.since is not None:
            return failed(planned, await self.changed_since(change.address, change.since, written.error.found))
        if written.error is not None:
            return failed(planned, written.error)
        self._ledger.set_limit(change.address, planned.new_bytes)
        return msgspec.structs.replace(change.promised(), old_bytes=written.old, remark=written.remark or None)

    async def changed_since(self, address: str, entry: int, found: int | None) -> MailquotaError:
        """The error where the limit is ``found`` and no more that of journal entry ``entry``, with who changed it."""
        try:
            who = f", {changed_by(await in_thread(lambda: self.journal.later(address, entry)), found)}"
        except StateError:  # other limits of this edit are written already: their results must not be lost
            who = ""
        return MailquotaError(f"the limit of {address} is {format_limit(found)} by now{who}; nothing was changed")

    async def _write_down(
        self,
        changes: Sequence[Change],
        results: list[SetResult],
        temporary: _TemporaryState,
        operator: Operator,
        intent: Intent,
    ) -> list[SetResult]:
        done = [(c, r) for c, r in zip(changes, results, strict=True) if r.error is None]
        entries = [
            None if r.error is not None else _entry(c, r, temporary.ends(c, r), operator)
            for c, r in zip(changes, results, strict=True)
        ]
        numbers, remark = await intent.settle(
            entries, lambda sql, numbers: temporary.settle(sql, [c for c, _ in done], numbers)
        )
        if remark and any(c.until is None and temporary.holding(c.address, r.new_bytes) for c, r in done):
            remark += "; its temporary limit still ends on its day"
        return numbered(results, numbers, remark)


class _TemporaryState(NamedTuple):
    """The temporary limits during a change: ids of the new ones, and those that ran before, by address."""

    noted: Mapping[str, int]
    running: Running
    now: float

    def holding(self, address: str, limit: int | None) -> Temporary | None:
        return holding(self.running.get(address, ()), limit)

    def ends(self, change: Change, result: SetResult) -> str:
        """What the journal says of a temporary limit that a change ends; "" for none."""
        old = self.holding(change.address, result.old_bytes)
        if old is None:
            return ""
        verb = "ends" if change.until is None else "replaces"
        return f"{verb} the temporary limit until {local_time(old.until)}"

    def settle(self, sql: Sql, changes: Iterable[Change], numbers: Iterable[int]) -> None:
        """End the temporary limits that ran before, and link new ones to their journal entries."""
        for change, number in zip(changes, numbers, strict=True):
            row = self.noted.get(change.address)
            if row is not None:
                replace(sql, self.now, change.address, number, (row, change.begun or number))
            elif change.address in self.running:
                replace(sql, self.now, change.address, number, None)


def _entry(change: Change, result: SetResult, ends: str, operator: Operator) -> JournalEntry:
    return operator.entry(
        "limit",
        address=change.address,
        old=limit_text(result.old_bytes),
        new=limit_text(result.new_bytes),
        reason="; ".join(filter(None, (change.reason, ends))),
        until=change.until,
        undoes=change.undoes,
    )


def _unremembered(error: StateError) -> StateError:
    return StateError(f"nothing was changed, as a temporary limit could not be remembered: {error}")


def changed_by(later: Sequence[JournalRow], found: int | None) -> str:
    """Which operator set the limit ``found``; ``later`` are the journal entries since the edit in question."""
    changes = [row for row in later if row.old != row.new]
    if not changes or changes[-1].new != limit_text(found):
        return "changed outside mailquota"
    return f"set by {changes[-1].who} on {local_time(changes[-1].at)}"
