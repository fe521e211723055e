"""From settings to the parts of an engine."""

from __future__ import annotations

import logging
import os
import shlex
from functools import partial
from pathlib import Path

from core import outside
from core.accounts.store import AccountStore, Queries, open_store
from core.accounts.usage_table import open_usage_table
from core.alerts import programs
from core.alerts.deliver import Deliverer, Method, check_recipient
from core.alerts.maildir import OwnMaildir
from core.config import DEFAULT_PATH, Config, Found
from core.discover import ask_dovecot, dovecot_lda
from core.dovecot_conf import dovecot_tool
from core.dovecot_quota import QuotaFacts, choose_driver, may_be_maildir, unenforced
from core.endpoints import DatabaseUrl
from core.errors import DeliveryError, SettingsError
from core.history.database import StateDatabase
from core.missing import require
from core.mysql_hosts import Target
from core.passwords import Which, read_password
from core.policy.decision import Answers, Exempt, Rules
from core.text import shown
from core.usage.count_driver import CountDriver
from core.usage.doveadm import Doveadm, Tool
from core.usage.doveadm_http import HttpDoveadm
from core.usage.dovecot_driver import DoveadmDriver
from core.usage.driver import Driver, MaildirDriver
from core.usage.mailstore import Mailstore, is_username
from core.usage.rules import Ignored
from core.usage.sql_driver import SqlDriver
from core.usage.trash import TrashNames

log = logging.getLogger(__name__)


def make_rules(config: Config) -> Rules:
    """The settings ``policy``, ready for use."""
    policy = config.settings.policy
    answers = Answers(
        policy.success, policy.overquota, policy.toolarge or policy.overquota, policy.nouser, policy.trouble
    )
    return Rules(
        answers,
        policy.grace_rule,
        policy.recipient_delimiter,
        Exempt(policy.exempt),
        policy.mode == "shadow",
        aliases=policy.aliases,
        compare_with=policy.compare_address,
        reserve_seconds=policy.reserve_seconds,
    )


def make_store(config: Config) -> AccountStore:
    """The accounts database; not connected yet. Raises SettingsError for a password that can't be read.

    Also where the database was searched for and not found.
    """
    require(config, "accounts")
    accounts = config.settings.accounts
    queries = Queries(accounts.users_query, accounts.aliases_query, accounts.set_query, accounts.change_query)
    return open_store(
        _target(config, accounts.url, "database"),
        schema=accounts.schema,
        write_target=_target(config, accounts.write_url, "write_database"),
        queries=queries if accounts.schema == "custom" else None,
    )


def _target(config: Config, url: DatabaseUrl, which: Which) -> Target:
    if url.kind == "sqlite":
        return Target("sqlite", path=Path(url.path))
    password = read_password(config, which)
    if password.warning:
        log.warning("%s", password.warning)
    return Target("mysql", url.hosts, url.database, url.user, password.text)


def make_state(config: Config) -> StateDatabase:
    """The state database; not opened yet."""
    return StateDatabase(state_target(config))


def state_target(config: Config) -> Target:
    """Where the state database is. Raises SettingsError for a password that can't be read."""
    return _target(config, config.settings.state.url, "state")


def make_mailstore(config: Config) -> Mailstore:
    """Where mailboxes lie. Dovecot is asked which folders are \\Trash and which don't count.

    Raises MissingSettingError where the place was searched for and not found.
    """
    require(config, "mailstore")
    settings, found = config.settings.mailstore, _asked(config)
    rules = found.quota.rules if found.quota is not None else ()
    return Mailstore(settings.path, TrashNames(settings.trash, found.trash_names), Ignored(rules))


def _asked(config: Config) -> Found:
    """What Dovecot says of itself, asked now where it was not when the settings were read."""
    if config.found.quota is not None or config.settings.mailstore.doveadm == "off":
        return config.found
    return ask_dovecot(config.settings.mailstore.doveadm)


def driver_name(config: Config) -> str:
    """The setting ``mailstore.driver``, or what ``auto`` stands for on this server."""
    name = config.settings.mailstore.driver
    if name != "auto":
        return name
    return choose_driver(_asked(config).quota or QuotaFacts(), doveadm=_has_doveadm(config))


def _has_doveadm(config: Config) -> bool:
    setting = config.settings.mailstore.doveadm
    return Doveadm.find() is not None if setting == "auto" else setting != "off"


