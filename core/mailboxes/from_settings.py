"""Makes mailstore, driver and doveadm from the settings, and from what Dovecot of this server says."""

from __future__ import annotations

import functools
import logging
import os
import pwd
import shlex
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ..accounts.usage_table import TableColumns, open_usage_table
from ..base import programs as outside
from ..base.endpoints import DatabaseUrl, parse_database_url
from ..base.errors import SettingsError
from ..base.helper_calls import Helper
from ..control.results import WitnessStatus
from ..servers.dovecot.conf import dovecot_tool
from ..servers.dovecot.doveadm import Doveadm, DoveadmFigures, DoveadmTool
from ..servers.dovecot.doveadm_by_helper import HelperDoveadm
from ..servers.dovecot.doveadm_http import HttpDoveadm
from ..servers.dovecot.folder_names import IgnoredFolders, TrashNames
from ..servers.dovecot.followed import UserNames
from ..servers.dovecot.quota import QuotaFacts, choose_driver
from ..settings.config import DEFAULT_PATH, Config, DiscoveredSettings
from ..settings.discover import ask_dovecot
from ..settings.missing import require
from ..settings.passwords import database_target, read_password
from .contents import FolderLooks
from .count_driver import CountDriver
from .dovecot_driver import DoveadmDriver
from .driver import Driver, MaildirDriver, MostMessages
from .following import FollowingDriver
from .guarded_driver import GuardedDriver
from .helper_driver import HelperDriver
from .ledger import Ledger
from .looks import HelperLooks, OwnLooks
from .mailstore import Mailstore, Names
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
    quota = found.quota or QuotaFacts()
    ignored = IgnoredFolders(quota.rules, quota.prefix, quota.separator)
    return Mailstore(settings.path, TrashNames(settings.trash, found.trash_names), ignored, names_by(found.users))


def make_names(config: Config, spelled: Mapping[str, str] | None = None) -> Names:
    """Which addresses are names of users. Where Dovecot can't be asked all that can be part of a path are."""
    return names_by(_asked(config).users, spelled)


def names_by(users: UserNames | None, spelled: Mapping[str, str] | None = None) -> Names:
    """The same by what Dovecot says of names, None where it was not asked.

    ``spelled``: address → the same as its row has it, where that differs. A ledger tells its own.
    """
    if users is None:
        return Names("", utf8=True)
    names = Names(users.characters, as_in_row=users.as_in_row, utf8=users.utf8)
    for address, name in (spelled or {}).items():
        names.spell(address, name)
    return names


def with_dovecot(config: Config) -> Config:
    """The settings with what Dovecot says, so that it is not asked again for each part that is made of them."""
    return msgspec.structs.replace(config, found=_asked(config))


def _asked(config: Config) -> DiscoveredSettings:
    """What Dovecot says of itself; it is asked unless that was done when the settings were read."""
    if config.found.quota is not None or config.settings.mailstore.doveadm == "off":
        return config.found
    told = ask_dovecot(config.settings.mailstore.doveadm)
    return msgspec.structs.replace(config.found, trash_names=told.trash_names, quota=told.quota, users=told.users)


class Way(NamedTuple):
    """How usage is measured: the driver, and what Dovecot says of quota and names."""

    driver: str
    quota: QuotaFacts
    users: UserNames | None

    def is_as(self, other: Way | None) -> bool:
        """Whether all measurements would be the same."""
        return other is not None and self._parts() == other._parts()

    def _parts(self) -> tuple[object, ...]:
        quota = self.quota
        return self.driver, quota.rules, quota.prefix, quota.separator, quota.table, self.users

    @property
    def why(self) -> str:
        """Why Dovecot is asked, where a faster driver would not be right; "" else."""
        return "; ".join(self.quota.doubts) if self.driver == "doveadm" else ""


def driver_name(config: Config) -> str:
    """The setting ``mailstore.driver``; for ``auto`` the driver that fits Dovecot's settings."""
    name = config.settings.mailstore.driver
    return name if name != "auto" else _way(config, _asked(config)).driver


def way_of(config: Config) -> Way | None:
    """How usage is measured by these settings and those of Dovecot; None where Dovecot is not asked, or can't be.

    Blocks where Dovecot is asked.
    """
    found = _asked(config)
    return None if found.quota is None or found.quota.version == (0, 0) else _way(config, found)


