"""Mailboxes without files: a test sets usage and limits, the state database is real, a sender notes what is sent.

Nothing runs by itself: a test calls ``round`` of each part, or ``step`` for all, and sets the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from mailquota.core.alerts.administrators import AdministratorMails
from mailquota.core.alerts.outbox import NoLongerDueError, Outbox
from mailquota.core.alerts.thresholds import Settings, ThresholdWatch
from mailquota.core.alerts.warn_now import WarnNow
from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import Account
from mailquota.core.base.mysql import Target
from mailquota.core.control.results import WarningRow
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.history.warnings import DueWarning, WarningLog
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import Policy, State, Warnings

JOHN, MARY, ANNA = "john@example.org", "mary@example.org", "anna@example.org"
LIMIT = 1000
START = 1_700_000_000.0


class Sender:
    """Notes what is sent; ``refuse`` makes it fail, ``there`` is what was delivered before a crash."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.sent_to_administrators: list[tuple[str, list[str]]] = []
        self.refuse: Callable[[str], Exception | None] = lambda _address: None
        self.there: set[str] = set()

    async def deliver(self, _number: int, _at: float, warning: DueWarning) -> str:
        error = self.refuse(warning.address)
        if error is not None:
            raise error
        self.sent.append((warning.address, warning.threshold))
        return "maildir"

    async def was_delivered(self, _number: int, _at: float, warning: DueWarning) -> bool:
        return warning.address in self.there

    async def send_to_administrator(self, to: str, warnings: list[DueWarning]) -> None:
        error = self.refuse(to)
        if error is not None:
            raise error
        self.sent_to_administrators.append((to, [one.address for one in warnings]))


class Town:
    """``settings`` are those of [warnings]."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.now, self.steady = START, 5000.0
        self.warnings = Warnings(**settings)
        self.ledger = Ledger(TrashNames(["Trash"]))
        self.state = StateDatabase(Target("sqlite", path=path))
        self.warning_log = WarningLog(self.state)
        self.journal = Journal(self.state)
        self.sender = Sender()
        self.measured: list[str] = []
        self.outbox = Outbox(
            self.warning_log, self.sender, self.journal, self.config, clock=lambda: self.now, steady=lambda: self.steady
        )
        self.administrator_mails = AdministratorMails(
            self.outbox, self.sender, lambda: self.warnings.copy_to, lambda: self.steady
        )
        self.thresholds = ThresholdWatch(
            self.ledger, self.warning_log, Settings.of(self.config()), self.administrator_mails.add,
            clock=lambda: self.now, steady=lambda: self.steady,
        )  # fmt: skip
        self.warn_now = WarnNow(
            self.ledger,
            self,
            thresholds=self.thresholds,
            outbox=self.outbox,
            warning_log=self.warning_log,
            sender=self.sender,
            clock=lambda: self.now,
        )

    def config(self) -> Config:
        """The settings in force."""
        parts = SimpleNamespace(warnings=self.warnings, policy=Policy(), state=State())
        return SimpleNamespace(settings=parts)  # type: ignore[return-value]

    def close(self) -> None:
        """Give the database back."""
        self.state.close()

    async def measure_now(self, entries: list[Entry]) -> None:
        """As the poller does."""
        self.measured += [entry.address for entry in entries]

    def later(self, seconds: float) -> None:
        """Both clocks go on."""
        self.now += seconds
        self.steady += seconds

    def set(self, address: str, used: int | None, limit: int | None = LIMIT, *, enabled: bool = True) -> Entry:
        """An account with this use and limit."""
        accounts = [Account(e.address, e.limit, e.enabled) for e in self.ledger.entries.values()]
        others = [account for account in accounts if account.address != address]
        self.ledger.set_accounts([*others, Account(address, limit, enabled)])
        entry = self.ledger.entries[address]
        if used is None:
            self.ledger.set_trouble(entry, "not known")
        else:
            self.ledger.set_known(entry, entry.known, Measurement(used, 1, "maildirsize", None), self.now)
        return entry

    def remove(self, address: str) -> None:
        """No account any more."""
        accounts = [Account(e.address, e.limit, e.enabled) for e in self.ledger.entries.values()]
        self.ledger.set_accounts([account for account in accounts if account.address != address])

    async def step(self, seconds: float = 1.0) -> None:
        """Some seconds later, after one round of each part."""
        self.later(seconds)
        await self.thresholds.round()
        await self.rounds()
        await self.administrator_mails.round()

    async def rounds(self) -> None:
        """The outbox until all that may leave has left."""
        for _ in range(100):
            before = len(self.sender.sent)
            await self.outbox.round()
            await self.outbox.finish(5.0)
            if len(self.sender.sent) == before:
                return

    def rows(self) -> list[WarningRow]:
        """Newest first."""
        return [msgspec.convert(row, WarningRow) for row in self.warning_log.newest()]

    def kinds(self) -> list[tuple[str, str, str]]:
        """Address, kind and text of the journal, oldest first."""
        return [(row.address, row.kind, row.reason) for row in reversed(self.journal.read())]


def failing(text: str = "no space left on device") -> Callable[[str], Exception | None]:
    """A sender that can't."""
    return lambda _address: MailquotaError(text)


def moot(_address: str) -> Exception | None:
    """A sender that finds the account gone."""
    return NoLongerDueError("there is no such account any more")
