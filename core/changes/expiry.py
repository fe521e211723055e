"""Ends temporary limits: when their time has come, or as soon as an engine runs again.

Theory of operation. The state database says which are due (core/changes/temporary.py). A limit is set back only if it
still is the temporary one, so a later edit is kept. What was found is then written to the journal in one transaction
with the note that the temporary limit has ended. Of several engines on one state database each may try: one of them
finds the temporary limit, and one of them, not always the same, writes the note. If an engine is killed between the
two, the next round finds the limit of before, and writes the note. What can't be done now, because a database does not
answer, is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from ..accounts.store import AccountStore, LimitChange, LimitChangedError, LimitResult
from ..base import restarts
from ..base.errors import MailquotaError, NoSuchAccountError
from ..base.threads import in_thread
from ..base.times import local_time
from ..base.units import format_limit, format_size
from ..history.journal import JournalEntry, limit_text
from ..history.who import Operator
from ..mailboxes.ledger import Ledger
from .carrying_out import LimitChanges, changed_by
from .temporary import Temporary

log = logging.getLogger(__name__)

MAILQUOTA = Operator("mailquota")  # in the journal
_REST_SECONDS = 10.0  # between two rounds, at most: commands and other engines set temporary limits, too
_STOP_SECONDS = 0.4  # of the 5 s in which an engine stops
_MOST = 500  # accounts in one transaction


class Expiry:
    """Runs on the engine's loop. ``accounts`` gives the accounts database of the settings in force."""

    def __init__(self, changes: LimitChanges, ledger: Ledger, accounts: Callable[[], AccountStore]) -> None:
        self._changes = changes
        self._ledger = ledger
        self._accounts = accounts
        self._trouble: list[str] = []  # of the last round; the log has it
        self._busy = asyncio.Lock()  # held during a round

    async def run(self, ready: asyncio.Event) -> None:
        """End temporary limits until cancelled; begins when ``ready`` is set, as the accounts are read then."""
        await ready.wait()
        while True:
            self._changes.noted.clear()
            async with self._busy:
                rest = await self.round()
            try:
                async with asyncio.timeout(rest):
                    await self._changes.noted.wait()
            except TimeoutError:
                continue

    async def end(self, task: asyncio.Task[None] | None) -> None:
        """Cancel the ``task`` of ``run``, after its present round or 0.4 s: a thread may be writing limits for it."""
        if task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS), self._busy:
                task.cancel()
        task.cancel()

    async def round(self) -> float:
        """End what is due; returns the seconds until the next round.

        What can't be done is logged once, never raised.
        """
        before, self._trouble = self._trouble, []
        rest = await self._end_all()
        for trouble in self._trouble:
            if trouble not in before:
                log.warning("%s", trouble)
        return rest

    async def _end_all(self) -> float:
        now = self._changes.clock()  # for both queries: a limit that ends between two times would be in neither
        try:
            while await self.end_due(now) == _MOST:
                pass
            next_end = await in_thread(lambda: self._changes.temporary.next_end(now))
        except MailquotaError as error:
            self._trouble.append(f"temporary limits can't be ended now: {error}")
        except Exception as error:  # noqa: BLE001 - an outer edge: other temporary limits must still end
            restarts.count("temporary limits", error)
            self._trouble.append(f"temporary limits can't be ended now: internal error: {error}")
        else:
            if next_end is not None:
                return min(_REST_SECONDS, max(0.0, next_end - self._changes.clock()))
        return _REST_SECONDS

    async def end_due(self, now: float) -> int:
        """End what is due at ``now``, at most _MOST; returns how many ended. Raises MailquotaError if none can be."""
        changes = self._changes
        # First without the lock: a state database that hangs must not block edits
        if not await in_thread(lambda: changes.temporary.due(now, 1)):
            return 0
        async with changes.lock:
            due = await in_thread(lambda: changes.temporary.due(now, _MOST))
            if not due:
                return 0
            limits = [LimitChange(one.address, one.before, one.limit) for one in due]
            accounts = self._accounts()
            written = await in_thread(lambda: accounts.set_limits(limits))
            pairs = [(one, w) for one, w in zip(due, written, strict=True) if self._is_settled(w)]
            for one, result in pairs:
                if result.error is None:
                    self._ledger.set_limit(one.address, one.before)
            await changes.measure([one.address for one, _ in pairs])
            return await self._write_down(pairs)

    def _is_settled(self, written: LimitResult) -> bool:
        """Whether the limit was set back, or never will be; otherwise it is tried again."""
        if written.error is None or isinstance(written.error, LimitChangedError | NoSuchAccountError):
            return True
        self._trouble.append(f"a temporary limit of {written.address} can't be ended now: {written.error}")
        return False

    async def _write_down(self, pairs: Sequence[tuple[Temporary, LimitResult]]) -> int:
        entries = [(one, await self._entry(one, written)) for one, written in pairs]
        ours = await in_thread(lambda: self._changes.temporary.end(entries, self._changes.clock()))
        for (one, entry), is_ours in zip(entries, ours, strict=True):
            if entry is not None and is_ours:
                went_back = entry.new != entry.old and entry.new is not None
                level = logging.WARNING if went_back and (self._over(one) or 0) > 0 else logging.INFO
                log.log(level, "%s: %s", one.address, entry.reason)
        return len(pairs)

    async def _entry(self, one: Temporary, written: LimitResult) -> JournalEntry | None:
        """The journal entry; None for a limit that was never set, as the engine was killed after noting it."""
        error, begun = written.error, one.entry
        if begun is None and error is not None:
            return None
        ended = f"the temporary limit of {format_limit(one.limit)} until {local_time(one.until)} has ended"
        if isinstance(error, NoSuchAccountError):
            return _note(one.address, limit_text(one.limit), None, f"{ended}, and the account is gone")
        if begun is None or not isinstance(error, LimitChangedError) or error.found == one.before:
            return _note(one.address, limit_text(one.limit), limit_text(one.before), f"{ended}{self._state(one)}")
        found = error.found
        who = changed_by(await in_thread(lambda: self._changes.journal.later(one.address, begun)), found)
        left = f"{ended}; the limit stays {format_limit(found)}, {who}"
        return _note(one.address, limit_text(found), limit_text(found), left)

    def _state(self, one: Temporary) -> str:
        """The end of the journal entry: the limit that holds again, and by how much the usage is above it."""
        over = self._over(one)
        if over is None:
            return f", back to {format_limit(one.before)}; its usage is not known"
        more = f"; the account is {format_size(over)} over it now" if over > 0 else ""
        return f", back to {format_limit(one.before)}{more}"

    def _over(self, one: Temporary) -> int | None:
        """By how many bytes the usage is above the limit of before (below 0: under it); None where it is not known."""
        if one.before is None:
            return 0
        entry = self._ledger.get(one.address)
        return None if entry is None or entry.used is None else entry.used - one.before


def _note(address: str, old: str, new: str | None, reason: str) -> JournalEntry:
    return MAILQUOTA.entry("limit", address=address, old=old, new=new, reason=reason)
