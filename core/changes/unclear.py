"""Looks up what came of changes of limits that the journal has as ``unclear``.

Theory of operation. Such an entry stays where the answer of the accounts database was lost, or the program was killed
between a change and its outcome. A while later, when nobody can be at work on it any more, the database is asked for
the limit: by a change from the new limit to the new limit, which changes nothing, and finds the limit of before or
another one instead. The entry then gets its outcome, in one statement that finds it only as it was read. So one of
several engines completes it, once, and an outcome that the program itself wrote meanwhile stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from ..accounts.store import AccountStore, LimitChange, LimitChangedError, LimitResult
from ..base.errors import MailquotaError, NoSuchAccountError
from ..base.threads import in_thread
from ..base.units import format_limit, format_message_limit
from ..control.results import MESSAGES, JournalRow
from ..history.journal import MESSAGE_UNIT, NOT_MADE, UNCLEAR, Journal, limit_of, limit_text
from .carrying_out import LimitChanges

log = logging.getLogger(__name__)

SETTLED = 60.0  # seconds after which no program waits for the answer of a database any more
_REST = 20.0  # seconds between two rounds
_MOST = 200  # entries in one transaction


class UnclearEntries:
    """Runs on the engine's loop. ``accounts`` gives the accounts database of the settings in force."""

    def __init__(self, journal: Journal, changes: LimitChanges, accounts: Callable[[], AccountStore]) -> None:
        self._journal = journal
        self._changes = changes
        self._accounts = accounts
        self._trouble = ""  # of the last round; the log has it

    async def run(self, ready: asyncio.Event) -> None:
        """Look up until cancelled; begins when ``ready`` is set, as the accounts are read then."""
        await ready.wait()
        while True:
            await self.round()
            await asyncio.sleep(_REST)

    async def round(self) -> int:
        """Look up what is old enough; how many entries got their outcome. What can't be done is logged once."""
        before, self._trouble = self._trouble, ""
        try:
            return await self._look_up()
        except MailquotaError as error:
            self._trouble = f"what came of unclear changes can't be looked up now: {error}"
        if self._trouble != before:
            log.warning("%s", self._trouble)
        return 0

    async def _look_up(self) -> int:
        until = self._changes.clock() - SETTLED
        rows = await in_thread(lambda: self._journal.unclear(until, _MOST))
        if not rows:
            return 0
        accounts = self._accounts()
        async with self._changes.lock:
            limits = [_asking(row) for row in rows]
            found = await in_thread(lambda: accounts.set_limits(limits))
        outcomes = [_outcome(row, result) for row, result in zip(rows, found, strict=True)]
        completed = await in_thread(lambda: self._journal.complete(list(zip(rows, outcomes, strict=True))))
        for row in completed:
            log.info("%s: a change from %s to %s was unclear: %s", row.address, row.old, row.new, row.reason)
        return len(completed)


def _is_of_messages(row: JournalRow) -> bool:
    return (row.new or "").endswith(MESSAGE_UNIT)


def _limit(text: str | None) -> int | None:
    return limit_of(text.removesuffix(MESSAGE_UNIT) if text else text)


def _asking(row: JournalRow) -> LimitChange:
    """The change that changes nothing, and finds the limit."""
    limit = _limit(row.new)
    return LimitChange(row.address, limit, expect=limit, messages=_is_of_messages(row))


def _outcome(row: JournalRow, result: LimitResult) -> JournalRow:
    """The entry with what was found; ``reason`` is what is added to its reason."""
    error, of_messages = result.error, _is_of_messages(row)
    if error is None:
        plain = {"old": limit_text(_limit(row.old)), "new": limit_text(_limit(row.new))}
        return msgspec.structs.replace(row, kind=MESSAGES if of_messages else "limit", reason="it was made", **plain)
    if isinstance(error, LimitChangedError) and (error.found or None) == (_limit(row.old) or None):
        return msgspec.structs.replace(row, kind=NOT_MADE, reason="it was not made")
    if isinstance(error, LimitChangedError):
        now = format_message_limit(error.found) if of_messages else format_limit(error.found)
        return msgspec.structs.replace(row, kind=UNCLEAR, reason=f"the limit is neither of both but {now}")
    text = "the account is gone" if isinstance(error, NoSuchAccountError) else str(error)
    return msgspec.structs.replace(row, kind=UNCLEAR, reason=text)
