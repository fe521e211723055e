"""Decides which mailbox owners get a warning: accounts that changed in the ledger are judged, mails due are queued.

Theory of operation. Each second the accounts whose usage or limit changed are judged (core/alerts/rules.py), in a
thread and in slices, so that 100,000 of them at once (a start, an import) delay no policy answer. Once a minute the
accounts with a last warning are judged again, for reminders. What is decided is written into the state database first,
and only then kept in memory. While the database can't be used no warning is queued, as without the last warnings all
owners would be warned again and again; accounts that could not be judged are judged at the next try.

The last warning of an account that is gone is kept for a day: a database that is empty for a moment must not make the
engine warn all owners anew. When the account is there again, perhaps as another person's, the last warning is
dropped without a "room again" mail.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ..base import restarts
from ..base.exempt import Exempt
from ..base.model import LastWarning, percent_of
from ..base.threads import in_thread
from ..history.connection import StateError
from ..history.warnings import Change, DueWarning, WarningLog
from ..mailboxes.ledger import Entry, Ledger
from ..settings.config import Config
from .rules import BELOW, Policy, judge, parse_thresholds

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
_REMIND_SECONDS = 60.0  # between two checks for reminders
_RETRY_SECONDS = 5.0  # while the state database can't be used
_GONE_SECONDS = 86400.0
_SLICE = 256  # accounts, then other threads may run
_REST = 0.001  # seconds

Clock = Callable[[], float]


class Settings(NamedTuple):
    """The settings that decide about warnings."""

    policy: Policy
    exempt: Exempt

    @classmethod
    def of(cls, config: Config) -> Settings:
        """From the settings in force."""
        warnings = config.settings.warnings
        policy = Policy(
            thresholds=parse_thresholds(warnings.thresholds),
            remind_seconds=warnings.remind_seconds,
            below=warnings.below,
        )
        return cls(policy, Exempt(config.settings.policy.exempt))


class ThresholdWatch:
    """Runs on the engine's loop. ``on_queued`` is called with the mails that were queued.

    ``clock`` gives seconds since the epoch, ``steady`` those of a clock that never goes back.
    """

    def __init__(
        self,
        ledger: Ledger,
        warning_log: WarningLog,
        settings: Settings,
        on_queued: Callable[[list[DueWarning]], None],
        *,
        clock: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self.settings = settings
        self.last_warnings: dict[str, LastWarning] = {}
        self._ledger = ledger
        self._log = warning_log
        self._on_queued = on_queued
        self._clock = clock
        self._steady = steady
        self._gone: dict[str, float] = {}  # accounts with a last warning, and since when they are gone (steady)
        self._loaded = False
        self._reminded_at = 0.0

    async def run(self) -> None:
        """Judge what changed each second until cancelled."""
        while True:
            try:
                await self.round()
                await self.forget_gone()
            except StateError as error:
                log.debug("no warning can be queued now: %s", error)  # the status says so already
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - an outer edge: one account must not end them
                restarts.count("warnings", error)
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Judge the accounts that changed since the last round. Raises StateError; the next round judges them then."""
        if not self._loaded:
            await self._load()
        now = self._clock()
        self._note_gone()
        entries = self._ledger.take_unjudged() | self._to_remind(now)
        try:
            while entries:
                part = dict(islice(entries.items(), _SLICE))
                await self._judge(list(part.values()), now)
                for address in part:
                    del entries[address]
        finally:  # also when cancelled: what is left is judged later, beside what changed meanwhile
            self._ledger.put_back_unjudged(entries)

    async def _load(self) -> None:
        self.last_warnings = await in_thread(self._log.last_warnings)
        now = self._steady()
        self._gone = {address: now for address in self.last_warnings if self._ledger.get(address) is None}
        self._loaded = True

    def _note_gone(self) -> None:
        now = self._steady()
        gone = self._ledger.take_gone_unjudged()
        self._gone.update((address, now) for address in gone if address in self.last_warnings)

    def _to_remind(self, now: float) -> dict[str, Entry]:
        if 0 <= now - self._reminded_at < _REMIND_SECONDS:
            return {}
        self._reminded_at = now
        every = self.settings.policy.remind_seconds
        # one in the future was made before the clock was set back; judging it gives it the time of now
        due = [a for a, last in self.last_warnings.items() if last.at > now or 0 < every <= now - last.at]
        return {address: entry for address in due if (entry := self._ledger.get(address)) is not None}

    async def _judge(self, entries: list[Entry], now: float) -> None:
        changes = await in_thread(lambda: self._apply(list(self.changes(entries, now)), now))
        for change in changes:
            self._keep(change.address, change.after)
        for entry in entries:
            if entry.used is not None:
                self._gone.pop(entry.address, None)
        queued = [change.warning for change in changes if change.warning is not None]
        if queued:
            self._on_queued(queued)

    def changes(self, entries: Iterable[Entry], now: float) -> Iterator[Change]:
        """For each account whose last warning changes: the old and new one, and the mail that is due, if any.

        May run in any thread.
        """
        policy, exempt = self.settings
        last_warnings, gone = self.last_warnings, self._gone
        for entry in entries:
            if entry.doubted:  # Dovecot tells another usage or limit: the ledger has it judged once that is settled
                continue
            last = last_warnings.get(entry.address)
            used, limit = entry.used, entry.limit
            if last is None and (not limit or not policy.thresholds):
                continue
            wanted = entry.enabled and entry.mailbox and entry.address not in exempt
            found = judge(last, used, limit if wanted else None, policy, now)
            due = "" if found.due == BELOW and entry.address in gone else found.due
            if due or found.last != last:
                yield Change(
                    address=entry.address,
                    before=last,
                    after=found.last,
                    warning=due_warning(entry, due) if due else None,
                )

    def _apply(self, changes: list[Change], now: float) -> list[Change]:
        """Write changes in a thread; those that hold.

        Where another engine decided first, its last warning is read instead. The account is judged by it when it
        changes next: it was just judged by the other engine.
        """
        time.sleep(_REST)
        if not changes:
            return []
        made = self._log.apply(changes, now)
        lost = {change.address for change in changes} - {change.address for change in made}
        for address in lost:
            found = self._log.last_warning(address)
            made.append(Change(address=address, before=None, after=found, warning=None))
        return made

    async def forget_gone(self) -> None:
        """Delete the last warnings of accounts that have been gone for a day. Raises StateError."""
        now = self._steady()
        old = [address for address, at in self._gone.items() if now - at > _GONE_SECONDS]
        if old:
            await in_thread(lambda: self._log.forget(old))
            for address in old:
                del self._gone[address]
                self.last_warnings.pop(address, None)

    async def apply(self, change: Change, source: str) -> bool:
        """Write a change that was decided elsewhere, and queue its mail; ``source`` is that of a WarningRow.

        False where the last warning is another one by now. Raises StateError.
        """
        made = await in_thread(lambda: self._log.apply([change], self._clock(), source))
        if made:
            self._keep(change.address, change.after)
        return bool(made)

    def _keep(self, address: str, last: LastWarning | None) -> None:
        if last is None:
            self.last_warnings.pop(address, None)
        else:
            self.last_warnings[address] = last


def due_warning(entry: Entry, threshold: str) -> DueWarning:
    """A mail to the owner of an account about a threshold, with its usage and limit of now."""
    used, limit = entry.used, entry.limit
    return DueWarning(
        address=entry.address, threshold=threshold, percent=percent_of(used, limit), used=used, limit=limit
    )
