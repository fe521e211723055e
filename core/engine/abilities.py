"""Which changes are not possible at all here, for the keys of the console: they say why before a dialog opens.

The right to edit limits is tried by an update of no row, once the accounts were read and then each minute, in a thread;
every ten seconds while it is missing, so that a right that was given is found soon. A database that does not answer
says nothing about rights.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from ..accounts.store import AccountStore
from ..base.errors import DatabaseError, MayNotWriteError
from ..base.threads import in_thread
from ..settings.config import Config

_EVERY, _SOON = 60.0, 10.0  # seconds


class _Recounts(Protocol):
    @property
    def by_doveadm(self) -> bool: ...


class Abilities:
    """``limits_problem`` and ``recount_problem`` are empty where that is possible, or where it is not known."""

    def __init__(
        self, config: Callable[[], Config], store: Callable[[], AccountStore], driver: Callable[[], str],
        recounts: _Recounts,
    ) -> None:  # fmt: skip
        self._config = config
        self._store = store
        self._driver = driver
        self._recounts = recounts
        self.limits_problem = ""

    @property
    def recount_problem(self) -> str:
        """Why no mailbox can be recounted."""
        if self._driver() != "sql" or self._recounts.by_doveadm:
            return ""
        return "Dovecot keeps the usage in the database, so only doveadm can recount it, and mailstore.doveadm is off"

    async def run(self, read: asyncio.Event) -> None:
        """Try again and again until cancelled; ``read`` is set once the accounts were read."""
        await read.wait()
        while True:
            await self.look()
            await asyncio.sleep(_SOON if self.limits_problem else _EVERY)

    async def look(self) -> None:
        """Try now."""
        accounts = self._config().settings.accounts
        if accounts.schema == "custom":
            empty = not accounts.set_query.strip()
            self.limits_problem = "limits can't be changed: accounts.set_query is empty" if empty else ""
            return
        store = self._store()
        with contextlib.suppress(DatabaseError):
            try:
                await in_thread(store.try_writing)
            except MayNotWriteError as error:
                self.limits_problem = str(error)
            else:
                self.limits_problem = ""
