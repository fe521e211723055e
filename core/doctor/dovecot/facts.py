"""Facts about Dovecot, and about some of its users."""

from __future__ import annotations

import string

import msgspec

from ...servers.dovecot.conf import Block
from ...servers.dovecot.quota import QuotaFacts

USERNAME_CHARACTERS = string.ascii_letters + string.digits + ".-_@"  # Dovecot's auth_username_chars by default

LOCAL_USERS = frozenset({"sql", "passwd-file", "prefetch"})  # user databases that have the accounts and no other users


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A user that Dovecot was asked about. ``expected`` is the limit of the accounts database in bytes, None = none.

    ``fields`` are those of the user database, with values only where they are about quota or the mailbox. ``enforced``
    is the limit that Dovecot enforces, in KiB rounded up, 0 = unlimited; None where it was not asked, because the
    question would create the mailbox. ``maildir`` is the path of the Maildir as Dovecot has it, empty where it says
    none; ``elsewhere``: it is another folder than ``ours``, in which mailquota looks. ``fault`` is Dovecot's error
    where it can't load the user.
    """

    address: str
    expected: int | None
    unknown: bool = False
    fields: dict[str, str] = {}
    enforced: int | None = None
    maildir: str = ""
    ours: str = ""
    elsewhere: bool = False
    fault: str = ""


class NameFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts with unusual names: with characters that Dovecot by default, or by its settings, does not allow.

    ``count`` is their number; ``asked`` were looked up, of which Dovecot does not know ``unknown``. ``refused`` are
    those with a character that the setting ``auth_username_chars`` lacks; whether Dovecot was asked or not.
    """

    count: int = 0
    asked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class UserQueries(msgspec.Struct, frozen=True, kw_only=True):
    """The queries of an SQL user database, in ``file``; on 2.4 that is Dovecot's own configuration.

    ``block`` is the name of 2.4's block around them. ``fault`` is the reason why the file can't be read.
    """

    file: str = ""
    block: str = ""
    user: str = ""
    iterate: str = ""
    fault: str = ""


class SqlLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A login to a database in which Dovecot looks users up, as Dovecot logs in.

    ``origin`` is the file or block of Dovecot's settings, ``url`` the database without its password. ``answering`` is
    the number of hosts that let it in, ``failures`` are pairs of a host with its port and the reason why it did not.
    ``fault`` is the reason why none was tried.
    """

    origin: str
    url: str = ""
    answering: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    fault: str = ""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A file in ``folder``; ``owner`` is the number of the folder's owner. ``fault``: why it could not be examined."""

    path: str
    folder: str = ""
    size: int = 0
    uid: int = 0
    owner: int = 0
    mode: int = 0
    fault: str = ""


class ScriptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The program that a service with ``executable = script …`` runs.

    ``lines`` are those that call dovecot-lda. ``interpreter`` is that in its first line if there is no such file, else
    empty. ``ours``: it is mailquota, or calls it.
    """

    service: str
    path: str
    mode: int = 0
    lines: tuple[str, ...] = ()
    interpreter: str = ""
    ours: bool = False
    fault: str = ""


class DovecotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` is the reason why Dovecot's settings could not be read; ``refused``: Dovecot itself refuses them.

    ``conf`` is the output of doveconf without secrets, and must not be changed; ``users`` are the drivers of the user
    databases. ``server_fault`` is the reason why a running Dovecot could not be asked about users. ``accounts`` is the
    number in the accounts database, of which ``sample`` were asked about, and some of those with unusual ``names``.
    ``databases`` are those in which Dovecot looks users up. ``listed`` is the number of users that Dovecot lists.
    ``mail_owner`` are name and number of the user that mail is delivered as, ``mail_group`` those of its group.
    ``mailquota`` is the path of the command.
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
    names: NameFacts = NameFacts()
    databases: tuple[SqlLogin, ...] = ()
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
