"""What is known of Dovecot, and of some of its users."""

from __future__ import annotations

import string

import msgspec

from mailquota.core.servers.dovecot.conf import Block
from mailquota.core.servers.dovecot.quota import QuotaFacts

USERNAME_CHARACTERS = string.ascii_letters + string.digits + ".-_@"  # Dovecot's auth_username_chars by default

LOCAL_USERS = frozenset({"sql", "passwd-file", "prefetch"})  # user databases that hold the accounts and no others


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A user that was asked about. ``expected`` is the limit of the accounts database in bytes, None = unlimited.

    ``fields`` are those that the user database gives; of fields that are not about quota or the mailbox only the names.
    ``enforced`` is the limit that Dovecot enforces, in KiB rounded up, 0 = unlimited; None where it was not asked,
    because asking would make the mailbox. ``fault`` is what Dovecot says where it can't load the user.
    """

    address: str
    expected: int | None
    unknown: bool = False
    fields: dict[str, str] = {}
    enforced: int | None = None
    fault: str = ""


class UserQueries(msgspec.Struct, frozen=True, kw_only=True):
    """The queries of an SQL user database. ``file`` holds them; on 2.4 that is Dovecot's own configuration.

    ``block`` is the name of 2.4's block around them. ``fault`` says why the file can't be read.
    """

    file: str = ""
    block: str = ""
    user: str = ""
    iterate: str = ""
    fault: str = ""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A file that lies in ``folder``, whose owner has the number ``owner``. ``fault`` says why it could not be seen."""

    path: str
    folder: str = ""
    size: int = 0
    uid: int = 0
    owner: int = 0
    mode: int = 0
    fault: str = ""


class ScriptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a service of the kind ``script`` runs: ``lines`` are those of its text that call dovecot-lda.

    ``interpreter`` is that of its first line where there is no such file, as the kernel reads it; empty otherwise.
    ``ours``: it is mailquota, or calls it.
    """

    service: str
    path: str
    mode: int = 0
    lines: tuple[str, ...] = ()
    interpreter: str = ""
    ours: bool = False
    fault: str = ""


class DovecotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` says why Dovecot's settings could not be read; ``refused``: because Dovecot itself refuses them.

    ``conf`` is what doveconf prints without secrets, never to be changed; ``users`` are the drivers of the user
    databases.
    ``server_fault`` says why a running Dovecot could not be asked about users. ``accounts`` is how many the accounts
    database has, of which ``sample`` were asked about; the names of ``odd`` have ``odd_characters``, which
    ``auth_username_chars`` lacks. ``listed`` is how many users Dovecot can list. ``mail_owner`` are name and number of
    the user that mail is delivered as, ``mail_group`` of its group. ``mailquota`` is where our own command lies.
    """

    fault: str = "not asked"
    refused: bool = False
    conf: Block = msgspec.field(default_factory=Block)
    release: tuple[int, int, int] = (0, 0, 0)
    config_file: str = "/etc/dovecot/dovecot.conf"
    quota: QuotaFacts = QuotaFacts()
    grace: str | None = None
    trash: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    query: UserQueries = UserQueries()
    server_fault: str = "not asked"
    accounts: int = 0
    odd: tuple[str, ...] = ()
    odd_characters: str = ""
    with_domain: bool = False
    sample: tuple[AccountFacts, ...] = ()
    listed: int | None = None
    listing_fault: str = ""
    mail_owner: tuple[str, ...] = ()
    mail_group: tuple[str, ...] = ()
    scripts: tuple[ScriptFacts, ...] = ()
    maildirsizes: tuple[FileFacts, ...] = ()
    largest_index: FileFacts | None = None
    mailquota: str = "/usr/local/bin/mailquota"