def _way(config: Config, found: DiscoveredSettings) -> Way:
    facts, name = found.quota or QuotaFacts(), str(config.settings.mailstore.driver)
    if facts.table is not None and not _is_ours(facts.table.url, config.settings.accounts.url):
        facts = msgspec.structs.replace(facts, doubts=(*facts.doubts, "Dovecot keeps the usage in another database"))
    if name == "auto":
        name = choose_driver(facts, doveadm=_has_doveadm(config))
    return Way(name, facts, found.users)


def _is_ours(url: str, ours: DatabaseUrl) -> bool:
    """Whether this is the accounts database, as far as the two can be compared."""
    theirs = parse_database_url(url)
    same = (theirs.kind, theirs.database, theirs.path) == (ours.kind, ours.database, ours.path)
    return same and (
        theirs.hosts == ours.hosts
        or not {_machine(h) for h, _ in theirs.hosts}.isdisjoint({_machine(h) for h, _ in ours.hosts})
    )


def _machine(host: str) -> str:
    return "localhost" if host.startswith(("/", "127.")) or host == "::1" else host


def _has_doveadm(config: Config) -> bool:
    setting = config.settings.mailstore.doveadm
    return Doveadm.find() is not None if setting == "auto" else setting != "off"


def make_driver(config: Config, store: Mailstore, most_messages: MostMessages = lambda _: None) -> Driver:
    """The driver that ``driver_name`` names. Raises SettingsError where the settings can't work together."""
    name, helper = driver_name(config), helper_of(config)
    if helper is not None and name in {"maildir", "count"}:
        return HelperDriver(name, store, most_messages, helper)
    if name == "count":
        return CountDriver(store)
    if name == "doveadm":
        tool = make_figures(config)
        if tool is None:
            why = closed_dovecot(config.settings.mailstore.doveadm) or "mailstore.doveadm gives none"
            raise SettingsError(f'mailstore.driver = "doveadm" needs a doveadm; {why}')
        return DoveadmDriver(store, tool)
    if name == "sql":
        target, table = database_target(config, config.settings.accounts.url, "database"), _table(config)
        counting = None if helper is None else HelperDriver("maildir", store, most_messages, helper)
        return SqlDriver(store, open_usage_table(target, table), open_usage_table(target, table), counting=counting)
    return MaildirDriver(store, most_messages)


def _table(config: Config) -> TableColumns | None:
    """The table that Dovecot's dict quota names; None where one of the usual names has to be searched for."""
    facts = _asked(config).quota or QuotaFacts()
    if facts.table is None or not _is_ours(facts.table.url, config.settings.accounts.url):
        return None
    return TableColumns(facts.table.name, facts.table.address, facts.table.used, facts.table.messages)


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
    if setting == "auto":
        return None if closed_dovecot(setting) else Doveadm.find(), False
    return Doveadm(shlex.split(setting)), True


def make_figures(config: Config) -> DoveadmFigures | None:
    """The doveadm that gives figures, as ``make_doveadm``: the helper's, where there is one, or the HTTP API."""
    helper, setting = helper_of(config), config.settings.mailstore.doveadm
    if helper is None or setting == "off" or is_http(setting):
        return make_doveadm(config)[0]
    return HelperDoveadm(helper)


def helper_of(config: Config) -> Helper | None:
    """The helper that works in mailboxes for this process; None where it works there itself.

    The helper is for the engine's own user alone: root, and the owner of the mailboxes, need none.
    """
    path = config.settings.mailstore.helper
    return _helper(path) if path and engine_user(config) == os.geteuid() != 0 else None


def engine_user(config: Config) -> int | None:
    """The number of ``mailstore.engine_user``; None where there is no such user."""
    name = config.settings.mailstore.engine_user
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


@functools.lru_cache(4)
def _helper(path: str) -> Helper:
    """One for each path, so that each thread has one connection."""
    return Helper(path)


def closed_dovecot(doveadm: str) -> str:
    """Why this user can't run Dovecot's tools, each of which has to read all settings of Dovecot; "" if it can."""
    if os.geteuid() == 0:
        return ""
    fault = outside.run([*dovecot_tool(doveadm, "doveconf"), "-n"]).fault
    return fault if outside.DENIED in fault else ""


def log_closed(config: Config) -> None:
    """Log why Dovecot's tools are closed to this user, if they are.

    It is a warning only where the settings insist on doveadm, as else all works without it.
    """
    setting = config.settings.mailstore.doveadm
    closed = "" if setting == "off" or is_http(setting) or helper_of(config) else closed_dovecot(setting)
    if not closed:
        return
    who, off = outside.own_name(), f'doveadm = "off" in [mailstore] of {config.path or DEFAULT_PATH}'
    if config.settings.mailstore.doveadm == "auto":
        log.info("%s can't run Dovecot's tools (%s): recounts and Trash do without, as with %s", who, closed, off)
    else:
        log.warning("%s can't run Dovecot's tools (%s): what needs doveadm fails; %s does without", who, closed, off)


