"""The facts for a warning while neither an engine nor the accounts database answers: those that the mailbox has."""

from __future__ import annotations

import time

from ..base.errors import MailquotaError, NoSuchAccountError, sendable
from ..mailboxes.from_settings import guarded, make_driver, make_mailstore, make_names
from ..mailboxes.mailstore_memory import MailstoreMemory
from ..mailboxes.measure import Unmeasurable, limit_on_record
from ..servers.dovecot.mutf7 import decode
from ..settings.config import Config
from .facts import FolderShare, MailFacts


def mailbox_facts(config: Config, address: str, threshold: str) -> MailFacts:
    """Usage, folders, and the limit in maildirsize, as far as they can be read.

    Raises NoSuchAccountError for a name that no mailbox can have.
    """
    if not make_names(config).is_user(address):
        raise NoSuchAccountError(address)
    unknown = MailFacts(address=address, threshold=threshold, limit_known=False)
    try:
        store = make_mailstore(config)
        driver, _ = guarded(make_driver(config, store), store, MailstoreMemory.of(config))
        limit = limit_on_record(store.maildir(address))
        known = driver.measure(address, limit, None, time.time())
        found = driver.folders(address)
    except (MailquotaError, Unmeasurable, OSError):
        return unknown
    shares = [FolderShare(sendable(decode(f.name)), f.messages, f.bytes, store.is_trash(f.name)) for f in found]
    shares.sort(key=lambda share: -share.bytes)
    return MailFacts(
        address=address,
        threshold=threshold,
        used_bytes=known.used,
        limit_bytes=limit,
        messages=known.messages,
        folders=tuple(shares),
        limit_known=limit is not None,
    )
