"""Follows Dovecot: where it counts, or names users, in another way than before, so does the engine.

Dovecot is asked for its settings at each reload, and every few minutes, as nobody tells the engine of a reload of
Dovecot. That is one run of doveconf, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import msgspec

from ..base.errors import MailquotaError
from ..base.threads import in_thread
from ..mailboxes.driver import Driver
from ..mailboxes.from_settings import (
    Mailboxes,
    Way,
    helper_of,
    is_by_path,
    make_driver,
    make_mailstore,
    way_of,
    with_dovecot,
)
from ..mailboxes.mailstore import Mailstore
from ..mailboxes.witness import Witness
from ..settings.config import NOTHING_DISCOVERED, Config

log = logging.getLogger(__name__)

EVERY = 300.0  # seconds
_ON_THEIR_WAY = 0.5  # seconds that results of the driver before may take from its threads to the loop


class Prepared(msgspec.Struct, frozen=True):
    """What the settings ask for; ``driver`` is None where nothing changes."""

    way: Way | None
    store: Mailstore
    driver: Driver | None


class DovecotFollower:
    """Exchanges the driver and the rules of the mailstore. Used on the engine's loop."""

    def __init__(self, config: Callable[[], Config], mailboxes: Mailboxes, witness: Witness | None) -> None:
        self._config = config
        self._store = mailboxes.store
        self._driver = mailboxes.following
        self._ledger = mailboxes.ledger
        self._guard = mailboxes.guard
        self._witness = witness
        self._way: Way | None = way_of(config())  # how usage is measured now

    async def run(self) -> None:
        """Ask Dovecot every ``EVERY`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Ask Dovecot now, and follow it. Where it can't be asked, all stays as it is."""
        config = self._config()
        try:
            unasked = msgspec.structs.replace(config, found=NOTHING_DISCOVERED)
            prepared = await in_thread(lambda: self.prepare(with_dovecot(unasked)))
        except MailquotaError as error:
            log.warning("Dovecot's present settings can't be followed: %s", error)
            return
        await self.follow(prepared)

    def prepare(self, config: Config) -> Prepared:
        """What these settings ask for. Blocks, as Dovecot is asked. Raises SettingsError; then nothing has changed."""
        if (helper := helper_of(config)) is not None:
            with contextlib.suppress(MailquotaError, OSError):  # while it is away: it asks Dovecot at its start
                helper.call("follow")
        way, store = way_of(config), make_mailstore(config)
        if way is None or way.is_as(self._way) or store.template != self._store.template:
            return Prepared(self._way, store, None)
        return Prepared(way, store, make_driver(config, self._store, self._ledger.most_messages))

    async def follow(self, prepared: Prepared) -> None:
        """Measure in this way from now on."""
        if prepared.driver is None or prepared.way is None or prepared.way.is_as(self._way):
            return
        log.warning("Dovecot's settings changed: all is measured anew, by the driver %s", prepared.driver.name)
        self._way = prepared.way
        self._driver.exchange(prepared.driver)
        self._guard.by_path = is_by_path(prepared.driver)
        self._store.follow(prepared.store)
        await asyncio.sleep(_ON_THEIR_WAY)
        if self._witness is not None:
            self._witness.start_anew()
        self._ledger.measure_anew()
        self._driver.settled()
