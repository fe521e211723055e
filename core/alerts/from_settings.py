"""How warnings get into mailboxes, by the settings and by what Dovecot says of itself."""

from __future__ import annotations

import shlex
from functools import partial

from mailquota.core.alerts import programs
from mailquota.core.alerts.deliver import Deliverer, Method, check_recipient
from mailquota.core.alerts.maildir import OwnMaildir
from mailquota.core.base.errors import DeliveryError
from mailquota.core.base.text import shown
from mailquota.core.mailboxes.from_settings import is_http
from mailquota.core.mailboxes.mailstore import Mailstore, is_username
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.servers.dovecot.quota import QuotaFacts, may_be_maildir, unenforced
from mailquota.core.settings.config import Config
from mailquota.core.settings.discover import ask_dovecot, dovecot_lda


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
    return ["doveadm"] if setting in {"auto", "off"} or is_http(setting) else shlex.split(setting)


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
    away = setting == "off" or is_http(setting)
    if wanted == "maildir" or (wanted == "auto" and away):
        return None
    facts = config.found.quota or ask_dovecot(setting).quota or QuotaFacts()
    return None if wanted == "auto" and facts.version == (0, 0) else facts
