"""What can be told of a mailbox without the accounts database: for a warning while neither it nor an engine answers."""

from __future__ import annotations

import time

from mailquota.core.alerts.facts import FolderShare, MailFacts
from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, sendable
from mailquota.core.mailboxes.from_settings import make_driver, make_mailstore
from mailquota.core.mailboxes.mailstore import is_username
from mailquota.core.mailboxes.measure import Unmeasurable, limit_on_record
from mailquota.core.servers.dovecot.mutf7 import decode
from mailquota.core.settings.config import Config


def mailbox_facts(config: Config, address: str, mark: str) -> MailFacts:
    """Use, folders and the limit that Dovecot wrote down, as far as they can be read. Raises NoSuchAccountError."""
    if not is_username(address):
        raise NoSuchAccountError(address)
    unknown = MailFacts(address, mark, None, None, limit_known=False)
    try:
        store = make_mailstore(config)
        driver = make_driver(config, store)
        limit = limit_on_record(store.maildir(address))
        known = driver.measure(address, limit, None, time.time())
        found = driver.folders(address)
    except (MailquotaError, Unmeasurable, OSError):
        return unknown
    shares = [FolderShare(sendable(decode(f.name)), f.messages, f.bytes, store.is_trash(f.name)) for f in found]
    shares.sort(key=lambda share: -share.bytes)
    return MailFacts(
        address, mark, known.used, limit, known.messages, folders=tuple(shares), limit_known=limit is not None
    )
