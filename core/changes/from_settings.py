"""The changes that clients can order, by the settings of this server."""

from __future__ import annotations

from typing import NamedTuple

from ..history.journal import Journal
from ..mailboxes.from_settings import Mailboxes, helper_of, is_http, log_closed, make_doveadm
from ..mailboxes.mailstore import Mailstore
from ..mailboxes.rounds import Poller
from ..settings.config import Config
from .limits import Limits
from .mailbox_work import HelperWork, MailboxWork, OwnWork
from .recount_and_trash import Actions


class Changes(NamedTuple):
    """``actions`` recount mailboxes and empty Trash, ``limits`` sets limits and takes edits back."""

    actions: Actions
    limits: Limits


def make_changes(config: Config, mailboxes: Mailboxes, poller: Poller, journal: Journal) -> Changes:
    """Changes of these mailboxes, each noted in the journal. Raises SettingsError for a password that can't be read."""
    log_closed(config)
    work, insist = make_work(config, mailboxes.store)
    driver, ledger = mailboxes.driver, mailboxes.ledger
    actions = Actions(ledger, driver, poller, journal, work=work, insist=insist, away=mailboxes.guard.reason)
    return Changes(actions, Limits(actions, ledger, poller, journal))


def make_work(config: Config, store: Mailstore) -> tuple[MailboxWork, bool]:
    """What does the work in the mailboxes, and whether the settings insist on a doveadm. Raises SettingsError."""
    setting, helper = config.settings.mailstore.doveadm, helper_of(config)
    if helper is None:
        doveadm, insist = make_doveadm(config)
        return OwnWork(store, doveadm), insist
    http = make_doveadm(config)[0] if is_http(setting) else None
    return HelperWork(store, helper, http, doveadm=setting != "off"), setting not in {"auto", "off"}
