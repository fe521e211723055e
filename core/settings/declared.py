"""Every setting: section, key, type, default, meaning and check, declared once. Pure.

The loader, the file that ``config --write`` makes, the listing of ``config`` and the documentation all come from this.
Reading a property may parse again; whoever needs a value often keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, Literal

import msgspec

from mailquota.core.base.endpoints import DatabaseUrl, ListenAddress, parse_database_url, parse_host_port, parse_listen
from mailquota.core.base.units import Grace, parse_duration, parse_grace, parse_time_span
from mailquota.core.settings import checks


def doc(meaning: str, check: Callable[[Any], None] | None = None) -> msgspec.Meta:
    """What a key means, and how its value is checked."""
    return msgspec.Meta(description=meaning, extra={"check": check})


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file."""


class Accounts(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """who has a mailbox, and how much may it hold"""

    database: Annotated[
        str,
        doc("mysql://user@a:3306,b:3306/db (tried in this order) or sqlite:////absolute/path", checks.database_url),
    ] = "mysql://mailserver@127.0.0.1:3306/mailserver"
    password_file: Annotated[
        str,
        doc(
            "holds the password, alone, in a Postfix map or in Dovecot's settings; or $CREDENTIALS_DIRECTORY/password,"
            " or in the URL",
            checks.optional(checks.file_path),
        ),
    ] = "/etc/mailquota/password"  # noqa: S105  a path
    write_database: Annotated[
        str,
        doc("where the reading account may not write; empty: database", checks.optional(checks.database_url)),
    ] = ""
    write_password_file: Annotated[
        str, doc("holds the password for write_database", checks.optional(checks.file_path))
    ] = ""
    schema: Annotated[
        Literal["ispmail", "postfixadmin", "custom"],
        doc("ispmail | postfixadmin | custom (then the queries below)"),
    ] = "ispmail"
    users_query: Annotated[str, doc("custom: rows of address, limit in bytes (0: unlimited), enabled")] = ""
    aliases_query: Annotated[str, doc("custom: rows of source, destination")] = ""
    set_query: Annotated[str, doc("custom: sets %(limit)s for %(address)s", checks.optional(checks.set_query))] = ""
    change_query: Annotated[
        str, doc("custom, optional: one cheap value that differs when users or aliases changed")
    ] = ""
    refresh: Annotated[str, doc("how soon an edit made elsewhere is enforced", checks.refresh_time)] = "5s"

    @property
    def url(self) -> DatabaseUrl:
        """The database that is read."""
        return parse_database_url(self.database)

    @property
    def write_url(self) -> DatabaseUrl:
        """The database, and user, that limits are written with."""
        return parse_database_url(self.write_database or self.database)

    @property
    def refresh_seconds(self) -> float:
        """Pause between two looks for changes."""
        return parse_duration(self.refresh)


class Mailstore(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """how much does it hold"""

    path: Annotated[str, doc("the Maildir of an account; {domain} and {user}", checks.mailstore_path)] = (
        "/var/vmail/{domain}/{user}/Maildir"
    )
    driver: Annotated[
        Literal["auto", "maildir", "count", "doveadm", "sql"],
        doc("auto | maildir (maildirsize) | count (virtual sizes) | doveadm | sql"),
    ] = "auto"
    doveadm: Annotated[
        str,
        doc(
            "auto | off | a command (its -c goes to every Dovecot tool that is called) | http://127.0.0.1:8080",
            checks.doveadm,
        ),
    ] = "auto"
    doveadm_password_file: Annotated[
        str, doc("holds the password of the HTTP form", checks.optional(checks.file_path))
    ] = ""
    trash: Annotated[
        tuple[str, ...],
        doc("folders that are Trash; \\Trash: what Dovecot's settings mark so", checks.each(checks.folder_name)),
    ] = ("\\Trash", "Trash", "Deleted Items", "Deleted Messages", "Papierkorb", "Corbeille")

    @property
    def folder(self) -> str:
        """The folder that all mailboxes are below: the path up to its first variable."""
        return os.path.dirname(self.path.partition("{")[0]) or "/"


class Policy(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """what Postfix is told"""

    listen: Annotated[
        tuple[str, ...], doc("where Postfix asks: unix:PATH | inet:HOST:PORT ; several", checks.listen_addresses)
    ] = ("unix:/var/spool/postfix/private/mailquota",)
    socket_user: Annotated[
        str, doc("owner of the unix sockets; empty: whoever runs mailquota", checks.optional(checks.account_name))
    ] = "postfix"
    socket_mode: Annotated[str, doc("access rights of the unix sockets, octal", checks.file_mode)] = "0660"
    mode: Annotated[Literal["enforce", "shadow"], doc("enforce | shadow (decide and log, answer DUNNO)")] = "enforce"
    overquota: Annotated[str, doc("the answer for a full mailbox", checks.answer)] = (
        "452 4.2.2 Mailbox is full and cannot receive any more emails"
    )
    toolarge: Annotated[
        str, doc("for a mail larger than the whole limit; empty: as overquota", checks.answer_or_nothing)
    ] = ""
    success: Annotated[str, doc("the answer when it fits; never one that permits, like OK", checks.answer)] = "DUNNO"
    nouser: Annotated[str, doc("the answer when there is no such account", checks.answer)] = "DUNNO"
    trouble: Annotated[str, doc("the answer when we cannot know: fail open", checks.answer)] = "DUNNO"
    grace: Annotated[
        str, doc("what a mailbox under its limit may go beyond it: 10% as Dovecot 2.3, 10M as 2.4, 0", checks.grace)
    ] = "10%"
    recipient_delimiter: Annotated[str, doc("separates user and extension, like user+extension", checks.delimiters)] = (
        "+"
    )
    aliases: Annotated[bool, doc("follow virtual aliases before deciding")] = True
    exempt: Annotated[
        tuple[str, ...],
        doc("recipients that are never refused; * stands for anything", checks.each(checks.address_pattern)),
    ] = ("postmaster@*",)
    reserve: Annotated[
        str, doc("an accepted, announced size counts until it arrives, at most this long; 0s: never", checks.duration)
    ] = "30s"
    compare_with: Annotated[
        str,
        doc(
            "a quota-status to ask the same in the background, unix:PATH or inet:HOST:PORT",
            checks.optional(checks.listen_address),
        ),
    ] = ""

    @property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        """Where Postfix asks."""
        return tuple(parse_listen(text) for text in self.listen)

    @property
    def compare_address(self) -> ListenAddress | None:
        """Whom to ask as well."""
        return parse_listen(self.compare_with) if self.compare_with else None

    @property
    def socket_mode_bits(self) -> int:
        """For chmod."""
        return int(self.socket_mode, 8)

    @property
    def grace_rule(self) -> Grace:
        """The grace as a rule over limits."""
        return parse_grace(self.grace)

    @property
    def reserve_seconds(self) -> float:
        """How long an announced size counts; 0 switches it off."""
        return parse_duration(self.reserve)


class Warnings(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """mails to the owners of mailboxes that fill up"""

    thresholds: Annotated[
        tuple[int | str, ...], doc('percent, or "50M" left; []: none of our own accord', checks.thresholds)
    ] = (80, 95)
    from_: Annotated[str, doc("the sender of the mails", checks.mail_address)] = msgspec.field(
        default="postmaster@example.org", name="from"
    )
    delivery: Annotated[
        Literal["auto", "dovecot-lda", "doveadm", "maildir", "sendmail"],
        doc("auto | dovecot-lda | doveadm | maildir | sendmail"),
    ] = "auto"
    remind_every: Annotated[
        str, doc("again after this time while it is still full; 0: never again", checks.duration)
    ] = "7d"
    below: Annotated[bool, doc("tell them when there is room again")] = True
    copy_to: Annotated[tuple[str, ...], doc("administrators who get a copy", checks.each(checks.mail_address))] = ()
    max_per_minute: Annotated[int, doc("mails in any 60 seconds, no burst above it", checks.at_least_one)] = 60
    quiet_hours: Annotated[
        str, doc('no mail at these hours, "22:00-07:00": kept back, not dropped', checks.optional(checks.time_span))
    ] = ""
    language: Annotated[str, doc("language of the mails", checks.language)] = "en"
    templates: Annotated[
        str, doc("folder of your own texts; empty: the built-in ones", checks.optional(checks.file_path))
    ] = "/etc/mailquota/templates"
    languages: Annotated[
        dict[str, str], doc('language per domain or address: "example.de" = "de"', checks.languages)
    ] = {}

    @property
    def remind_seconds(self) -> float:
        """Pause between two warnings about the same mark."""
        return parse_duration(self.remind_every)

    @property
    def quiet_span(self) -> tuple[time, time] | None:
        """From when to when nothing is sent; the end may lie on the next day."""
        return parse_time_span(self.quiet_hours) if self.quiet_hours else None

    def language_of(self, address: str) -> str:
        """The language for one user: by address, else by domain, else the common one. Case does not matter."""
        codes = {name.lower(): code for name, code in self.languages.items()}
        wanted = address.lower()
        return codes.get(wanted) or codes.get(wanted.rpartition("@")[2], self.language)


class State(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """history, journal, warnings already sent"""

    database: Annotated[
        str,
        doc(
            "sqlite:////absolute/path, or for several engines that share it mysql://user@host:3306/db"
            " (password: in the URL or $CREDENTIALS_DIRECTORY/state_password)",
            checks.database_url,
        ),
    ] = "sqlite:////var/lib/mailquota/state.db"
    keep_history: Annotated[str, doc("how long samples are kept", checks.duration_above_zero)] = "400d"

    @property
    def url(self) -> DatabaseUrl:
        """Where it is."""
        return parse_database_url(self.database)

    @property
    def keep_seconds(self) -> float:
        """Age at which a sample is dropped."""
        return parse_duration(self.keep_history)


class Control(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """the socket for the console and the commands"""

    socket: Annotated[str, doc("path of the socket", checks.control_socket)] = "/run/mailquota/control.sock"
    group: Annotated[str, doc("group that may connect; root may always", checks.optional(checks.account_name))] = (
        "mailquota"
    )
    read_only_group: Annotated[
        str,
        doc(
            "group that may look; the owner of the mailboxes may connect for warn only",
            checks.optional(checks.account_name),
        ),
    ] = ""


class Metrics(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """figures for Prometheus"""

    listen: Annotated[
        str, doc('"127.0.0.1:9100" switches Prometheus metrics on', checks.optional(checks.host_and_port))
    ] = ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, None when off."""
        return parse_host_port(self.listen) if self.listen else None


class Settings(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    accounts: Accounts = Accounts()
    mailstore: Mailstore = Mailstore()
    policy: Policy = Policy()
    warnings: Warnings = Warnings()
    state: State = State()
    control: Control = Control()
    metrics: Metrics = Metrics()


def needs_restart(old: Settings, new: Settings) -> str | None:
    """What a running engine does not follow of a change, in words."""
    kept = [f"[{name}]" for name in ("mailstore", "control", "state") if getattr(old, name) != getattr(new, name)]
    return f"changes in {' and '.join(kept)} need a restart" if kept else None
