"""Who ordered a change, and the entry about it in the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mailquota.core.base.errors import ALSO_ANSWERED
from mailquota.core.base.threads import in_thread
from mailquota.core.history.connection import Sql, StateError
from mailquota.core.history.journal import Journal, JournalEntry

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Operator:
    """Who asks: a user name, and where it came from. ``cancelled`` is set when they think better of it."""

    name: str
    origin: str = ""
    cancelled: bool = False
    progress: Callable[[int, int, str], None] = field(default=lambda _done, _total, _note: None)

    def entry(self, kind: str, address: str, old: str | None, new: str | None, **more: Any) -> JournalEntry:
        """What goes into the journal for a change by this operator; ``more`` as in JournalEntry."""
        return JournalEntry(self.name, self.origin, kind, address, old, new, **more)


async def write_journal(
    journal: Journal, entries: list[JournalEntry], also: Callable[[Sql, list[int]], None] | None = None
) -> tuple[list[int], str | None]:
    """The numbers of the entries; none, and what to tell whoever asked, where they could not be written.

    ``also`` is done in the same transaction.
    """
    if not entries:
        return [], None
    try:
        return await in_thread(lambda: journal.add(entries, also)), None
    except StateError as error:
        remark = f"done, but not in the journal: {error}"
        log.error("%s %s: %s", entries[0].kind, entries[0].address, remark, extra=ALSO_ANSWERED)
        return [], remark
