"""Makes the delivery of warnings, by the settings of mailquota and of Dovecot."""

from __future__ import annotations

import shlex
from functools import partial

from ..base.errors import DeliveryError
from ..base.text import shown
from ..mailboxes.from_settings import helper_of, is_http, make_names
from ..mailboxes.mailstore import Mailstore
from ..servers.dovecot.folder_names import TrashNames
from ..servers.dovecot.quota import QuotaFacts, may_be_maildir, unenforced
from ..settings.config import Config
from ..settings.discover import ask_dovecot, dovecot_lda
from . import programs
from .deliver import Deliverer, Method, check_recipient
from .delivery_by_helper import HelperDelivery
from .maildir import OwnMaildir


def make_delivery(config: Config) -> Deliverer | HelperDelivery:
    """How an engine delivers: by the helper, where that works in mailboxes for it, else by ``make_deliverer``."""
    helper = helper_of(config) if config.settings.warnings.delivery != "sendmail" else None
    return make_deliverer(config) if helper is None else HelperDelivery(helper)


def make_deliverer(config: Config) -> Deliverer:
    """The methods of delivery by ``warnings.delivery``. Asks Dovecot for its settings, which may take seconds.

    Where Dovecot delivers, Dovecot also searches for a mail: Sieve may have stored it in any folder.
    """
    wanted, setting = config.settings.warnings.delivery, config.settings.mailstore.doveadm
    if wanted == "sendmail":
        return Deliverer([programs.sendmail()], check_recipient, [])
    store = Mailstore(config.settings.mailstore.path, TrashNames(()), names=make_names(config))
    maildir = OwnMaildir(partial(_maildir_of, store))
    facts = _delivering_dovecot(config)
    if facts is None:
        return Deliverer([maildir], maildir.path_of, [maildir.has])
    doveadm, options = _doveadm_command(setting), unenforced(facts)
    methods: dict[str, Method] = {
        "dovecot-lda": programs.dovecot_lda(dovecot_lda(setting), options),
        "doveadm": programs.doveadm_save(doveadm, options),
    }
    if wanted == "auto" and may_be_maildir(facts):
        methods["maildir"] = maildir
    chosen = methods.values() if wanted == "auto" else [methods[wanted]]
    return Deliverer([*chosen], maildir.path_of, [maildir.has, partial(programs.search, doveadm)])


def _doveadm_command(setting: str) -> list[str]:
    return ["doveadm"] if setting in {"auto", "off"} or is_http(setting) else shlex.split(setting)


def _maildir_of(store: Mailstore, address: str) -> str:
    """The Maildir of an address.

    Raises DeliveryError for one with a wildcard: Dovecot's tools would take many users.
    """
    if not store.names.is_user(address):
        raise DeliveryError(f"Dovecot takes no such user name: {shown(address)}", temporary=False)
    return store.maildir(address)


def _delivering_dovecot(config: Config) -> QuotaFacts | None:
    """The quota settings of the Dovecot whose programs deliver; None where they are not used.

    That is so with the delivery ``maildir``, and with ``auto`` if doveadm is "off" in the settings, is reached by HTTP
    (then it can't store a mail in a full mailbox), or Dovecot's settings can't be read (then it is not known which
    options let a mail into a full mailbox).
    """
    wanted, setting = config.settings.warnings.delivery, config.settings.mailstore.doveadm
    away = setting == "off" or is_http(setting)
    if wanted == "maildir" or (wanted == "auto" and away):
        return None
    facts = config.found.quota or ask_dovecot(setting).quota or QuotaFacts()
    return None if wanted == "auto" and facts.version == (0, 0) else facts
