"""The accounts that an engine works with: read from the database of the settings into the ledger and the aliases."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from ..accounts.from_settings import make_store
from ..accounts.store import Accounts, AccountStore
from ..accounts.sync import AccountSync
from ..base.errors import DatabaseError
from ..mailboxes.ledger import Differences, Ledger
from ..policy.aliases import AliasMap
from ..policy.answering import Enforcer
from ..settings.config import Config

_POLL_SECONDS = 0.02  # between two looks at whether the accounts were read, while an order waits for them


class AccountUpdates:
    """Keeps the ledger and the aliases the same as the accounts database. Made and used on the engine's loop.

    ``read`` is set once the accounts were read for the first time. Raises SettingsError where the database of the
    settings can't be used.
    """

    def __init__(self, config: Config, ledger: Ledger, enforcer: Enforcer) -> None:
        self._ledger = ledger
        self._enforcer = enforcer
        self.read = asyncio.Event()
        self.sync = self.make_sync(config)

    @property
    def store(self) -> AccountStore:
        """The accounts database of the settings in force."""
        return self.sync.store

    async def known(self) -> None:
        """Wait until the accounts were read. DatabaseError where the database can't be read: no list is not an empty
        list.
        """
        while not self.read.is_set():
            if self.sync.state.message:
                raise DatabaseError(self.sync.state.message)
            await asyncio.sleep(_POLL_SECONDS)

    def make_sync(self, config: Config) -> AccountSync:
        """A reader of the database that these settings name; not started. Raises SettingsError."""
        refresh = config.settings.accounts.refresh_seconds
        return AccountSync(make_store(config), refresh, self._prepare, lambda: self._ledger.edits)

    async def replace(self, sync: AccountSync) -> None:
        """Read with ``sync`` from now on, and end the reader in use."""
        before, self.sync = self.sync, sync
        before.end()  # first, so that what it still reads can't replace what the new one reads
        sync.follow(before)
        await sync.look(read=True)
        sync.start()
        await before.stop()

    def _prepare(self, accounts: Accounts) -> Callable[[], None]:
        """Runs in the thread that read the accounts, so that the loop only has to take what differs of 100,000."""
        found = self._ledger.compare(accounts.accounts)
        aliases = AliasMap(
            accounts.aliases,
            accounts=self._ledger.entries,
            without_own_row=accounts.without_own_row,
            domain_targets=accounts.domain_targets,
        )
        return lambda: self._take(found, aliases)

    def _take(self, found: Differences, aliases: AliasMap) -> None:
        """The records of the first read live as long as the engine: no collection has to walk over them.

        None does while they are made, either. What is garbage of the start by then is little, and stays.
        """
        first = not self.read.is_set()
        if first:
            gc.disable()
        try:
            self._ledger.take(found)
            if first:
                gc.freeze()
        finally:
            gc.enable()
        router = self._enforcer.router
        if not aliases.same_as(router.aliases):
            router.set_aliases(aliases)
        if first:
            self.read.set()
            self._enforcer.accounts_read()
