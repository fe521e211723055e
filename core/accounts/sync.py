"""The accounts database and the ledger, kept the same; and what is known of the database itself.

Every ``refresh`` the store is asked whether anything changed, which is cheap, and only then read. While the database is
gone the last known limits go on being used and the state is ``stale`` with the age of the last good look; before the
first read it is ``down``. It comes back by itself, as each look tries again.

One look at a time, from the question to the ledger: of two that overlap the older one could be taken last, and what
differs from the ledger is reckoned beside the ledger of that moment. A store must not be closed under a look (a driver
in C would crash), so the thread that uses it holds a lock. A read that began before a limit was set by us may hold the
old one: ``edits`` counts those, and where it moved during the read, the store is read once more. What was read and
could not be taken is read again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from mailquota.core.accounts.store import Accounts, AccountStore
from mailquota.core.base import restarts
from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.threads import in_thread
from mailquota.core.control.results import DatabaseState

log = logging.getLogger(__name__)

Prepare = Callable[[Accounts], Callable[[], None]]

_RETRY_SECONDS = 1.0  # before the first read
_SILENT_SECONDS = 30.0  # a look that takes longer is as good as a failed one
_CLOSE_SECONDS = 0.5


class AccountSync:
    """``prepare`` gets what was read, each time it changed, in a thread, and returns what is to be done on the loop."""

    def __init__(self, store: AccountStore, refresh: float, prepare: Prepare, edits: Callable[[], int]) -> None:
        self.store = store
        self._refresh = refresh
        self._prepare = prepare
        self._edits = edits
        self._edits_read = edits()  # as of the last read
        self._good_at: float | None = None  # monotonic time of the last look that worked
        self._fault = ""
        self._skipped = 0
        self._untaken = False  # something was read that is not in the ledger
        self._ended = False
        self._looking = asyncio.Lock()
        self._using = threading.Lock()  # held by the thread that uses the store
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> DatabaseState:
        """Whether the limits in use are those of the database."""
        if self._good_at is None:
            return DatabaseState("down", age_seconds=None, message=self._fault)
        age = time.monotonic() - self._good_at
        overdue = age > 2 * self._refresh + _SILENT_SECONDS
        fault = self._fault or ("it does not answer" if overdue else "")
        return DatabaseState("stale" if fault else "ok", age_seconds=round(age, 1), message=fault)

    def follow(self, before: AccountSync) -> None:
        """Settings changed, and the limits in use are still those that ``before`` read."""
        self._good_at, self._skipped = before._good_at, before._skipped

    def start(self) -> None:
        """Look now, and then every refresh."""
        self._task = restarts.start("accounts", self._run)

    def end(self) -> None:
        """Look no more; what a look finds that goes on is not taken."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End, and give the connection back; a database that hangs is left alone."""
        self.end()
        await in_thread(self._close)

    def _close(self) -> None:
        if self._using.acquire(timeout=_CLOSE_SECONDS):
            try:
                self.store.close()
            finally:
                self._using.release()

    async def look(self, *, read: bool = False) -> None:
        """One look; ``read`` reads whether anything changed or not. A fault is kept in ``state``, not raised."""
        try:
            await self._look(read)
        except MailquotaError as error:
            self._failed(str(error))
        except Exception as error:  # an outer edge: looking must go on whatever a driver raises
            log.exception("a look at the accounts database failed")
            self._failed(f"accounts database: internal error: {error}")
        else:
            self._succeeded()

    async def read_now(self) -> None:
        """Read, once, for whoever can't go on without: DatabaseError where a look would keep the fault."""
        await self._look(read=True)
        self._succeeded()

    async def _look(self, read: bool) -> None:
        async with self._looking:
            edits = self._edits()
            # after an edit of ours it is read even if it looks as before: a database that died may have lost the edit
            found = await in_thread(lambda: self._ask(read or self._untaken or edits != self._edits_read))
            while found is not None and edits != self._edits():
                edits = self._edits()
                found = await in_thread(lambda: self._ask(read=True))
            if found is not None and not self._ended:
                accounts, take = found
                self._edits_read = edits
                self._tell_skipped(accounts)
                take()
                self._untaken = False

    def _ask(self, read: bool) -> tuple[Accounts, Callable[[], None]] | None:
        """In a thread: what the store holds, and what to do about it; None where it holds what it did."""
        with self._using:
            if not (read or self.store.changed()):
                return None
            self._untaken = True
            accounts = self.store.read()
        return accounts, self._prepare(accounts)

    async def _run(self) -> None:
        while True:
            await self.look(read=self._good_at is None)
            await asyncio.sleep(self._pause)

    @property
    def _pause(self) -> float:
        """Seconds to the next look: a database that is gone is not asked more often than each second."""
        if self._good_at is None:
            return _RETRY_SECONDS
        return max(self._refresh, _RETRY_SECONDS) if self._fault else self._refresh

    def _succeeded(self) -> None:
        if self._fault:
            log.info("the accounts database answers again")
        self._fault = ""
        self._good_at = time.monotonic()

    def _failed(self, reason: str) -> None:
        if reason != self._fault:
            log.warning("%s", reason)
        self._fault = reason

    def _tell_skipped(self, accounts: Accounts) -> None:
        if accounts.skipped != self._skipped:
            self._skipped = accounts.skipped
            log.warning("%d rows of the accounts database make no sense: %s", accounts.skipped, accounts.examples)
