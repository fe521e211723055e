"""Makes mailstore, driver and doveadm from the settings, and from what Dovecot of this server says."""

from __future__ import annotations

import logging
import os
import shlex
import time
from typing import NamedTuple

from ..accounts.usage_table import open_usage_table
from ..base import programs as outside
from ..base.errors import SettingsError
from ..control.results import WitnessStatus
from ..servers.dovecot.conf import dovecot_tool
from ..servers.dovecot.doveadm import Doveadm, DoveadmTool
from ..servers.dovecot.doveadm_http import HttpDoveadm
from ..servers.dovecot.folder_names import IgnoredFolders, TrashNames
from ..servers.dovecot.quota import QuotaFacts, choose_driver
from ..settings.config import DEFAULT_PATH, Config, DiscoveredSettings
from ..settings.discover import ask_dovecot
from ..settings.missing import require
from ..settings.passwords import database_target, read_password
from .count_driver import CountDriver
from .dovecot_driver import DoveadmDriver
from .driver import Driver, MaildirDriver, MostMessages
from .guarded_driver import GuardedDriver
from .ledger import Ledger
from .mailstore import Mailstore
from .mailstore_guard import MailstoreGuard
from .mailstore_memory import MailstoreMemory
from .sql_driver import SqlDriver
from .witness import AGAIN, MOST_AGAIN, Witness
from .witness_hints import find_hints
from .witnessed_driver import WitnessedDriver

log = logging.getLogger(__name__)

_REFRESHED = 2.0  # seconds after which an edit that Dovecot sees is in the ledger, beyond accounts.refresh


def make_mailstore(config: Config) -> Mailstore:
    """The mailstore of the settings. Dovecot is asked which folders are \\Trash and which don't count.

    Raises MissingSettingError where its path is neither set nor found on this server.
    """
    require(config, "mailstore")
    settings, found = config.settings.mailstore, _asked(config)
    rules = found.quota.rules if found.quota is not None else ()
    return Mailstore(settings.path, TrashNames(settings.trash, found.trash_names), IgnoredFolders(rules))


def _asked(config: Config) -> DiscoveredSettings:
    """What Dovecot says of itself; it is asked unless that was done when the settings were read."""
    if config.found.quota is not None or config.settings.mailstore.doveadm == "off":
        return config.found
    return ask_dovecot(config.settings.mailstore.doveadm)


def driver_name(config: Config) -> str:
    """The setting ``mailstore.driver``; for ``auto`` the driver that fits Dovecot's settings."""
    name = config.settings.mailstore.driver
    if name != "auto":
        return name
    return choose_driver(_asked(config).quota or QuotaFacts(), doveadm=_has_doveadm(config))


def _has_doveadm(config: Config) -> bool:
    setting = config.settings.mailstore.doveadm
    return Doveadm.find() is not None if setting == "auto" else setting != "off"


def make_driver(config: Config, store: Mailstore, most_messages: MostMessages = lambda _: None) -> Driver:
    """The driver that ``driver_name`` names. Raises SettingsError where the settings can't work together."""
    name = driver_name(config)
    if name == "count":
        return CountDriver(store)
    if name == "doveadm":
        tool, _ = make_doveadm(config)
        if tool is None:
            why = closed_dovecot(config.settings.mailstore.doveadm) or "mailstore.doveadm gives none"
            raise SettingsError(f'mailstore.driver = "doveadm" needs a doveadm; {why}')
        return DoveadmDriver(store, tool)
    if name == "sql":
        target = database_target(config, config.settings.accounts.url, "database")
        return SqlDriver(store, open_usage_table(target), open_usage_table(target))
    return MaildirDriver(store, most_messages)


def is_http(setting: str) -> bool:
    """Whether ``mailstore.doveadm`` names Dovecot's HTTP API."""
    return setting.startswith(("http:", "https:"))


def make_doveadm(config: Config) -> tuple[DoveadmTool | None, bool]:
    """The doveadm for changes, and whether the settings insist on one: then a change fails where it does not work.

    None where it is off, and where ``auto`` finds none that this user may run. Raises SettingsError where the password
    of the HTTP API can't be read.
    """
    setting = config.settings.mailstore.doveadm
    if setting == "off":
        return None, False
    if is_http(setting):
        return HttpDoveadm(setting, read_password(config, "doveadm").text), True
    closed = closed_dovecot(setting)
    if closed:
        _log_closed(config, closed)
    if setting == "auto":
        return None if closed else Doveadm.find(), False
    return Doveadm(shlex.split(setting)), True