class Mailboxes(NamedTuple):
    """Where the mailboxes are, how their usage is measured, and what is known of them in memory.

    ``measured`` is the driver without the guard, and ``following`` the one without Dovecot as its witness. ``guard``
    knows whether their file systems are there, ``memory`` keeps that over a restart. ``helper`` works in them, where
    this process has no rights there.
    """

    store: Mailstore
    driver: Driver
    measured: Driver
    following: FollowingDriver
    ledger: Ledger
    guard: MailstoreGuard
    memory: MailstoreMemory
    helper: Helper | None


def make_mailboxes(config: Config) -> Mailboxes:
    """The mailboxes of this server, with an empty ledger. SettingsError where the settings can't work together."""
    store = make_mailstore(config)
    ledger, memory = Ledger(store.is_trash, store.names), MailstoreMemory.of(config)
    following = FollowingDriver(make_driver(config, store, ledger.most_messages))
    measured = _witnessed(config, store, following)
    helper = helper_of(config)
    driver, guard = guarded(measured, store, memory, helper)
    guard.is_account = lambda address: ledger.get(address) is not None
    return Mailboxes(store, driver, measured, following, ledger, guard, memory, helper)


def _witnessed(config: Config, store: Mailstore, driver: FollowingDriver) -> Driver:
    """The driver, with Dovecot beside it where that is to be asked about accounts."""
    mailstore = config.settings.mailstore
    if mailstore.doveadm == "off" or not mailstore.verify_seconds:
        return driver
    tool = make_figures(config)
    if tool is None:
        return driver
    return WitnessedDriver(driver, DoveadmDriver(store, tool), tool)


def make_witness(config: Config, mailboxes: Mailboxes) -> Witness | None:
    """The part that compares these mailboxes with Dovecot; None where that is switched off or can't be done."""
    driver, settings = mailboxes.measured, config.settings
    if not isinstance(driver, WitnessedDriver):
        return None
    return Witness(
        mailboxes.ledger,
        driver,
        driver.tool,
        names=mailboxes.store.names,
        every=settings.mailstore.verify_seconds,
        again=max(AGAIN, min(settings.accounts.refresh_seconds + _REFRESHED, MOST_AGAIN)),
        hints=lambda: find_hints(settings.mailstore.doveadm),
        away=mailboxes.guard.reason,
    )


def make_folder_looks(config: Config, mailboxes: Mailboxes) -> FolderLooks:
    """What looks into folders of these mailboxes. Raises SettingsError for a password that can't be read."""
    helper, measured = mailboxes.helper, mailboxes.measured
    doveadm = make_doveadm(config)[0] if helper is None or is_http(config.settings.mailstore.doveadm) else None

    def asks_dovecot(address: str) -> bool:
        return measured.name == "doveadm" or (isinstance(measured, WitnessedDriver) and measured.is_by_dovecot(address))

    return FolderLooks(
        mailboxes.store, mailboxes.driver, doveadm, away=mailboxes.guard.reason, asks_dovecot=asks_dovecot,
        helper=helper,
    )  # fmt: skip


def no_witness(config: Config) -> tuple[WitnessStatus, str]:
    """The state where ``make_witness`` gives None, and the reason."""
    mailstore = config.settings.mailstore
    if not mailstore.verify_seconds:
        return WitnessStatus("off"), 'mailstore.verify is "0s"'
    if mailstore.doveadm == "off":
        return WitnessStatus("off"), 'mailstore.doveadm is "off"'
    return WitnessStatus("away"), closed_dovecot(mailstore.doveadm) or "there is no doveadm on this server"


def is_by_path(driver: Driver) -> bool:
    """Whether usage is measured at ``mailstore.path`` itself."""
    return driver.name in {"maildir", "count"}


def guarded(
    driver: Driver, store: Mailstore, memory: MailstoreMemory, helper: Helper | None = None
) -> tuple[Driver, MailstoreGuard]:
    """The driver with a guard that knows what was remembered. Reads a file, so it blocks for a moment."""

    def count(address: str) -> int:
        return driver.measure(address, None, None, time.time()).messages

    looks = OwnLooks(store) if helper is None else HelperLooks(helper)
    guard = MailstoreGuard(store, count, by_path=is_by_path(driver), looks=looks)
    guard.recall(memory.read())
    return GuardedDriver(driver, guard), guard
