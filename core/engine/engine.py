"""The engine: everything that goes on without a screen, on one event loop.

Start, in this order: the control socket (so that a second engine finds the first), the policy sockets, the accounts,
the mailboxes. Requests are answered from the moment the policy sockets listen; until the accounts are read they wait,
two seconds at most. Stop in reverse: no connection is accepted, what was received is answered, connections are closed.

A *successor* is an engine that takes over from another one (see core/engine/handover.py): it reads the accounts first,
says that it is ready, and gets the sockets.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from ..alerts.service import AlertService, Parts
from ..base import process, sockets, systemd
from ..base.errors import MailquotaError
from ..base.threads import in_thread
from ..base.version import build, version
from ..changes.expiry import Expiry
from ..changes.from_settings import make_changes
from ..changes.unclear import UnclearEntries
from ..control.messages import VERSION, Welcome
from ..control.peers import Rights
from ..control.results import Status
from ..control.server import ControlConnection, ControlServer
from ..history.service import HistoryService
from ..mailboxes.from_settings import make_folder_looks, make_mailboxes, make_witness, no_witness, with_dovecot
from ..mailboxes.rounds import Poller
from ..policy.from_settings import make_policy, make_rules
from ..recordings.from_settings import folder_path, limits_of
from ..settings.config import Config
from ..settings.declared import needs_restart
from ..settings.missing import require
from . import handover, replacing
from .abilities import Abilities
from .accepting import ListenCheck, Servers
from .accounts import AccountUpdates
from .counters import Counters
from .ending import Ending
from .exporter import Exporter
from .following import DovecotFollower
from .helper_watch import HelperWatch
from .mailstore_watch import MailstoreWatch
from .metric_page import Figures
from .options import Options
from .postfix_maps import PostfixMaps
from .publishing import Publisher
from .recorder import Recorder, Sources
from .start_and_stop_entries import StartAndStopEntries
from .status import DiskWatch, StatusReporter, WitnessFacts
from .upkeep import Measuring, Upkeep, prune

log = logging.getLogger(__name__)

_STOP_SECONDS = 3.0  # for answers to what was received; a stop may take 5 s in all
_REMEMBER_SECONDS = 0.3
_LINGER = 0.1  # seconds between a hand-over and the end, for the answer to the client that ordered it


class Engine:
    """All parts of an engine, and its life from start to stop. Made and used on its own loop.

    Orders of clients are carried out once ``control.handle`` is set (see core/engine/orders.py). Raises SettingsError
    where the settings are not complete or can't work together.
    """

    def __init__(self, config: Config, options: Options) -> None:
        require(config)
        self.config = config = with_dovecot(config)
        self.options = options
        # Each part is made of parts above it: the mailboxes, the answers by their usage, the accounts that both are
        # about, what is remembered of all that, the changes and warnings that are noted there, and the clients last.
        mailboxes = make_mailboxes(config)
        self.mailstore, self.driver = mailboxes.store, mailboxes.driver
        self.ledger, self.guard, self.helper = mailboxes.ledger, mailboxes.guard, mailboxes.helper
        self.metrics, self.decisions, self.enforcer, self.mail_log, self.policy = make_policy(
            lambda: self.config, self.ledger, self.driver, read_mail_log=not options.demo, helper=self.helper
        )
        self.accounts = AccountUpdates(config, self.ledger, self.enforcer)
        self.postfix_maps = PostfixMaps(
            lambda: self.config, self.enforcer, lambda: self.accounts.sync, off=options.demo
        )
        self.poller = Poller(self.ledger, self.driver, self.enforcer.asked)
        self.history = HistoryService(config, self.ledger, self.decisions.tally)
        self.journal = self.history.journal
        self.actions, self.limits = make_changes(config, mailboxes, self.poller, self.journal)
        self.folder_looks = make_folder_looks(config, mailboxes)
        self.alerts = AlertService(self._for_alerts())
        self.witness = make_witness(config, mailboxes)
        self.follower = DovecotFollower(lambda: self.config, mailboxes, self.witness)
        self._no_witness = no_witness(config) if self.witness is None else None
        self.control = self._make_control()
        self.servers = Servers(self.policy, self.control)
        self.listeners = self.servers.listeners
        self.helper_watch = HelperWatch(self.helper, lambda: self.driver.name)
        self.mailstore_watch = MailstoreWatch(mailboxes, self.poller, self.enforcer.lookup.watch)
        self.abilities = Abilities(
            lambda: self.config, lambda: self.accounts.store, lambda: self.driver.name, self.actions
        )
        self.recorder = self._make_recorder()
        self.reporter = self._make_reporter()
        self.publisher = Publisher(self.control, self.ledger, self.decisions, self.status, self.recorder.note)
        self.counters, self.ending = self._make_counters(), Ending()
        self.listen_check = ListenCheck(self.servers, self.ending)
        self.unclear = UnclearEntries(self.journal, self.limits.changes, lambda: self.accounts.store)
        self.upkeep = self._make_upkeep()

    def _for_alerts(self) -> Parts:
        return Parts(
            ledger=self.ledger,
            driver=self.driver,
            poller=self.poller,
            journal=self.journal,
            state=self.history.state,
            is_trash=self.mailstore.is_trash,
            config=lambda: self.config,
            away=self.guard.reason,
        )

    def _make_reporter(self) -> StatusReporter:
        return StatusReporter(
            self.ledger,
            self.metrics,
            disk=DiskWatch(self.mailstore.base, lambda: self.guard.is_base_lost),
            comparison=self.enforcer.comparison,
            history=self.history,
            guard=self.guard,
            helper=self.helper_watch,
            driver=lambda: self.driver.name,
            abilities=self.abilities,
            not_recorded=lambda: self.recorder.problem,
        )

    def _make_recorder(self) -> Recorder:
        sources = Sources(
            ledger=self.ledger,
            decisions=self.decisions,
            status=self.status,
            journal=lambda most: self.journal.read(most=most),
            warnings=lambda most: self.alerts.warnings("", most),
            limits=lambda: limits_of(self.config.settings.state),
        )
        return Recorder(sources, folder_path(self.config.settings.state))

    def _make_control(self) -> ControlServer:
        control = self.config.settings.control
        rights = Rights(control.group, control.read_only_group, maker=os.geteuid() if self.options.demo else None)
        return ControlServer(rights, welcome=self._welcome, gone=lambda client: self.poller.watch(client, ()))

    def _make_counters(self) -> Counters:
        return Counters(
            metrics=self.metrics,
            decisions=self.decisions,
            comparison=self.enforcer.comparison,
            ledger=self.ledger,
            refusals=self.history.refusals,
        )

    def _make_measuring(self) -> Measuring:
        return Measuring(
            mailstore=self.mailstore,
            helper=self.helper,
            driver=self.driver,
            ledger=self.ledger,
            poller=self.poller,
            history=self.history,
            alerts=self.alerts,
            witness=self.witness,
            postfix_maps=self.postfix_maps,
        )

    def _make_upkeep(self) -> Upkeep:
        return Upkeep(
            works={
                "publisher": self.publisher.run,
                "recorder": lambda: self.recorder.run(self.accounts.read),
                "status": self.reporter.run,
                "sockets": self.listen_check.run,
                "Dovecot's settings": self.follower.run,
                "watches": lambda: prune(self.enforcer.lookup.watch),
                "maps of Postfix": self.postfix_maps.run,
                "unclear entries": lambda: self.unclear.run(self.accounts.read),
                "rights": lambda: self.abilities.run(self.accounts.read),
                "mailstore": lambda: self.mailstore_watch.run(self.accounts.read),
                **({} if self.helper is None else {"helper": self.helper_watch.run}),
            },
            measuring=self._make_measuring(),
            accounts=self.accounts,
            servers=self.servers,
            expiry=Expiry(self.limits.changes, self.ledger, lambda: self.accounts.store),
            exporter=Exporter(self._figures),
            entries=StartAndStopEntries(self.journal),
            ending=self.ending,
        )

    # ---- start

    async def start(self, predecessor: handover.Predecessor | None = None) -> None:
        """Listen, read, measure. Raises AddressInUseError and SettingsError; then nothing is left behind."""
        process.close_to_others()
        await in_thread(build)  # while the files are those that run
        sockets.allow_many()
        for remark in self.config.remarks:
            log.warning("settings: %s", remark)
        try:
            async with self.servers.changing:
                await self._start(predecessor)
        except BaseException:
            await self.stop()
            raise
        self.upkeep.start(self._description(), self._metrics_address, took_over=predecessor is not None)

    async def _start(self, predecessor: handover.Predecessor | None) -> None:
        given = sockets.inherited(dict(os.environ)) if predecessor is None else await in_thread(predecessor.listeners)
        await in_thread(lambda: self.listeners.open(self.config.settings, given))
        await self.postfix_maps.start()
        self.accounts.sync.start()
        if predecessor is not None:
            await self.accounts.read.wait()
            await replacing.take_over(self.servers, self.counters, predecessor)
        await self.servers.listen()

    async def start_local(self) -> None:
        """Only read the accounts: for a command that acts by itself, where no engine runs. Raises DatabaseError.

        Nothing listens, and a mailbox is measured only on demand, so no order waits for the first round. Clients come
        by ``control.adopt``.
        """
        self.poller.first_round.set()
        await self.postfix_maps.read()
        await self.accounts.sync.read_now()

    def _description(self) -> str:
        where = [", demo"] * self.options.demo + [", in a console"] * self.options.embedded
        return f"version {version()}, mode {self.config.settings.policy.mode}{''.join(where)}"

    # ---- what clients are told

    def status(self) -> Status:
        """The state of the engine at this moment."""
        return self.reporter.status(
            policy=self.config.settings.policy,
            database=self.accounts.sync.state,
            connections=len(self.policy.connections),
            listen=list(self.listeners.policy),
            warnings=(self.alerts.outbox.waiting, self.alerts.outbox.failed),
            witness=self._witness_facts(),
            maps=(self.postfix_maps.problem, self.enforcer.router.answers.late),
        )

    def _witness_facts(self) -> WitnessFacts:
        if self.witness is not None:
            return WitnessFacts(self.witness.status, self.witness.remark, self.witness.examples)
        return WitnessFacts(*(self._no_witness or ()))

    def _welcome(self, connection: ControlConnection) -> Welcome:
        return Welcome(
            version=VERSION,
            engine=version(),
            host=socket.gethostname(),
            pid=os.getpid(),
            mode=self.config.settings.policy.mode,
            may_change=connection.may_change,
            demo=self.options.demo,
            build=build(),
        )

    def _figures(self) -> Figures:
        answers, micros = self.metrics.histogram()
        return Figures(self.status(), levels=dict(self.ledger.totals.levels), answers=answers, micros=micros)

    @property
    def _metrics_address(self) -> tuple[str, int] | None:
        return self.config.settings.metrics.address

    # ---- new settings

    async def reload(self) -> str | None:
        """Read settings and accounts again. Returns what is only followed after a restart, None where that is nothing.

        [policy] with its listeners and [accounts] follow at once, and so does the driver, with Dovecot's rules for
        folders and names. Else the mailstore and the control socket do not. Raises SettingsError; then the old settings
        go on.
        """
        async with self.servers.changing:
            systemd.reloading()
            try:
                return await self._apply(await in_thread(self.options.load))
            finally:
                systemd.notify("READY=1")

    async def _apply(self, config: Config) -> str | None:
        """All that can fail comes first, so that a failure leaves the old settings in force."""
        require(config)
        remark = needs_restart(self.config.settings, config.settings)
        config = await in_thread(lambda: with_dovecot(config))
        prepared = await in_thread(lambda: self.follower.prepare(config))
        sync = self.accounts.make_sync(config)  # also where its settings are the same: the password may be a new one
        await in_thread(lambda: self.listeners.change(config.settings))
        self.config = config
        self.enforcer.set_rules(make_rules(config))
        self.alerts.settings_changed()
        self.upkeep.follow(self._metrics_address)
        self.policy.stop_accepting()
        await self.servers.listen_for_policy()
        await self.postfix_maps.settings_changed()
        await self.follower.follow(prepared)
        await self.accounts.replace(sync)
        if remark:
            log.warning(remark)
        return remark

    # ---- hand-over and end

    async def hand_over(self) -> int:
        """Start another engine and give it every socket; its pid. Raises MailquotaError where that fails."""
        if self.options.demo:
            raise MailquotaError("a throwaway world ends with its engine; nothing is handed over")
        if os.getpid() == 1:
            raise MailquotaError("this engine is process 1, as in a container: restart that; nothing was handed over")
        async with self.servers.changing:
            if self.listeners.handed_over:
                raise MailquotaError("the sockets were handed over already")
            pid = await replacing.hand_over(self.servers, self.counters, self.options)
            self.upkeep.handed_over(pid)
            asyncio.get_running_loop().call_later(_LINGER, self.ending.due.set)
        return pid

    async def stop(self) -> None:
        """Answer what was received, bring changes to an end, close everything, leave nothing behind."""
        ends = (
            self.policy.close(_STOP_SECONDS),
            self.actions.finish(_STOP_SECONDS),
            self.alerts.finish(_STOP_SECONDS),
        )
        await asyncio.gather(*ends)
        self.upkeep.end()
        self.poller.stop()
        self.enforcer.close()
        reason = "the engine was handed over" if self.listeners.handed_over else "the engine was stopped"
        self.control.close(f"the engine ended: {self.ending.failed}" if self.ending.failed else reason)
        await in_thread(self.listeners.close)
        await self.upkeep.stop()
        await self.accounts.sync.stop()
        await self.recorder.finish()
        await self.history.stop()
        await self.mailstore_watch.finish(_REMEMBER_SECONDS)
        self.guard.close()
