"""Keeps the ledger in step with the accounts database, and knows the state of that database.

Every ``refresh`` seconds the store is asked whether anything changed, which is cheap; only then it is read. While the
database does not answer, the last known limits stay in use and the state is ``stale``, with the age of the last good
check; before the first read it is ``down``. It is stale as soon as a check takes unusually long, not only when a
time-out ends it. Each check tries again, so nothing has to be done when it is back.

Only one check runs at a time, from the question to the update of the ledger. Of two that overlap, the older result
could reach the ledger last; and the differences are computed against the ledger as it was when the check began.

A store must not be closed while a thread uses it (a driver in C could crash), so that thread holds a lock. A read that
began before the engine itself changed a limit may return the old one: ``edits`` counts such changes, and where it grew
during the read the store is read once more. A result that did not reach the ledger, because of an error on the way, is
read again at the next check.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from ..base import restarts
from ..base.errors import MailquotaError
from ..base.threads import in_thread
from ..control.results import DatabaseState
from .store import Accounts, AccountStore

log = logging.getLogger(__name__)

Prepare = Callable[[Accounts], Callable[[], None]]

_RETRY_SECONDS = 1.0  # before the first read
_SLACK_SECONDS = 3.0  # what a check may take, or twice what the last good one took: until then the limits are ok
_MOST_SLACK_SECONDS = 30.0
_CLOSE_SECONDS = 0.5


class AccountSync:
    """Checks the store every ``refresh`` seconds.

    ``prepare`` is called in a thread with all accounts whenever they changed, and returns a function that updates the
    ledger, which is called on the loop. ``edits`` gives the number of changes that the engine made itself.
    """

    def __init__(self, store: AccountStore, refresh: float, prepare: Prepare, edits: Callable[[], int]) -> None:
        self.store = store
        self._refresh = refresh
        self._prepare = prepare
        self._edits = edits
        self._edits_read = edits()  # as of the last read
        self._good_at: float | None = None  # monotonic time of the last check that worked
        self._began_at: float | None = None  # of the check that is under way
        self._slack = _SLACK_SECONDS
        self._fault = ""
        self._skipped = 0
        self._untaken = False  # a read was begun whose result is not in the ledger yet
        self._ended = False
        self._looking = asyncio.Lock()
        self._using = threading.Lock()  # held by the thread that uses the store
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> DatabaseState:
        """Whether the limits in use are those of the database, with the age of the last good check in seconds."""
        if self._good_at is None:
            return DatabaseState("down", age_seconds=None, message=self._fault)
        now = time.monotonic()
        age = now - self._good_at
        overdue = age > 2 * self._refresh + self._slack
        silent = self._began_at is not None and now - self._began_at > self._slack
        fault = self._fault or ("it does not answer" if overdue or silent else "")
        return DatabaseState("stale" if fault else "ok", age_seconds=round(age, 1), message=fault)

    def follow(self, before: AccountSync) -> None:
        """Take over the state of the sync before, after a change of settings: its limits are still in use."""
        self._good_at, self._skipped = before._good_at, before._skipped

    def start(self) -> None:
        """Check now, and then every ``refresh`` seconds, until end()."""
        self._task = restarts.start("accounts", self._run)

    def end(self) -> None:
        """Stop checking; the result of a check that still runs is not used."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """End, and close the connection, unless a thread still uses it, as where the database hangs."""
        self.end()
        await in_thread(self._close)

    def _close(self) -> None:
        if self._using.acquire(timeout=_CLOSE_SECONDS):
            try:
                self.store.close()
            finally:
                self._using.release()

    async def look(self, *, read: bool = False) -> None:
        """Check once; with ``read`` the store is read even without a change. An error is in ``state``, not raised."""
        try:
            await self._look(read)
        except MailquotaError as error:
            self._failed(str(error))
        except Exception as error:  # an outer edge: the checks must go on whatever a driver raises
            log.exception("a check of the accounts database failed")
            self._failed(f"accounts database: internal error: {error}")
        else:
            self._succeeded()

    async def read_now(self) -> None:
        """Read once. Unlike look(), it raises DatabaseError."""
        await self._look(read=True)
        self._succeeded()

    async def _look(self, read: bool) -> None:
        async with self._looking:
            self._began_at = time.monotonic()
            try:
                await self._compare(read)
            finally:
                took, self._began_at = time.monotonic() - self._began_at, None
            self._slack = min(max(_SLACK_SECONDS, 2 * took), _MOST_SLACK_SECONDS)

    async def _compare(self, read: bool) -> None:
        """Ask the store for changes, and take them into the ledger."""
        edits = self._edits()
        # After a change made by the engine the store is read even if its fingerprint is as before: a database that
        # crashed may have lost the change, and the ledger still has it.
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
        """In a thread: all accounts and the update of the ledger; None where nothing changed."""
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
        """Seconds to the next check; at least one while the database does not answer."""
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
            log.warning("%d rows of the accounts database are not valid: %s", accounts.skipped, accounts.examples)
