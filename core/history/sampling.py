"""Writes the usage in the ledger to the history, and at the start reads trends and times from it.

Theory of operation. The ledger collects the accounts whose usage changed (``unsampled``). Each round takes those and
writes them in small slices with rests between them, in threads. An account is written at most once in a slot (15 min):
one that changes again waits for the next slot, so that a busy server does not write the same row every few seconds.
What can't be written is left for the next round. core/history/service.py calls the rounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from ..base.threads import gently
from ..base.units import format_size
from ..mailboxes.ledger import Entry, Ledger
from .connection import StateError
from .journal import Journal, JournalEntry
from .jumps import WITHIN, least_jump
from .samples import AccountUsage, Change, Samples
from .stored_accounts import StoredAccount
from .thinning import slot_of

log = logging.getLogger(__name__)

_SHARE = 0.1
_SLICE = 100  # accounts
_LAST_SLICE = 500  # when the engine stops; older SQLite takes no more than 999 values
_CLOCK_SET = 1_600_000_000  # in 2020; before it the clock of the machine is not set yet
_STEPS = 5  # slots that an hour can touch: in one of them a jump grows by at least a fifth of its size


class Sampler:
    """Runs on the engine's loop. ``now`` gives seconds since the epoch. ``load``, ``round``, ``finish``: StateError."""

    def __init__(self, ledger: Ledger, samples: Samples, journal: Journal, now: Callable[[], float]) -> None:
        self._ledger = ledger
        self._samples = samples
        self._journal = journal
        self._now = now
        self._slot = 0
        self.loaded = asyncio.Event()  # the history is in the ledger
        self._taken: list[Entry] = []  # to be written, the last one first
        self._later: dict[str, Entry] = {}  # to be written in the next slot

    # ---- reading

    async def load(self, share: float = _SHARE) -> None:
        """Read trends and times of all accounts into the ledger, and note which accounts are gone.

        ``share`` is the part of the time that it may work; the rest are pauses.
        """
        after, now = 0, self._now()
        while page := await gently(share, self._samples.page, after):
            after = page[-1].id
            for row in page:
                entry = self._ledger.get(row.address)
                if entry is not None:
                    self._set(entry, row, now)
                elif row.is_unseen(now):
                    self._ledger.put_back_gone_unsampled([row.address])
        self.loaded.set()

    def _set(self, entry: Entry, row: StoredAccount, now: float) -> None:
        known = entry.known
        same = known is None or (known.used, known.messages) == (row.used, row.messages)
        self._ledger.set_trend(entry, row.trend, row.week)
        self._ledger.note_change(entry, row.changed_at if same else now)

    # ---- writing

    async def round(self) -> None:
        """Write what the last round left, what waited for a new slot, and what changed since."""
        now = self._now()
        if now < _CLOCK_SET:
            return
        if not self.loaded.is_set():
            await self.load()
        await self._drain()
        if self._slot != slot_of(now):
            self._slot = slot_of(now)
            self._take(self._later)
            self._later = {}
            await self._drain()
        self._take(self._ledger.take_unsampled())
        await self._drain()
        await self._leave(now)

    def _take(self, entries: dict[str, Entry]) -> None:
        self._taken = list(entries.values())
        self._taken.reverse()

    async def _drain(self) -> None:
        while self._taken:
            entries = self._taken[-_SLICE:]
            del self._taken[-_SLICE:]
            try:
                await self._write(entries)
            except BaseException:
                self._taken += entries
                raise

    async def _write(self, entries: list[Entry]) -> None:
        now = self._now()
        due = [entry for entry in self._present(entries) if not self._was_written(entry, now)]
        if not due:
            return
        usages, facts = _usages(due), {entry.address: (entry.limit, entry.sampled_from) for entry in due}
        changes = await gently(_SHARE, self._write_usages, usages, facts, now)
        for entry in due:
            self._ledger.note_sampled(entry, now)
        if any(change.old is None and facts[change.address][1] is not None for change in changes):
            self._ledger.sample_all_anew()  # an account that was written before is new: the database was replaced
        for change in changes:
            changed = self._ledger.get(change.address)
            if changed is not None:
                self._ledger.note_change(changed, now)

    def _present(self, entries: Iterable[Entry]) -> list[Entry]:
        """Without accounts that are gone or not measured, and those that Dovecot contradicts: they come again."""
        known = [entry for entry in entries if entry.known is not None and not entry.doubted]
        return [entry for entry in known if self._ledger.get(entry.address) is entry]

    def _was_written(self, entry: Entry, now: float) -> bool:
        """Whether the account was written in this slot already; then it waits for the next one."""
        if entry.sampled_at is None or slot_of(entry.sampled_at) != slot_of(now):
            return False
        self._later[entry.address] = entry
        return True

    async def _leave(self, now: float) -> None:
        left = self._ledger.take_gone_unsampled()
        while left:
            some = [left.pop() for _ in range(min(_SLICE, len(left)))]
            try:
                await gently(_SHARE, self._samples.gone, some, now)
            except BaseException:
                self._ledger.put_back_gone_unsampled([*left, *some])
                raise

    async def finish(self, seconds: float) -> None:
        """Write what is left, without rests, for at most ``seconds``, as the engine stops."""
        loop, now = asyncio.get_running_loop(), self._now()
        until = loop.time() + seconds
        if now < _CLOCK_SET:
            return
        waiting = [*self._taken, *self._later.values(), *self._ledger.take_unsampled().values()]
        while waiting and loop.time() < until:
            usages = _usages(self._present(waiting[-_LAST_SLICE:]))
            del waiting[-_LAST_SLICE:]
            await gently(1.0, self._samples.write, usages, now)

    # ---- in a thread

    def _write_usages(
        self, usages: list[AccountUsage], facts: dict[str, tuple[int | None, float | None]], now: float
    ) -> list[Change]:
        """``facts`` are limits, and since when this engine has written the accounts (None: not yet)."""
        changes = self._samples.write(usages, now)
        for change in changes:
            limit, since = facts[change.address]
            if since is not None and change.old is not None:
                try:
                    self._note_jump(change, change.old, limit, max(since, now - WITHIN), now)
                except StateError as error:
                    log.warning("a jump of %s can't be noted: %s", change.address, error)
        return changes

    def _note_jump(self, change: Change, before: int, limit: int | None, since: float, now: float) -> None:
        """Write a jump to the journal where the usage grew by one within an hour.

        The hour is read only where this step alone is a fifth of a jump, as reading it for each change would be slow.
        """
        least = least_jump(limit, change.usual)
        if (change.new - before) * _STEPS < least:
            return
        then = self._samples.series(change.address, since, now)[0].used_bytes
        if change.new - then >= least and self._samples.claim_jump(change.address, now):
            usual = f", usually {format_size(change.usual)} a day" if change.usual > 0 else ""
            reason = f"grew by {format_size(change.new - then)} within an hour{usual}"
            jump = JournalEntry(
                operator="mailquota",
                kind="jump",
                address=change.address,
                old=str(then),
                new=str(change.new),
                reason=reason,
            )
            self._journal.add([jump])


def _usages(entries: Iterable[Entry]) -> list[AccountUsage]:
    return [AccountUsage(entry.address, entry.known.used, entry.known.messages) for entry in entries if entry.known]
