"""What an engine is made of, how its parts follow the settings, and what is known of all of them together."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from mailquota.core.accounts.from_settings import make_store
from mailquota.core.accounts.store import Accounts
from mailquota.core.accounts.sync import AccountSync
from mailquota.core.alerts.service import AlertService, Parts
from mailquota.core.base import systemd
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.threads import in_thread
from mailquota.core.base.version import version
from mailquota.core.changes.limits import Limits
from mailquota.core.changes.recount_and_trash import Actions
from mailquota.core.control.messages import VERSION, Order, Welcome
from mailquota.core.control.results import Status
from mailquota.core.control.server import ControlConnection, ControlServer, Rights
from mailquota.core.engine.listeners import Listeners
from mailquota.core.engine.publishing import Publisher
from mailquota.core.engine.status import DiskWatch, StatusReporter
from mailquota.core.history.service import HistoryService
from mailquota.core.mailboxes.from_settings import make_doveadm, make_driver, make_mailstore
from mailquota.core.mailboxes.ledger import Differences, Ledger
from mailquota.core.mailboxes.rounds import Poller
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.answering import Enforcer
from mailquota.core.policy.from_settings import make_rules
from mailquota.core.policy.log import DecisionLog
from mailquota.core.policy.mail_log import MailLog
from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.server import PolicyServer
from mailquota.core.settings.config import Config
from mailquota.core.settings.declared import needs_restart
from mailquota.core.settings.missing import require

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.02  # between two looks at whether the accounts were read, while somebody waits for them


@dataclass(frozen=True)
class Options:
    """How this engine was started. ``load`` reads the settings again; ``arguments`` start one like it."""

    load: Callable[[], Config]
    arguments: tuple[str, ...] = ("--serve",)
    demo: bool = False
    embedded: bool = False


class EngineParts(ABC):
    """All parts of an engine, made in the order in which they need each other. Made and used on the engine's loop."""

    def __init__(self, config: Config, options: Options) -> None:
        self.config = config
        self.options = options
        require(config)
        self.mailstore = make_mailstore(config)
        self.driver = make_driver(config, self.mailstore)
        self.ledger = Ledger(self.mailstore.is_trash)
        self.metrics = Metrics(time.time())
        self.decisions = DecisionLog()
        self.enforcer = Enforcer(self.ledger, self.driver, make_rules(config), self.metrics, self.decisions)
        self.mail_log = MailLog(lambda: self.config, self.enforcer.router.mailboxes, off=options.demo)
        self.policy = PolicyServer(self.enforcer.ask, self.metrics)
        self.sync = self._make_sync(config)
        self.poller = Poller(self.ledger, self.driver, self.enforcer.asked)
        self.history = HistoryService(config, self.ledger, self.decisions.tally)
        self.journal = self.history.journal
        doveadm, insist = make_doveadm(config)
        self.actions = Actions(
            self.ledger, self.mailstore, self.driver, self.poller, self.journal, doveadm=doveadm, insist=insist
        )
        self.alerts = AlertService(self._parts())
        self.limits = Limits(self.actions, self.ledger, self.poller, self.journal)
        control = config.settings.control
        self.control = ControlServer(
            Rights(control.group, control.read_only_group), self._welcome, self.handle, self._gone
        )
        disk = DiskWatch(self.mailstore.base)
        self.reporter = StatusReporter(self.ledger, self.metrics, disk, self.enforcer.second, self.history)
        self.publisher = Publisher(self.control, self.ledger, self.decisions, self.status)
        self.finished = asyncio.Event()  # set when it is time to stop, or when the sockets were handed over
        self.listeners = Listeners()
        self.failed = ""  # what has died and can't be started again in this process
        self._changing = asyncio.Lock()  # start, reload, hand-over: one at a time
        self.accounts_read = asyncio.Event()

    def _parts(self) -> Parts:
        is_trash = self.mailstore.is_trash
        return Parts(
            ledger=self.ledger,
            driver=self.driver,
            poller=self.poller,
            journal=self.journal,
            state=self.history.state,
            is_trash=is_trash,
            config=lambda: self.config,
        )

    # ---- what the engine does with them

    @abstractmethod
    def handle(self, connection: ControlConnection, order: Order) -> None:
        """Take an order of a client."""

    @abstractmethod
    def settings_changed(self) -> None:
        """``config`` is a new one."""

    @abstractmethod
    async def hand_over(self) -> int:
        """Start another engine and give it every socket; its pid. Raises MailquotaError where that fails."""

    @abstractmethod
    def handed_over(self, pid: int) -> None:
        """Process ``pid`` has every socket now."""

    # ---- accounts and sockets

    async def accounts_known(self) -> None:
        """Wait until the accounts were read. DatabaseError where they never could be: an empty list would be a lie."""
        while not self.accounts_read.is_set():
            if self.sync.state.message:
                raise DatabaseError(self.sync.state.message)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _listen_for_policy(self) -> None:
        for sock in self.listeners.policy.values():
            await self.policy.listen(sock)

    async def listen(self) -> None:
        """Accept on every socket."""
        await self._listen_for_policy()
        for sock in self.listeners.control.values():
            await self.control.listen(sock)

    async def listen_again(self) -> None:
        """The same, where the loop does not accept any more; connections go on."""
        async with self._changing:
            if not self.listeners.handed_over:
                self.policy.stop_accepting()
                self.control.stop_accepting()
                await self.listen()

    def _make_sync(self, config: Config) -> AccountSync:
        store = make_store(config)
        refresh = config.settings.accounts.refresh_seconds
        return AccountSync(store, refresh, self._prepare, lambda: self.ledger.edits)

    def _prepare(self, accounts: Accounts) -> Callable[[], None]:
        """In the thread that read them, so that of 100,000 only what differs is the loop's work."""
        found, aliases = self.ledger.compare(accounts.accounts), AliasMap(accounts.aliases)
        return lambda: self._take_accounts(found, aliases)

    def _take_accounts(self, found: Differences, aliases: AliasMap) -> None:
        self.ledger.take(found)
        if aliases.rows != self.enforcer.router.aliases.rows:
            self.enforcer.router.set_aliases(aliases)
        if not self.accounts_read.is_set():
            self.accounts_read.set()
            self.enforcer.accounts_read()
            gc.collect()
            gc.freeze()  # the records live as long as the engine: no collection need walk over them

    # ---- what clients ask

    def status(self) -> Status:
        """Now."""
        return self.reporter.status(
            policy=self.config.settings.policy,
            database=self.sync.state,
            connections=len(self.policy.connections),
            listen=list(self.listeners.policy),
            warnings=(self.alerts.outbox.waiting, self.alerts.outbox.failed),
        )

    def _welcome(self, connection: ControlConnection) -> Welcome:
        mode = self.config.settings.policy.mode
        host = socket.gethostname()
        return Welcome(VERSION, version(), host, os.getpid(), mode, connection.may_change, self.options.demo)

    def _gone(self, connection: ControlConnection) -> None:
        self.poller.watch(connection, ())

    async def reload(self) -> str | None:
        """Settings and accounts anew; what is not followed, in words. Raises SettingsError; then the old ones go on.

        [policy] with its listeners and [accounts] follow at once; the mailstore and the control socket do not.
        """
        async with self._changing:
            systemd.reloading()
            try:
                return await self._apply(await in_thread(self.options.load))
            finally:
                systemd.notify("READY=1")

    async def _apply(self, config: Config) -> str | None:
        require(config)
        remark = needs_restart(self.config.settings, config.settings)
        sync = self._make_sync(config)  # also where its settings are the same: the password may be a new one
        self.listeners.change(config.settings)
        self.config = config
        self.enforcer.set_rules(make_rules(config))
        self.alerts.settings_changed()
        self.settings_changed()
        self.policy.stop_accepting()
        await self._listen_for_policy()
        before, self.sync = self.sync, sync
        before.end()
        sync.follow(before)
        await sync.look(read=True)
        sync.start()
        await before.stop()
        if remark:
            log.warning(remark)
        return remark

    # ---- the end

    @property
    def changing(self) -> bool:
        """Whether sockets are opened, closed or handed over just now."""
        return self._changing.locked()

    def fail(self, reason: str) -> None:
        """End, as a part died that can't be started again here. A service manager starts an engine anew."""
        self.failed = self.failed or reason
        log.critical("%s: this engine ends", reason)
        self.finished.set()
