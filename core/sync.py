"""The accounts database and the ledger, kept the same; and what is known of the database itself.

Every ``refresh`` the store is asked whether anything changed, which is cheap, and only then read. While the database is
gone the last known limits go on being used and the state is ``stale`` with the age of the last good look; before the
first read it is ``down``. It comes back by itself, as each look tries again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.accounts.store import Accounts, AccountStore
from core.control.results import DatabaseState
from core.errors import MailquotaError
from core.threads import in_thread

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0  # before the first read


class AccountSync:
    """Calls ``take`` on the loop with what was read, each time it changed."""

    def __init__(self, store: AccountStore, refresh: float, take: Callable[[Accounts], None]) -> None:
        self.store = store
        self._refresh = refresh
        self._take = take
        self._good_at: float | None = None  # monotonic time of the last look that worked
        self._fault = ""
        self._skipped = 0
        self._task: asyncio.Task[None] | None = None
        self.looked = asyncio.Event()  # once there was a look, good or not

    @property
    def state(self) -> DatabaseState:
        """Whether the limits in use are those of the database."""
        if self._good_at is None:
            return DatabaseState("down", None, self._fault)
        age = time.monotonic() - self._good_at
        return DatabaseState("stale" if self._fault else "ok", round(age, 1), self._fault)

    def start(self) -> None:
        """Look now, and then every refresh."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End, and give the connection back."""
        if self._task is not None:
            self._task.cancel()
        await in_thread(self.store.close)

    async def look(self, *, read: bool = False) -> None:
        """One look; ``read`` reads whether anything changed or not. A fault is kept in ``state``, not raised."""
        try:
            accounts = await in_thread(lambda: self.store.read() if read or self.store.changed() else None)
        except MailquotaError as error:
            self._failed(error)
            self.looked.set()
            return
        if self._fault:
            log.info("the accounts database answers again")
        self._fault = ""
        if accounts is not None:
            self._tell_skipped(accounts)
            self._take(accounts)
        self._good_at = time.monotonic()
        self.looked.set()

    async def read_now(self) -> None:
        """Read, once, for whoever can't go on without: DatabaseError where a look would keep the fault."""
        accounts = await in_thread(self.store.read)
        self._tell_skipped(accounts)
        self._take(accounts)
        self._good_at = time.monotonic()
        self.looked.set()

    async def _run(self) -> None:
        while True:
            await self.look(read=self._good_at is None)
            await asyncio.sleep(self._refresh if self._good_at is not None else min(self._refresh, _RETRY_SECONDS))

    def _failed(self, error: MailquotaError) -> None:
        if str(error) != self._fault:
            log.warning("accounts database: %s", error)
        self._fault = str(error)

    def _tell_skipped(self, accounts: Accounts) -> None:
        if accounts.skipped != self._skipped:
            self._skipped = accounts.skipped
            log.warning("%d rows of the accounts database make no sense: %s", accounts.skipped, accounts.examples)
