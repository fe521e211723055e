"""Edits of limits of messages that operators order: set, and taken back.

They are in the accounts database where Dovecot takes them from a column there, and else can't be set. As a limit of
bytes, one is written first and noted in the journal afterwards, and put back only if nobody changed it since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ..accounts.store import ANY, AccountStore, AnyLimit, LimitChange, LimitChangedError, LimitResult
from ..base.errors import MailquotaError, NoSuchAccountError
from ..base.threads import in_thread
from ..base.units import format_message_limit, parse_message_limit
from ..control.results import MESSAGES, JournalRow, SetResult
from ..history.journal import JournalEntry, limit_of, limit_text
from ..history.who import Intent, Operator
from ..mailboxes.ledger import Ledger
from .carrying_out import LimitChanges
from .recount_and_trash import Actions
from .results import failed, numbered


@dataclass(frozen=True, slots=True)
class _Change:
    """A limit of messages that is to be written; None is none. ``expect`` is the one before, as in LimitChange."""

    planned: SetResult
    expect: int | AnyLimit | None = ANY
    undoes: int | None = None
    is_back: bool = False


def again_reason(row: JournalRow, reason: str) -> str:
    """The reason in the journal where what the entry ``row`` took back is set again."""
    return "; ".join(filter(None, (reason, f"again, as entry {row.undoes} had it, which {row.id} took back")))


class MessageLimits:
    """Used on the engine's loop. ``changes`` has the lock under which all limits are written."""

    def __init__(self, actions: Actions, ledger: Ledger, changes: LimitChanges) -> None:
        self._actions = actions
        self._ledger = ledger
        self._changes = changes

    async def set(
        self,
        accounts: AccountStore,
        addresses: Sequence[str],
        text: str,
        operator: Operator,
        *,
        reason: str = "",
        dry_run: bool = False,
    ) -> list[SetResult]:
        """Set the limits of messages of these addresses to ``text`` as typed, like "1000" or "unlimited".

        Raises UsageError for any other text, and DatabaseError. Errors of one account are in its result.
        """
        limit = parse_message_limit(text)
        await self._changes.measure(addresses)
        planned = [self._plan(address, limit) for address in addresses]
        if dry_run:
            return planned
        wanted = {result.address: _Change(result) for result in planned if result.error is None}
        with self._actions.at_work(operator):
            async with self._changes.lock:
                done = await self.carry_out(accounts, list(wanted.values()), operator, reason)
        by_address = {result.address: result for result in done}
        return [by_address.get(result.address, result) for result in planned]

    def _plan(self, address: str, limit: int | None) -> SetResult:
        entry = self._ledger.get(address)
        if entry is None:
            missing = NoSuchAccountError(address)
            return SetResult(address, None, None, error=str(missing), code=missing.exit_code)
        known = self._ledger.row(entry)
        return SetResult(
            address=address,
            old_bytes=entry.limit,
            new_bytes=entry.limit,
            used_bytes=entry.used,
            old_messages=entry.given_messages,
            new_messages=limit,
            messages=known.messages,
        )

    def plan_back(self, row: JournalRow) -> SetResult:
        """What taking this entry back would set."""
        return self._plan(row.address, limit_of(row.old))

    def foresee_back(self, row: JournalRow) -> SetResult:
        """The same, with an error where the limit was changed since."""
        planned = self.plan_back(row)
        if planned.error is not None or planned.old_messages == limit_of(row.new):
            return planned
        return failed(planned, _changed_since(planned, planned.old_messages))

    async def put_back(
        self, accounts: AccountStore, rows: Sequence[JournalRow], operator: Operator, reason: str
    ) -> list[SetResult]:
        """Take back these entries of the journal, or set again what they took back; called with the lock held.

        Raises DatabaseError.
        """
        again = rows[0].undoes is not None
        changes = [
            _Change(self.plan_back(row), limit_of(row.new), undoes=None if again else row.id, is_back=True)
            for row in rows
        ]
        return await self.carry_out(accounts, changes, operator, again_reason(rows[0], reason) if again else reason)

    async def carry_out(
        self, accounts: AccountStore, changes: Sequence[_Change], operator: Operator, reason: str
    ) -> list[SetResult]:
        """Write these limits, and their journal entries; called with the lock held. Raises DatabaseError."""
        todo = [change for change in changes if change.planned.error is None]
        limits = [LimitChange(c.planned.address, c.planned.new_messages, c.expect, messages=True) for c in todo]
        intent = Intent(self._changes.journal, [_entry(c.planned, c, operator, reason) for c in todo])
        await intent.begin()
        try:
            written = await in_thread(lambda: accounts.set_limits(limits)) if limits else []
        except MailquotaError as error:
            await intent.fail(error)
            raise
        pairs = list(zip(todo, written, strict=True))
        results = [self._result(change, result) for change, result in pairs]
        entries = [
            _entry(result, change, operator, reason) if result.error is None else None
            for change, result in zip(todo, results, strict=True)
        ]
        numbers, remark = await intent.settle(entries)
        refused = [change.planned for change in changes if change.planned.error is not None]
        await self._changes.measure([result.address for result in results if result.error is None])
        return [*refused, *numbered(results, numbers, remark)]

    def _result(self, change: _Change, written: LimitResult) -> SetResult:
        planned, error = change.planned, written.error
        if isinstance(error, LimitChangedError) and change.is_back:
            error = _changed_since(planned, error.found)
        if error is not None:
            return failed(planned, error)
        self._ledger.give_limit_messages(planned.address, planned.new_messages)
        return msgspec.structs.replace(planned, old_messages=written.old)


def _changed_since(planned: SetResult, found: int | None) -> MailquotaError:
    now = format_message_limit(found)
    return MailquotaError(f"the limit of {planned.address} is {now} by now; nothing was changed")


def _entry(result: SetResult, change: _Change, operator: Operator, reason: str) -> JournalEntry:
    return operator.entry(
        MESSAGES,
        address=result.address,
        old=limit_text(result.old_messages),
        new=limit_text(result.new_messages),
        reason=reason,
        undoes=change.undoes,
    )
