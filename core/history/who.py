"""Operators, and the journal entries about what they ordered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import ALSO_ANSWERED, MailquotaError, UnclearError
from ..base.threads import in_thread
from .connection import Sql, StateError
from .journal import Journal, JournalEntry

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Operator:
    """Who ordered a change: a user name, and its origin ("sudo:anna", "ssh:192.0.2.9").

    ``cancelled`` is set to stop after the present account. ``progress`` is called with accounts done, their total
    number and the address that was done last.
    """

    name: str
    origin: str = ""
    cancelled: bool = False
    progress: Callable[[int, int, str], None] = field(default=lambda _done, _total, _note: None)

    def entry(self, kind: str, **fields: Any) -> JournalEntry:
        """A journal entry for a change by this operator; ``fields`` are the other fields of JournalEntry."""
        return JournalEntry(operator=self.name, origin=self.origin, kind=kind, **fields)


async def write_journal(
    journal: Journal, entries: list[JournalEntry], also: Callable[[Sql, list[int]], None] | None = None
) -> tuple[list[int], str | None]:
    """Write the entries of a change that was made; their ids and None.

    Where they could not be written: no ids, and a remark why, which is also logged.

    ``also`` as in Journal.add.
    """
    return await _written(entries, lambda: journal.add(entries, also))


async def _written(entries: list[JournalEntry], write: Callable[[], list[int]]) -> tuple[list[int], str | None]:
    if not entries:
        return [], None
    try:
        return await in_thread(write), None
    except StateError as error:
        remark = f"done, but not in the journal: {error}"
        log.error("%s %s: %s", entries[0].kind, entries[0].address, remark, extra=ALSO_ANSWERED)
        return [], remark


class Intent:
    """Changes of limits in the journal: written down before they are made, with their outcome afterwards.

    ``entries`` are what they are to become. No method raises: a journal that can't be written prevents no change.
    """

    def __init__(self, journal: Journal, entries: list[JournalEntry]) -> None:
        self._journal = journal
        self._entries = entries
        self._numbers: list[int] | None = None  # of the entries; None: they could not be written

    async def begin(self) -> None:
        """Write down what is about to be done."""
        try:
            self._numbers = await in_thread(lambda: self._journal.intend(self._entries)) if self._entries else []
        except StateError as error:
            log.warning("a change is not in the journal before it is made: %s", error, extra=ALSO_ANSWERED)

    async def fail(self, error: Exception) -> None:
        """Nothing was changed, or with UnclearError that is not known."""
        numbers, entries = self._numbers or [], self._entries
        try:
            if isinstance(error, UnclearError):
                if self._numbers is None:
                    numbers = await in_thread(lambda: self._journal.intend(entries))
                await in_thread(lambda: self._journal.leave_unclear(numbers, entries, str(error)))
            else:
                await in_thread(lambda: self._journal.settle(numbers, [None for _ in numbers]))
        except StateError as problem:  # the entries stay as they were begun
            log.warning("the journal does not have what came of a change: %s", problem)

    async def settle(
        self, entries: list[JournalEntry | None], also: Callable[[Sql, list[int]], None] | None = None
    ) -> tuple[list[int], str | None]:
        """Write what came of each, None for nothing; results as of ``write_journal``."""
        made = [entry for entry in entries if entry is not None]
        numbers = self._numbers
        if numbers is None:
            return await write_journal(self._journal, made, also)
        if not made:
            await self.fail(MailquotaError("nothing was changed"))
        return await _written(made, lambda: self._journal.settle(numbers, entries, also))
