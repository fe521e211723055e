"""The changes that clients can order, by the settings of this server."""

from __future__ import annotations

from typing import NamedTuple

from ..history.journal import Journal
from ..mailboxes.from_settings import Mailboxes, log_closed, make_doveadm
from ..mailboxes.rounds import Poller
from ..settings.config import Config
from .limits import Limits
from .recount_and_trash import Actions


class Changes(NamedTuple):
    """``actions`` recount mailboxes and empty Trash, ``limits`` sets limits and takes edits back."""

    actions: Actions
    limits: Limits


def make_changes(config: Config, mailboxes: Mailboxes, poller: Poller, journal: Journal) -> Changes:
    """Changes of these mailboxes, each noted in the journal. Raises SettingsError for a password that can't be read."""
    doveadm, insist = make_doveadm(config)
    log_closed(config)
    store, driver, ledger = mailboxes.store, mailboxes.driver, mailboxes.ledger
    actions = Actions(
        ledger, store, driver, poller, journal, doveadm=doveadm, insist=insist, away=mailboxes.guard.reason
    )
    return Changes(actions, Limits(actions, ledger, poller, journal))
