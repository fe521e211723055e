"""The warnings of an engine: all of their parts put together, and the orders of clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ..base import restarts
from ..base.errors import MailquotaError, error_code, error_text
from ..base.threads import in_thread
from ..control.messages import GetWarnings, PreviewWarning, TrialWarning, Warn
from ..control.results import Preview, WarningRow, WarnResult
from ..history.database import StateDatabase
from ..history.journal import Journal
from ..history.warnings import DueWarning, WarningLog
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Ledger
from ..mailboxes.rounds import Poller
from ..servers.dovecot.folder_names import TrashNames
from ..settings.checks import mail_address
from ..settings.config import Config
from .administrators import AdministratorMails
from .from_settings import make_delivery
from .letters import WarningMails
from .outbox import Outbox
from .rules import BELOW
from .thresholds import Settings, ThresholdWatch
from .warn_now import WarnNow, parse_threshold

Order = Warn | TrialWarning | PreviewWarning | GetWarnings


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of an engine that warnings need."""

    ledger: Ledger
    driver: Driver
    poller: Poller
    journal: Journal
    state: StateDatabase
    is_trash: TrashNames
    config: Callable[[], Config]
    away: Callable[[str], str]  # why the file system of an account's mailbox is not there; "" where it is


class AlertService:
    """Made and used on the engine's loop."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
        self._ledger = parts.ledger
        self._tasks: list[asyncio.Task[None]] = []
        self._log = WarningLog(parts.state)
        self.mails = WarningMails(
            parts.ledger, parts.driver, parts.is_trash, parts.config, make_delivery, away=parts.away
        )
        self.outbox = Outbox(self._log, self.mails, parts.journal, parts.config)
        self._administrator_mails = AdministratorMails(
            self.outbox, self.mails, lambda: parts.config().settings.warnings.copy_to, time.monotonic
        )
        self.thresholds = ThresholdWatch(parts.ledger, self._log, Settings.of(parts.config()), self._queued)
        self._warn_now = WarnNow(
            parts.ledger,
            parts.poller,
            thresholds=self.thresholds,
            outbox=self.outbox,
            warning_log=self._log,
            sender=self.mails,
            away=parts.away,
        )

    def start(self) -> None:
        """Begin to judge and to send; called once the accounts are read."""
        self._tasks = [
            restarts.start("warnings", self.thresholds.run),
            restarts.start("delivery", self.outbox.run),
            restarts.start("administrators", self._administrator_mails.run),
        ]

    async def finish(self, seconds: float) -> None:
        """Begin nothing more, and wait at most ``seconds`` for deliveries that have begun."""
        for task in self._tasks:
            task.cancel()
        await self.outbox.finish(seconds)

    def settings_changed(self) -> None:
        """Use the settings of now; those of pace and delivery are read when they are needed."""
        self.thresholds.settings = Settings.of(self._config())

    def _queued(self, warnings: list[DueWarning]) -> None:
        self.outbox.wake()
        self._administrator_mails.add(warnings)

    async def answer(self, order: Order) -> object:
        """Carry an order out; its result, of the type that core/control/messages.py names. Raises MailquotaError."""
        match order:
            case Warn(addresses=addresses, mark=threshold, source=source):
                return [await self.warn(address, threshold, source) for address in addresses]
            case GetWarnings(address=address, most=most):
                return await self.warnings(address, most)
            case PreviewWarning(address=address, mark=threshold):
                return await self._preview(address, threshold)
            case TrialWarning(address=address, mark=threshold, to=to):
                return await self._test(address, threshold, to)

    async def warnings(self, address: str, most: int) -> list[WarningRow]:
        """The newest ``most`` warnings, newest first, of one account if it is given. Raises StateError."""
        rows = await in_thread(lambda: self._log.newest(address, most))
        return [msgspec.convert(row, WarningRow) for row in rows]

    async def warn(self, address: str, threshold: str, source: str) -> WarnResult:
        """Warn the owner of a mailbox now. Administrators get a copy where Dovecot ordered it."""
        result = await self._warn_now.warn(address, threshold, source)
        entry = self._ledger.get(address)
        if entry is not None and source == "dovecot" and result.state in {"sent", "queued"}:
            self._administrator_mails.add([self._warn_now.due_warning(entry, result.mark)])
        return result

    async def _preview(self, address: str, threshold: str) -> Preview:
        return await self.mails.preview(address, self._threshold(address, threshold))

    async def _test(self, address: str, threshold: str, to: str) -> WarnResult:
        mail_address(to)
        threshold = self._threshold(address, threshold)
        self.outbox.count_sent()
        try:
            return WarnResult(
                address=address, mark=threshold, state="sent", method=await self.mails.test(address, threshold, to)
            )
        except MailquotaError as error:
            return WarnResult(
                address=address, mark=threshold, state="failed", error=error_text(error), code=error_code(error)
            )

    def _threshold(self, address: str, threshold: str) -> str:
        """The name of a threshold as an order has it: one of the settings, a percentage, or the present one for ""."""
        if threshold == BELOW or threshold in {one.text for one in self.thresholds.settings.policy.thresholds}:
            return threshold
        return parse_threshold(threshold) or self._warn_now.present_threshold(address)
