"""The changes that clients can order, by the settings of this server."""

from __future__ import annotations

from typing import NamedTuple

from mailquota.core.changes.limits import Limits
from mailquota.core.changes.recount_and_trash import Actions
from mailquota.core.history.journal import Journal
from mailquota.core.mailboxes.from_settings import Mailboxes, make_doveadm
from mailquota.core.mailboxes.rounds import Poller
from mailquota.core.settings.config import Config


class Changes(NamedTuple):
    """``actions`` recount mailboxes and empty Trash, ``limits`` sets limits and takes edits back."""

    actions: Actions
    limits: Limits


def make_changes(config: Config, mailboxes: Mailboxes, poller: Poller, journal: Journal) -> Changes:
    """Changes of these mailboxes, each noted in the journal. Raises SettingsError for a password that can't be read."""
    doveadm, insist = make_doveadm(config)
    store, driver, ledger = mailboxes
    actions = Actions(ledger, store, driver, poller, journal, doveadm=doveadm, insist=insist)
    return Changes(actions, Limits(actions, ledger, poller, journal))