def make_driver(config: Config, store: Mailstore) -> Driver:
    """How use is found out. Raises SettingsError where the settings can't work together."""
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
        target = _target(config, config.settings.accounts.url, "database")
        return SqlDriver(store, open_usage_table(target), open_usage_table(target))
    return MaildirDriver(store)


def _is_http(setting: str) -> bool:
    return setting.startswith(("http:", "https:"))


def make_doveadm(config: Config) -> tuple[Tool | None, bool]:
    """The tool for changes, and whether the settings insist on it. One that is closed to us is none, unless they do."""
    setting = config.settings.mailstore.doveadm
    if setting == "off":
        return None, False
    if _is_http(setting):
        return HttpDoveadm(setting, read_password(config, "doveadm").text), True
    closed = closed_dovecot(setting)
    if closed:
        _tell_closed(config, closed)
    if setting == "auto":
        return None if closed else Doveadm.find(), False
    return Doveadm(shlex.split(setting)), True


def closed_dovecot(doveadm: str) -> str:
    """Why this user can't run Dovecot's tools, each of which reads all of its settings; "" for whoever can."""
    if os.geteuid() == 0:
        return ""
    fault = outside.run([*dovecot_tool(doveadm, "doveconf"), "-n"]).fault
    return fault if outside.DENIED in fault else ""


def _tell_closed(config: Config, closed: str) -> None:
    """A command works without, and needs no word of it; where the settings insist on doveadm it will fail."""
    who, off = outside.own_name(), f'doveadm = "off" in [mailstore] of {config.path or DEFAULT_PATH}'
    if config.settings.mailstore.doveadm == "auto":
        log.info("%s can't run Dovecot's tools (%s): recounts and Trash do without, as with %s", who, closed, off)
    else:
        log.warning("%s can't run Dovecot's tools (%s): what needs doveadm fails; %s does without", who, closed, off)


def make_deliverer(config: Config) -> Deliverer:
    """How warnings get into mailboxes. Asks Dovecot, which may take seconds; its answers hold until the next call.

    Where it is Dovecot that delivers, it is Dovecot that is asked whether it did.
    """
    wanted, setting = config.settings.warnings.delivery, config.settings.mailstore.doveadm
    if wanted == "sendmail":
        return Deliverer([programs.sendmail()], check_recipient, [])
    maildir = OwnMaildir(partial(_maildir_of, Mailstore(config.settings.mailstore.path, TrashNames(()))))
    facts = _delivering_dovecot(config)
    if facts is None:
        return Deliverer([maildir], maildir.place, [maildir.holds])
    doveadm, options = _doveadm_command(setting), unenforced(facts)
    ways: dict[str, Method] = {
        "dovecot-lda": programs.dovecot_lda(dovecot_lda(setting), options),
        "doveadm": programs.doveadm_save(doveadm, options),
    }
    if wanted == "auto" and may_be_maildir(facts):
        ways["maildir"] = maildir
    methods = ways.values() if wanted == "auto" else [ways[wanted]]
    return Deliverer([*methods], maildir.place, [maildir.holds, partial(programs.search, doveadm)])


def _doveadm_command(setting: str) -> list[str]:
    return ["doveadm"] if setting in {"auto", "off"} or _is_http(setting) else shlex.split(setting)


def _maildir_of(store: Mailstore, address: str) -> str:
    """To Dovecot's tools an address with a wildcard is that of many."""
    if not is_username(address):
        raise DeliveryError(f"Dovecot takes no such user name: {shown(address)}", temporary=False)
    return store.maildir(address)


def _delivering_dovecot(config: Config) -> QuotaFacts | None:
    """What has to be known of the Dovecot whose programs deliver; None where they are to be left alone.

    With a doveadm that is "off" the administrator said so; one that is asked by HTTP is elsewhere, and a full mailbox
    takes nothing from it. Where Dovecot does not say how it keeps quota, nobody could tell it to let a mail pass.
    """
    wanted, setting = config.settings.warnings.delivery, config.settings.mailstore.doveadm
    away = setting == "off" or _is_http(setting)
    if wanted == "maildir" or (wanted == "auto" and away):
        return None
    facts = config.found.quota or ask_dovecot(setting).quota or QuotaFacts()
    return None if wanted == "auto" and facts.version == (0, 0) else facts
