"""Who is to be told that a mailbox fills up: what changed in the ledger is judged by the rules and put into the queue.

Theory of operation. Each second the accounts whose use or limit changed are judged, in a thread and in slices, so that
100,000 of them at once (a start, an import) disturb no answer. Once a minute those who were told are judged again, for
their reminders. A verdict is written into the state database, and only then is it remembered here. While the database
can't be used nothing is told of our own accord, as without memory everybody would be told again and again; whoever
could not be judged is kept for the next try.

An account that is gone keeps its memory for a day: a database that shows nothing for a moment must not make everybody
be warned anew. When it is there again, perhaps as somebody else's, old memory is dropped without a word.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from mailquota.core.alerts.rules import BELOW, Policy, judge, parse_marks
from mailquota.core.base import restarts
from mailquota.core.base.exempt import Exempt
from mailquota.core.base.model import LastWarning, percent_of
from mailquota.core.base.threads import in_thread
from mailquota.core.history.connection import StateError
from mailquota.core.history.warnings import Change, News, WarningLog
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_REMIND_SECONDS = 60.0  # between two looks at who is to be reminded
_RETRY_SECONDS = 5.0  # while the state database can't be used
_GONE_SECONDS = 86400.0
_SLICE = 256  # accounts, then others may run
_REST = 0.001  # seconds

Clock = Callable[[], float]


class Settings(NamedTuple):
    """What of the settings decides here."""

    policy: Policy
    exempt: Exempt

    @classmethod
    def of(cls, config: Config) -> Settings:
        """From the settings in force."""
        warnings = config.settings.warnings
        policy = Policy(parse_marks(warnings.thresholds), warnings.remind_seconds, warnings.below)
        return cls(policy, Exempt(config.settings.policy.exempt))


class ThresholdWatch:
    """Runs on the engine's loop. ``on_news`` hears what was queued."""

    def __init__(
        self,
        ledger: Ledger,
        book: WarningLog,
        settings: Settings,
        on_news: Callable[[list[News]], None],
        *,
        clock: Clock = time.time,
        steady: Clock = time.monotonic,
    ) -> None:
        self.settings = settings
        self.told: dict[str, LastWarning] = {}
        self._ledger = ledger
        self._book = book
        self._on_news = on_news
        self._clock = clock
        self._steady = steady
        self._gone: dict[str, float] = {}  # since when, by the steady clock
        self._loaded = False
        self._reminded_at = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
                await self.forget_gone()
            except StateError as error:
                log.debug("nobody can be warned now: %s", error)  # the status says so already
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - an outer edge: one account must not end them
                restarts.count("warnings", error)
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Judge what changed since the last look. Raises StateError; then it is judged at the next one."""
        if not self._loaded:
            await self._load()
        now = self._clock()
        self._note_gone()
        taken, self._ledger.unjudged = self._ledger.unjudged, {}
        entries = taken | self._to_remind(now)
        try:
            while entries:
                part = dict(islice(entries.items(), _SLICE))
                await self._judge(list(part.values()), now)
                for address in part:
                    del entries[address]
        finally:
            self._ledger.unjudged = entries | self._ledger.unjudged

    async def _load(self) -> None:
        self.told = await in_thread(self._book.told)
        now = self._steady()
        self._gone = {address: now for address in self.told if self._ledger.get(address) is None}
        self._loaded = True

    def _note_gone(self) -> None:
        left, self._ledger.left = self._ledger.left, set()
        now = self._steady()
        self._gone.update((address, now) for address in left if address in self.told)

    def _to_remind(self, now: float) -> dict[str, Entry]:
        if 0 <= now - self._reminded_at < _REMIND_SECONDS:
            return {}
        self._reminded_at = now
        every = self.settings.policy.remind_seconds
        due = [a for a, told in self.told.items() if told.at > now or 0 < every <= now - told.at]
        return {address: entry for address in due if (entry := self._ledger.get(address)) is not None}

    async def _judge(self, entries: list[Entry], now: float) -> None:
        changes = await in_thread(lambda: self._apply(list(self.changes(entries, now)), now))
        for change in changes:
            self._keep(change.address, change.after)
        for entry in entries:
            if entry.used is not None:
                self._gone.pop(entry.address, None)
        news = [change.news for change in changes if change.news is not None]
        if news:
            self._on_news(news)

    def changes(self, entries: Iterable[Entry], now: float) -> Iterator[Change]:
        """The verdicts on these accounts that change anything. In any thread."""
        policy, exempt = self.settings
        told_of, gone = self.told, self._gone
        for entry in entries:
            told = told_of.get(entry.address)
            used, limit = entry.used, entry.limit
            if told is None and (not limit or not policy.marks):
                continue
            wanted = entry.enabled and entry.mailbox and entry.address not in exempt
            verdict = judge(told, used, limit if wanted else None, policy, now)
            due = "" if verdict.due == BELOW and entry.address in gone else verdict.due
            if due or verdict.told != told:
                news = News(entry.address, due, percent_of(used, limit), used, limit) if due else None
                yield Change(entry.address, told, verdict.told, news)

    def _apply(self, changes: list[Change], now: float) -> list[Change]:
        """Write them; who was judged by another engine meanwhile is looked up, and judged again when it changes."""
        time.sleep(_REST)
        if not changes:
            return []
        made = self._book.apply(changes, now)
        lost = {change.address for change in changes} - {change.address for change in made}
        for address in lost:
            found = self._book.told_of(address)
            made.append(Change(address, None, found, None))
        return made

    async def forget_gone(self) -> None:
        """Accounts that have been gone for a day are forgotten. Raises StateError."""
        now = self._steady()
        old = [address for address, at in self._gone.items() if now - at > _GONE_SECONDS]
        if old:
            await in_thread(lambda: self._book.forget(old))
            for address in old:
                del self._gone[address]
                self.told.pop(address, None)

    async def remember(self, change: Change, source: str) -> bool:
        """Queue what somebody else says. False where the memory is another one by now. Raises StateError."""
        address, told = change.address, change.after
        made = await in_thread(lambda: self._book.apply([change], self._clock(), source))
        if made:
            self._keep(address, told)
        return bool(made)

    def _keep(self, address: str, told: LastWarning | None) -> None:
        if told is None:
            self.told.pop(address, None)
        else:
            self.told[address] = told
