"""Makes mailstore, driver and doveadm from the settings, and from what Dovecot of this server says."""

from __future__ import annotations

import logging
import os
import shlex
from typing import NamedTuple

import msgspec

from ..accounts.usage_table import TableColumns, open_usage_table
from ..base import programs as outside
from ..base.endpoints import DatabaseUrl, parse_database_url
from ..base.errors import SettingsError
from ..servers.dovecot.conf import dovecot_tool
from ..servers.dovecot.doveadm import Doveadm, DoveadmTool
from ..servers.dovecot.doveadm_http import HttpDoveadm
from ..servers.dovecot.folder_names import IgnoredFolders, TrashNames
from ..servers.dovecot.followed import UserNames
from ..servers.dovecot.quota import QuotaFacts, choose_driver
from ..settings.config import DEFAULT_PATH, Config, DiscoveredSettings
from ..settings.discover import ask_dovecot
from ..settings.missing import require
from ..settings.passwords import database_target, read_password
from .count_driver import CountDriver
from .dovecot_driver import DoveadmDriver
from .driver import Driver, MaildirDriver
from .following import FollowingDriver
from .ledger import Ledger
from .mailstore import Mailstore, Names
from .sql_driver import SqlDriver

log = logging.getLogger(__name__)


def make_mailstore(config: Config) -> Mailstore:
    """The mailstore of the settings. Dovecot is asked which folders are \\Trash and which don't count.

    Raises MissingSettingError where its path is neither set nor found on this server.
    """
    require(config, "mailstore")
    settings, found = config.settings.mailstore, _asked(config)
    quota = found.quota or QuotaFacts()
    ignored = IgnoredFolders(quota.rules, quota.prefix, quota.separator)
    return Mailstore(settings.path, TrashNames(settings.trash, found.trash_names), ignored, _names(found))


def make_names(config: Config) -> Names:
    """Which addresses are names of users. Where Dovecot can't be asked all that can be part of a path are."""
    return _names(_asked(config))


def _names(found: DiscoveredSettings) -> Names:
    users = found.users
    if users is None:
        return Names("", utf8=True)
    return Names(users.characters, as_in_row=users.as_in_row, utf8=users.utf8)


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


def make_driver(config: Config, store: Mailstore) -> Driver:
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
        target, table = database_target(config, config.settings.accounts.url, "database"), _table(config)
        return SqlDriver(store, open_usage_table(target, table), open_usage_table(target, table))
    return MaildirDriver(store)


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
    """Where the mailboxes are, how their usage is measured, and what is known of them in memory."""

    store: Mailstore
    driver: FollowingDriver
    ledger: Ledger


def make_mailboxes(config: Config) -> Mailboxes:
    """The mailboxes of this server, with an empty ledger. SettingsError where the settings can't work together."""
    store = make_mailstore(config)
    return Mailboxes(store, FollowingDriver(make_driver(config, store)), Ledger(store.is_trash, store.names))
