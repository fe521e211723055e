"""All that tells owners of mailboxes how full they are, put together for an engine, and what clients order of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import msgspec

from mailquota.core.alerts.administrators import Administrators
from mailquota.core.alerts.from_settings import make_deliverer
from mailquota.core.alerts.letters import WarningMails
from mailquota.core.alerts.outbox import Outbox
from mailquota.core.alerts.rules import BELOW
from mailquota.core.alerts.thresholds import Settings, ThresholdWatch
from mailquota.core.alerts.warn_now import WarnNow, parse_mark
from mailquota.core.base import restarts
from mailquota.core.base.errors import MailquotaError, error_code, error_text
from mailquota.core.base.threads import in_thread
from mailquota.core.control.messages import GetWarnings, PreviewWarning, TrialWarning, Warn
from mailquota.core.control.results import Preview, WarningRow, WarnResult
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.history.warnings import News, WarningLog
from mailquota.core.mailboxes.driver import Driver
from mailquota.core.mailboxes.ledger import Ledger
from mailquota.core.mailboxes.rounds import Poller
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.settings.checks import mail_address
from mailquota.core.settings.config import Config

Order = Warn | TrialWarning | PreviewWarning | GetWarnings


@dataclass(frozen=True)
class Parts:
    """What of an engine is needed here."""

    ledger: Ledger
    driver: Driver
    poller: Poller
    journal: Journal
    state: StateDatabase
    is_trash: TrashNames
    _: KW_ONLY
    config: Callable[[], Config]


class AlertService:
    """Made and used on the engine's loop."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
        self._ledger = parts.ledger
        self._tasks: list[asyncio.Task[None]] = []
        self._book = WarningLog(parts.state)
        self.mails = WarningMails(parts.ledger, parts.driver, parts.is_trash, parts.config, make_deliverer)
        self.outbox = Outbox(self._book, self.mails, parts.journal, parts.config)
        self._administrators = Administrators(
            self.outbox, self.mails, lambda: parts.config().settings.warnings.copy_to, time.monotonic
        )
        self.thresholds = ThresholdWatch(parts.ledger, self._book, Settings.of(parts.config()), self._hear)
        self._warn_now = WarnNow(
            parts.ledger,
            parts.poller,
            thresholds=self.thresholds,
            outbox=self.outbox,
            book=self._book,
            sender=self.mails,
        )

    def start(self) -> None:
        """Begin, once the accounts are read."""
        self._tasks = [
            restarts.start("warnings", self.thresholds.run),
            restarts.start("delivery", self.outbox.run),
            restarts.start("administrators", self._administrators.run),
        ]

    async def finish(self, seconds: float) -> None:
        """Begin nothing more, and let mails that are on their way arrive."""
        for task in self._tasks:
            task.cancel()
        await self.outbox.finish(seconds)

    def settings_changed(self) -> None:
        """Other marks, another rate, another delivery: they hold from now on."""
        self.thresholds.settings = Settings.of(self._config())

    def _hear(self, news: list[News]) -> None:
        self.outbox.ring()
        self._administrators.hear(news)

    async def answer(self, order: Order) -> object:
        """Carry an order out; its result. Raises MailquotaError."""
        match order:
            case Warn(addresses=addresses, mark=mark, source=source):
                return [await self.warn(address, mark, source) for address in addresses]
            case GetWarnings(address=address, most=most):
                return await self.warnings(address, most)
            case PreviewWarning(address=address, mark=mark):
                return await self._preview(address, mark)
            case TrialWarning(address=address, mark=mark, to=to):
                return await self._test(address, mark, to)

    async def warnings(self, address: str, most: int) -> list[WarningRow]:
        """The newest, newest first, of one account if it is given. Raises StateError."""
        rows = await in_thread(lambda: self._book.newest(address, most))
        return [msgspec.convert(row, WarningRow) for row in rows]

    async def warn(self, address: str, mark: str, source: str) -> WarnResult:
        """Tell the owner of a mailbox now; administrators hear of what Dovecot says."""
        result = await self._warn_now.warn(address, mark, source)
        entry = self._ledger.get(address)
        if entry is not None and source == "dovecot" and result.state in {"sent", "queued"}:
            self._administrators.hear([self._warn_now.news(entry, result.mark)])
        return result

    async def _preview(self, address: str, mark: str) -> Preview:
        return await self.mails.preview(address, self._mark(address, mark))

    async def _test(self, address: str, mark: str, to: str) -> WarnResult:
        mail_address(to)
        mark = self._mark(address, mark)
        self.outbox.leaves()
        try:
            return WarnResult(address, mark, "sent", await self.mails.test(address, mark, to))
        except MailquotaError as error:
            return WarnResult(address, mark, "failed", error=error_text(error), code=error_code(error))

    def _mark(self, address: str, mark: str) -> str:
        return (
            mark if mark == BELOW or mark in self._names() else parse_mark(mark) or self._warn_now.present_mark(address)
        )

    def _names(self) -> set[str]:
        return {mark.text for mark in self.thresholds.settings.policy.marks}
