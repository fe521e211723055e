"""Operators, and the journal entries about what they ordered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import ALSO_ANSWERED
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
    if not entries:
        return [], None
    try:
        return await in_thread(lambda: journal.add(entries, also)), None
    except StateError as error:
        remark = f"done, but not in the journal: {error}"
        log.error("%s %s: %s", entries[0].kind, entries[0].address, remark, extra=ALSO_ANSWERED)
        return [], remark