def closed_dovecot(doveadm: str) -> str:
    """Why this user can't run Dovecot's tools, each of which has to read all settings of Dovecot; "" if it can."""
    if os.geteuid() == 0:
        return ""
    fault = outside.run([*dovecot_tool(doveadm, "doveconf"), "-n"]).fault
    return fault if outside.DENIED in fault else ""


def _log_closed(config: Config, closed: str) -> None:
    """Log it: as a warning only where the settings insist on doveadm, as else all works without it."""
    who, off = outside.own_name(), f'doveadm = "off" in [mailstore] of {config.path or DEFAULT_PATH}'
    if config.settings.mailstore.doveadm == "auto":
        log.info("%s can't run Dovecot's tools (%s): recounts and Trash do without, as with %s", who, closed, off)
    else:
        log.warning("%s can't run Dovecot's tools (%s): what needs doveadm fails; %s does without", who, closed, off)


class Mailboxes(NamedTuple):
    """Where the mailboxes are, how their usage is measured, and what is known of them in memory.

    ``measured`` is the driver without the guard. ``guard`` knows whether their file systems are there, ``memory`` keeps
    that over a restart.
    """

    store: Mailstore
    driver: Driver
    measured: Driver
    ledger: Ledger
    guard: MailstoreGuard
    memory: MailstoreMemory


def make_mailboxes(config: Config) -> Mailboxes:
    """The mailboxes of this server, with an empty ledger. SettingsError where the settings can't work together."""
    store = make_mailstore(config)
    ledger, memory = Ledger(store.is_trash), MailstoreMemory.of(config)
    measured = _witnessed(config, store, make_driver(config, store, ledger.most_messages))
    driver, guard = guarded(measured, store, memory)
    guard.is_account = lambda address: ledger.get(address) is not None
    return Mailboxes(store, driver, measured, ledger, guard, memory)


def _witnessed(config: Config, store: Mailstore, driver: Driver) -> Driver:
    """The driver, with Dovecot beside it where that is to be asked about accounts."""
    mailstore = config.settings.mailstore
    if mailstore.doveadm == "off" or not mailstore.verify_seconds:
        return driver
    tool, _ = make_doveadm(config)
    if tool is None:
        return driver
    return WitnessedDriver(driver, driver if isinstance(driver, DoveadmDriver) else DoveadmDriver(store, tool), tool)


def make_witness(config: Config, mailboxes: Mailboxes) -> Witness | None:
    """The part that compares these mailboxes with Dovecot; None where that is switched off or can't be done."""
    driver, settings = mailboxes.measured, config.settings
    if not isinstance(driver, WitnessedDriver):
        return None
    return Witness(
        mailboxes.ledger,
        driver,
        driver.tool,
        every=settings.mailstore.verify_seconds,
        again=max(AGAIN, min(settings.accounts.refresh_seconds + _REFRESHED, MOST_AGAIN)),
        hints=lambda: find_hints(settings.mailstore.doveadm),
        away=mailboxes.guard.reason,
    )


def no_witness(config: Config) -> tuple[WitnessStatus, str]:
    """The state where ``make_witness`` gives None, and the reason."""
    mailstore = config.settings.mailstore
    if not mailstore.verify_seconds:
        return WitnessStatus("off"), 'mailstore.verify is "0s"'
    if mailstore.doveadm == "off":
        return WitnessStatus("off"), 'mailstore.doveadm is "off"'
    return WitnessStatus("away"), closed_dovecot(mailstore.doveadm) or "there is no doveadm on this server"


def guarded(driver: Driver, store: Mailstore, memory: MailstoreMemory) -> tuple[Driver, MailstoreGuard]:
    """The driver with a guard that knows what was remembered. Reads a file, so it blocks for a moment."""

    def count(address: str) -> int:
        return driver.measure(address, None, None, time.time()).messages

    guard = MailstoreGuard(store, count, by_path=driver.name in {"maildir", "count"})
    guard.recall(memory.read())
    return GuardedDriver(driver, guard), guard
