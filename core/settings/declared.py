"""Every setting, declared once: section, key, type, default, meaning and check. Pure.

The loader, the file of ``config --write``, the listing of ``config`` and docs/settings.md are made from it. A property
parses its value at each access; code that needs one often should keep it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import time
from typing import Annotated, Any, Literal

import msgspec

from ..base.endpoints import DatabaseUrl, ListenAddress, parse_database_url, parse_host_port, parse_listen
from ..base.units import Grace, parse_duration, parse_grace, parse_time_span
from . import checks


def doc(meaning: str, check: Callable[[Any], None] | None = None) -> msgspec.Meta:
    """The meaning of a key, and the check of its value (core/settings/checks.py)."""
    return msgspec.Meta(description=meaning, extra={"check": check})


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section of the settings file. Its docstring is the comment beside it in the file of ``config --write``."""


class Accounts(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """who has a mailbox, and its limit"""

    database: Annotated[
        str,
        doc("mysql://user@a:3306,b:3306/db (tried in this order) or sqlite:////absolute/path", checks.database_url),
    ] = "mysql://mailserver@127.0.0.1:3306/mailserver"
    password_file: Annotated[
        str,
        doc(
            "file with the password: alone, in a Postfix map or in Dovecot's settings; else it is taken from"
            " $CREDENTIALS_DIRECTORY/password; one in the URL comes first",
            checks.optional(checks.file_path),
        ),
    ] = "/etc/mailquota/password"  # noqa: S105  a path
    write_database: Annotated[
        str,
        doc(
            "database URL to change limits with, if the account of database may only read; empty: database",
            checks.optional(checks.database_url),
        ),
    ] = ""
    write_password_file: Annotated[
        str, doc("file with the password of write_database", checks.optional(checks.file_path))
    ] = ""
    schema: Annotated[
        Literal["ispmail", "postfixadmin", "custom"],
        doc("the tables: ispmail | postfixadmin | custom (then by the queries below)"),
    ] = "ispmail"
    users_query: Annotated[
        str,
        doc(
            "custom: gives address, limit in bytes (0: unlimited), enabled; messages, if any, is the limit of messages"
        ),
    ] = ""
    aliases_query: Annotated[str, doc("custom: gives source, destination of aliases")] = ""
    set_query: Annotated[
        str,
        doc(
            "custom: sets the limit %(limit)s, in bytes, of %(address)s, and with %(messages)s that of messages",
            checks.optional(checks.set_query),
        ),
    ] = ""
    change_query: Annotated[
        str, doc("custom, optional: gives a value that differs after accounts or aliases changed, and is cheap to get")
    ] = ""
    maps: Annotated[
        tuple[str, ...],
        doc(
            "maps of Postfix that lead recipients on, in their order, of any type, like"
            ' ["hash:/etc/postfix/virtual", "mysql:/etc/postfix/aliases.cf"]; []: as Postfix has them'
            " (virtual_alias_maps)",
            checks.each(checks.postfix_map),
        ),
    ] = ()
    refresh: Annotated[
        str, doc("how often the database is checked for changes made elsewhere", checks.refresh_time)
    ] = "5s"

    @property
    def url(self) -> DatabaseUrl:
        """The database that accounts and aliases are read from."""
        return parse_database_url(self.database)

    @property
    def write_url(self) -> DatabaseUrl:
        """The database, with the user, that limits are changed with."""
        return parse_database_url(self.write_database or self.database)

    @property
    def refresh_seconds(self) -> float:
        """Seconds between two checks for changes."""
        return parse_duration(self.refresh)


class Mailstore(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """where mailboxes are, and how their usage is measured"""

    path: Annotated[str, doc("path of the Maildir of an account, with {domain} and {user}", checks.mailstore_path)] = (
        "/var/vmail/{domain}/{user}/Maildir"
    )
    driver: Annotated[
        Literal["auto", "maildir", "count", "doveadm", "sql"],
        doc("how usage is measured: auto | maildir (maildirsize) | count (virtual sizes) | doveadm | sql"),
    ] = "auto"
    doveadm: Annotated[
        str,
        doc(
            "auto | off | a command (its -c is used for all of Dovecot's tools) | http://127.0.0.1:8080",
            checks.doveadm,
        ),
    ] = "auto"
    doveadm_password_file: Annotated[
        str, doc("file with the password of the HTTP API", checks.optional(checks.file_path))
    ] = ""
    trash: Annotated[
        tuple[str, ...],
        doc(
            "folders that are Trash; \\Trash: those with special_use = \\Trash in Dovecot's settings",
            checks.each(checks.folder_name),
        ),
    ] = ("\\Trash", "Trash", "Deleted Items", "Deleted Messages", "Papierkorb", "Corbeille")

    verify: Annotated[
        str,
        doc(
            "each account's usage and limit are compared with Dovecot's own at least so often; 0s: never",
            checks.duration,
        ),
    ] = "1d"

    helper: Annotated[
        str, doc("UNIX socket of the helper of engine_user; empty: none", checks.optional(checks.control_socket))
    ] = ""
    engine_user: Annotated[str, doc("the engine's own user, if it has a helper", checks.account_name)] = "mailquota"

    @property
    def verify_seconds(self) -> float:
        """Seconds in which each account is compared with Dovecot once; 0: never."""
        return parse_duration(self.verify)

    @property
    def folder(self) -> str:
        """The folder above all mailboxes: ``path`` up to its first variable."""
        return os.path.dirname(self.path.partition("{")[0]) or "/"


class Policy(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """the answers to Postfix"""

    listen: Annotated[
        tuple[str, ...], doc("addresses at which Postfix asks: unix:PATH | inet:HOST:PORT", checks.listen_addresses)
    ] = ("unix:/var/spool/postfix/private/mailquota",)
    socket_user: Annotated[
        str,
        doc(
            "owner of the UNIX sockets in listen; empty: the user that the engine runs as",
            checks.optional(checks.account_name),
        ),
    ] = "postfix"
    socket_mode: Annotated[str, doc("mode of the UNIX sockets in listen, octal", checks.file_mode)] = "0660"
    mode: Annotated[Literal["enforce", "shadow"], doc("enforce | shadow (decide and log, but answer DUNNO)")] = (
        "enforce"
    )
    overquota: Annotated[str, doc("answer when the mailbox is full", checks.answer)] = (
        "452 4.2.2 Mailbox is full and cannot receive any more emails"
    )
    toolarge: Annotated[
        str, doc("answer to a mail that is larger than the whole limit; empty: as overquota", checks.answer_or_nothing)
    ] = ""
    success: Annotated[str, doc("answer when the mail fits; not one that permits, like OK", checks.answer)] = "DUNNO"
    nouser: Annotated[str, doc("answer when there is no such account", checks.answer)] = "DUNNO"
    trouble: Annotated[str, doc("answer when mailquota can't decide, as while the database is away", checks.answer)] = (
        "DUNNO"
    )
    unreadable: Annotated[
        str,
        doc(
            "answer when the mailbox's own owner made it unreadable, as by a link to itself; empty: as trouble",
            checks.answer_or_nothing,
        ),
    ] = ""
    grace: Annotated[
        str,
        doc(
            "how far a mailbox under its limit may go beyond it: 10% as in Dovecot 2.3, 10M as in 2.4, 0", checks.grace
        ),
    ] = "10%"
    recipient_delimiter: Annotated[
        str, doc("characters between user and extension, as in user+extension@example.org", checks.delimiters)
    ] = "+"
    aliases: Annotated[bool, doc("resolve virtual aliases before deciding")] = True
    exempt: Annotated[
        tuple[str, ...],
        doc("addresses whose mail is never refused; * matches any text", checks.each(checks.address_pattern)),
    ] = ("postmaster@*",)
    reserve: Annotated[
        str,
        doc(
            "how long the announced size of an accepted mail counts as used, until it arrives; 0s: not", checks.duration
        ),
    ] = "30s"
    compare_with: Annotated[
        str,
        doc(
            "address of a quota-status that is asked as well, to compare its answers: unix:PATH | inet:HOST:PORT",
            checks.optional(checks.listen_address),
        ),
    ] = ""

    @property
    def listen_addresses(self) -> tuple[ListenAddress, ...]:
        """The addresses at which Postfix asks."""
        return tuple(parse_listen(text) for text in self.listen)

    @property
    def compare_address(self) -> ListenAddress | None:
        """The address of the quota-status to compare with; None without."""
        return parse_listen(self.compare_with) if self.compare_with else None

    @property
    def socket_mode_bits(self) -> int:
        """The mode as a number, for chmod()."""
        return int(self.socket_mode, 8)

    @property
    def grace_rule(self) -> Grace:
        """The grace as a rule over limits."""
        return parse_grace(self.grace)

    @property
    def reserve_seconds(self) -> float:
        """Seconds that an announced size counts as used; 0: it does not."""
        return parse_duration(self.reserve)


class Warnings(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """mails to the owners of mailboxes that are nearly full"""

    thresholds: Annotated[
        tuple[int | str, ...],
        doc('percent of the limit, or space left like "50M"; []: mailquota sends no warnings', checks.thresholds),
    ] = (80, 95)
    from_: Annotated[str, doc("sender of the mails", checks.mail_address)] = msgspec.field(
        default="postmaster@example.org", name="from"
    )
    delivery: Annotated[
        Literal["auto", "dovecot-lda", "doveadm", "maildir", "sendmail"],
        doc("how the mails are delivered: auto | dovecot-lda | doveadm | maildir | sendmail"),
    ] = "auto"
    remind_every: Annotated[
        str, doc("warn again after this time while the mailbox is still above the threshold; 0: never", checks.duration)
    ] = "7d"
    below: Annotated[bool, doc("send a mail when there is room again")] = True
    copy_to: Annotated[tuple[str, ...], doc("administrators who get a copy", checks.each(checks.mail_address))] = ()
    max_per_minute: Annotated[int, doc("most mails in any 60 seconds", checks.at_least_one)] = 60
    quiet_hours: Annotated[
        str, doc('no mails in this time, like "22:00-07:00"; they are sent after it', checks.optional(checks.time_span))
    ] = ""
    language: Annotated[str, doc("language of the mails", checks.language)] = "en"
    templates: Annotated[
        str, doc("folder with your own texts; empty: only the built-in ones", checks.optional(checks.file_path))
    ] = "/etc/mailquota/templates"
    languages: Annotated[
        dict[str, str], doc('language by domain or address: "example.de" = "de"', checks.languages)
    ] = {}

    @property
    def remind_seconds(self) -> float:
        """Seconds between two warnings at the same threshold; 0: no second one."""
        return parse_duration(self.remind_every)

    @property
    def quiet_span(self) -> tuple[time, time] | None:
        """Start and end of the quiet hours, local time; the end may be on the next day. None without."""
        return parse_time_span(self.quiet_hours) if self.quiet_hours else None

    def language_of(self, address: str) -> str:
        """The language for an account: by address, else by domain, else ``language``. Case does not matter."""
        codes = {name.lower(): code for name, code in self.languages.items()}
        wanted = address.lower()
        return codes.get(wanted) or codes.get(wanted.rpartition("@")[2], self.language)


class State(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """history, journal, warnings that were sent"""

    database: Annotated[
        str,
        doc(
            "sqlite:////absolute/path, or mysql://user@host:3306/db for several engines that share it"
            " (its password: in the URL or in $CREDENTIALS_DIRECTORY/state_password)",
            checks.database_url,
        ),
    ] = "sqlite:////var/lib/mailquota/state.db"
    keep_history: Annotated[str, doc("how long samples are kept", checks.duration_above_zero)] = "400d"
    recordings: Annotated[
        str,
        doc("room for the recordings that mailquota replay shows; 0: nothing is recorded", checks.size),
    ] = "500M"
    keep_recordings: Annotated[str, doc("how long recordings are kept", checks.duration_above_zero)] = "7d"
    recordings_folder: Annotated[
        str,
        doc(
            "folder of the recordings; empty: recordings, beside the state database. Where that is on a server, nothing"
            " is recorded then",
            checks.optional(checks.file_path),
        ),
    ] = ""

    @property
    def url(self) -> DatabaseUrl:
        """The state database."""
        return parse_database_url(self.database)

    @property
    def keep_seconds(self) -> float:
        """Age in seconds from which samples are removed."""
        return parse_duration(self.keep_history)


class Control(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """the socket for the console and the commands"""

    socket: Annotated[str, doc("path of the UNIX socket", checks.control_socket)] = "/run/mailquota/control.sock"
    group: Annotated[str, doc("group that may connect; root always may", checks.optional(checks.account_name))] = (
        "mailquota"
    )
    read_only_group: Annotated[
        str,
        doc(
            "group that may connect but change nothing; the owner of the mailboxes may connect for warn only",
            checks.optional(checks.account_name),
        ),
    ] = ""


class Metrics(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """metrics for Prometheus"""

    listen: Annotated[
        str,
        doc(
            'HOST:PORT for Prometheus, like "127.0.0.1:9100"; empty: no metrics', checks.optional(checks.host_and_port)
        ),
    ] = ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None without metrics."""
        return parse_host_port(self.listen) if self.listen else None


class Console(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """as the console starts; what is changed there by key is kept for each user"""

    theme: Annotated[
        Literal["auto", "dark", "light", "contrast", "blue-orange", "mono", "terminal"],
        doc(
            "auto | dark | light | contrast | blue-orange (for the colour-blind) | mono | terminal (its own colours);"
            " without colours it is always terminal"
        ),
    ] = "auto"
    ascii: Annotated[bool, doc("draw with ASCII signs, for fonts without block signs; as --ascii does")] = False
    mouse: Annotated[bool, doc("false: leave the mouse to the terminal, to select text; as --no-mouse does")] = True


class Settings(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All sections of the settings file."""

    accounts: Accounts = Accounts()
    mailstore: Mailstore = Mailstore()
    policy: Policy = Policy()
    warnings: Warnings = Warnings()
    state: State = State()
    control: Control = Control()
    metrics: Metrics = Metrics()
    console: Console = Console()


def needs_restart(old: Settings, new: Settings) -> str | None:
    """A message naming changed sections that a running engine does not follow; None where it follows all changes."""
    followed = {"recordings": new.state.recordings, "keep_recordings": new.state.keep_recordings}
    old = msgspec.structs.replace(
        old,
        mailstore=msgspec.structs.replace(old.mailstore, driver=new.mailstore.driver),
        state=msgspec.structs.replace(old.state, **followed),
    )
    kept = [f"[{name}]" for name in ("mailstore", "control", "state") if getattr(old, name) != getattr(new, name)]
    return f"changes in {' and '.join(kept)} need a restart" if kept else None
