"""Edits of limits that operators order: set, lasting or temporary, and taken back.

A limit that is computed from the old one, or restores an old one, is written only if the limit in the accounts database
still is the expected one. Taking back an edit that had ended a temporary limit lets that run again; if its time has
passed meanwhile, the limit after it is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..accounts.store import ANY, AccountStore
from ..base.errors import MailquotaError, NoSuchAccountError, UsageError
from ..base.threads import in_thread
from ..base.times import local_time
from ..base.units import parse_limit
from ..control.results import MESSAGES, JournalRow, SetResult, UndoPlan, rest_of
from ..history.journal import Journal, limit_of
from ..history.who import Operator
from ..mailboxes.ledger import Ledger
from ..mailboxes.rounds import Poller
from .carrying_out import Change, LimitChanges, Running
from .message_limits import MessageLimits, again_reason
from .recount_and_trash import Actions
from .results import failed
from .temporary import Temporary, holding


class Limits:
    """Used on the engine's loop; ``clock`` gives seconds since the epoch."""

    def __init__(
        self, actions: Actions, ledger: Ledger, poller: Poller, journal: Journal, clock: Callable[[], float] = time.time
    ) -> None:
        self.changes = LimitChanges(ledger, poller, journal, clock)
        self.messages = MessageLimits(actions, ledger, self.changes)
        self._actions = actions
        self._ledger = ledger
        self._journal = journal

    async def set(
        self,
        accounts: AccountStore,
        addresses: list[str],
        size: str,
        operator: Operator,
        *,
        reason: str = "",
        until: float | None = None,
        dry_run: bool = False,
    ) -> list[SetResult]:
        """Set the limits of these addresses to ``size`` (as typed, like "5G" or "+500M"), lasting or ``until`` a time.

        ``until`` is in seconds since the epoch. Raises UsageError for a size that the one address can't have,
        StateError where a temporary limit can't be noted, DatabaseError. Errors of one account are in its result.
        """
        await self.changes.measure(addresses)
        results = [self._plan(address, size, lasting=until is None) for address in addresses]
        if len(results) == 1 and results[0].code == UsageError.exit_code:
            raise UsageError(results[0].error)
        wanted = list({result.address: result for result in results if result.error is None}.values())

        def changes(running: Running) -> list[Change]:
            return [_change(result, size, reason, until, running) for result in wanted]

        if dry_run:
            done = [change.promised() for change in changes(await self.changes.running(needed=until is not None))]
        else:
            with self._actions.at_work(operator):
                async with self.changes.lock:
                    running = await self.changes.running(needed=until is not None)
                    done = await self.changes.carry_out(accounts, changes(running), operator, running)
        by_address = {result.address: result for result in done}
        return [by_address.get(result.address, result) for result in results]

    def _plan(self, address: str, size: str, *, lasting: bool) -> SetResult:
        entry = self._ledger.get(address)
        if entry is None:
            missing = NoSuchAccountError(address)
            return SetResult(
                address=address, old_bytes=None, new_bytes=None, error=str(missing), code=missing.exit_code
            )
        try:
            if entry.fault and not lasting:
                raise UsageError(f"{entry.fault}: there is nothing to go back to, so set a lasting one")
            new = parse_limit(size, entry.database_limit, entry.used)
        except UsageError as error:
            return SetResult(
                address=address,
                old_bytes=entry.database_limit,
                new_bytes=entry.database_limit,
                used_bytes=entry.used,
                error=str(error),
                code=error.exit_code,
            )
        return SetResult(address=address, old_bytes=entry.database_limit, new_bytes=new, used_bytes=entry.used)

    async def undo(
        self,
        accounts: AccountStore,
        number: int | None,
        operator: Operator,
        *,
        reason: str = "",
        newest: int | None = None,
        without: Sequence[str] = (),
    ) -> list[SetResult]:
        """Take back journal entry ``number``, or with None all entries of the newest edit of limits.

        Accounts that are left out (``without``) keep their limits; their entries can be taken back later.

        Where the entry itself took an edit back, all that was taken back with it is set again, as an edit of its own.

        A limit that was changed since stays, and its result says by whom. Raises MailquotaError where there is nothing
        to take back, or ``newest`` is not the newest entry of that edit; StateError where the journal can't be read.
        """
        with self._actions.at_work(operator):
            async with self.changes.lock:
                rows = await in_thread(lambda: self._edit(number))
                if newest not in {None, rows[-1].id}:
                    raise MailquotaError("another edit of limits came in between; nothing was changed")
                rows = rest_of(rows, without)
                if rows[0].kind == MESSAGES:
                    return await self.messages.put_back(accounts, rows, operator, reason)
                changes = await self._all_back(rows, reason)
                running = await self.changes.running(needed=True)
                return await self.changes.carry_out(accounts, changes, operator, running)

    async def plan_undo(self, number: int | None) -> UndoPlan:
        """What ``undo`` would do now; an empty plan where there is no newest edit. Raises as that does."""
        if number is None and not await in_thread(self._journal.newest_edit):
            return UndoPlan([], [])
        rows = await in_thread(lambda: self._edit(number))
        if rows[0].kind == MESSAGES:
            return UndoPlan(rows[::-1], [self.messages.foresee_back(row) for row in rows])
        changes = await self._all_back(rows, "")
        return UndoPlan(rows[::-1], [await self._foreseen(change) for change in changes])

    async def _all_back(self, rows: list[JournalRow], reason: str) -> list[Change]:
        await self.changes.measure([row.address for row in rows])
        first, last = min(row.id for row in rows), max(row.id for row in rows)
        ended = await in_thread(lambda: self.changes.temporary.ended_by(first, last))
        if rows[0].undoes is not None:
            return await in_thread(lambda: [self._again(row, reason) for row in rows])
        return [self._back(row, ended.get(row.id, ()), reason) for row in rows]

    async def _foreseen(self, change: Change) -> SetResult:
        entry = self._ledger.get(change.address)
        if entry is None:
            return failed(change.planned, NoSuchAccountError(change.address))
        if entry.database_limit != change.expect and change.since is not None:
            why = await self.changes.changed_since(change.address, change.since, entry.database_limit)
            return failed(change.planned, why)
        return change.promised()

    def _edit(self, number: int | None) -> list[JournalRow]:
        """The entries that are to be taken back, oldest first. Raises MailquotaError where there are none."""
        if number is not None:
            row = self._entry(number)
            return [row] if row.undoes is None else self._journal.taken_back_with(row)
        rows = self._journal.newest_edit()
        if not rows:
            raise MailquotaError("the journal has no edit of limits that could be taken back")
        return rows[::-1]

    def _entry(self, number: int) -> JournalRow:
        row = self._journal.entry(number)
        if row is None:
            raise MailquotaError(f"the journal has no entry {number}; nothing was changed")
        if row.kind not in {"limit", MESSAGES}:
            raise MailquotaError(f"entry {number} is no edit of a limit ({row.kind}); nothing was changed")
        for later in self._journal.later(row.address, number, row.kind):
            if later.undoes == number:
                raise MailquotaError(
                    f"entry {number} was taken back already, by {later.who} on {local_time(later.at)}"
                    f" (entry {later.id}); nothing was changed"
                )
        return row

    def _again(self, row: JournalRow, reason: str) -> Change:
        """Set the limit again that the entry ``row`` took back; one that was temporary is so again."""
        entry = self._ledger.get(row.address)
        used = entry.used if entry is not None else None
        edit = self._journal.entry(row.undoes or 0)
        until = edit.until if edit is not None else None
        if until is not None and until <= self.changes.clock():
            raise MailquotaError(
                f"the limit of {row.address} was until {local_time(until)}, which has passed; nothing was changed"
            )
        now, new = limit_of(row.new), limit_of(row.old)
        return Change(
            planned=SetResult(address=row.address, old_bytes=now, new_bytes=new, used_bytes=used),
            expect=now,
            reason=again_reason(row, reason),
            until=until,
            then=now if until is not None else None,
            again=row.id,
        )

    def _back(self, row: JournalRow, ended: Sequence[Temporary], reason: str) -> Change:
        entry = self._ledger.get(row.address)
        used = entry.used if entry is not None else None
        old, now = limit_of(row.old), limit_of(row.new)
        before = holding(ended, old)
        if before is None:
            return Change(
                planned=SetResult(address=row.address, old_bytes=now, new_bytes=old, used_bytes=used),
                expect=now,
                reason=reason,
                undoes=row.id,
            )
        if before.until > self.changes.clock():
            planned = SetResult(address=row.address, old_bytes=now, new_bytes=old, used_bytes=used)
            return Change(
                planned=planned,
                expect=now,
                reason=reason,
                until=before.until,
                then=before.before,
                begun=before.entry,
                undoes=row.id,
            )
        why = f"the temporary limit before it was until {local_time(before.until)}"
        planned = SetResult(address=row.address, old_bytes=now, new_bytes=before.before, used_bytes=used)
        return Change(planned=planned, expect=now, reason="; ".join(filter(None, (reason, why))), undoes=row.id)


def _change(planned: SetResult, size: str, reason: str, until: float | None, running: Running) -> Change:
    if until is None:
        relative = size.strip()[:1] in {
            "+",
            "-",
            "x",
            "X",
        }  # only if the limit is still the one that it was computed from
        return Change(planned=planned, expect=planned.old_bytes if relative else ANY, reason=reason)
    temporary = holding(running.get(planned.address, ()), planned.old_bytes)
    then = temporary.before if temporary is not None else planned.old_bytes
    return Change(planned=planned, expect=planned.old_bytes, reason=reason, until=until, then=then)
