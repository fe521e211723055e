"""What a machine is like, and the steps that make a service of mailquota on it. Frozen, and free of passwords."""

from __future__ import annotations

from typing import Literal

import msgspec

UNIT_FOLDER = "/etc/systemd/system"
SOCKET_UNIT = f"{UNIT_FOLDER}/mailquota.socket"
SERVICE_UNIT = f"{UNIT_FOLDER}/mailquota.service"
UNITS = ("mailquota.socket", "mailquota.service")
MANIFEST = "/etc/mailquota/installed.json"  # not in /var/lib/mailquota, where the mail user may write
STATE_FOLDER = "/var/lib/mailquota"
RESTRICTIONS = "smtpd_recipient_restrictions"


class Owner(msgspec.Struct, frozen=True):
    """Who owns the mailboxes."""

    user: str
    group: str


class Manifest(msgspec.Struct, frozen=True):
    """What an installation wrote. ``files`` are SHA-256 of contents by path; ``group`` is empty if it was there before.

    ``before`` is the value of Postfix's restrictions that ``after`` took the place of; None: there was none in main.cf.
    ``complete`` is false from the first step to the last.
    """

    files: dict[str, str] = {}
    group: str = ""
    before: str | None = None
    after: str = ""
    complete: bool = False


class PostfixState(msgspec.Struct, frozen=True):
    """``restrictions`` as main.cf has them, None where it has none; ``fault`` says why Postfix can't be asked.

    ``elsewhere`` are other settings that ask a policy service: of main.cf, or of master.cf by ``SERVICE/TYPE/NAME``.
    """

    restrictions: str | None = None
    queue_directory: str = "/var/spool/postfix"
    fault: str = ""
    elsewhere: dict[str, str] = {}


class Units(msgspec.Struct, frozen=True):
    """What systemd says of our units."""

    enabled: bool = False
    active: bool = False
    need_reload: bool = False


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """This machine. ``command`` starts mailquota; ``places`` are folders and files that the service reads.

    ``files`` holds the contents of what may be written, None where there is no such file. ``credentials`` are the
    password files that the owner of the mailboxes can't read, by the names of ``core/settings/passwords.py``.
    """

    command: tuple[str, ...]
    settings: str  # the path of the settings file
    settings_readable: bool = True  # by the owner of the mailboxes, where there is one
    places: tuple[str, ...] = ()
    owner: Owner | None = None
    owner_fault: str = ""  # why it is not known who owns the mailboxes
    unreachable: str = ""  # why the owner of the mailboxes can't run mailquota
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    files: dict[str, str | None] = {}
    credentials: dict[str, str] = {}
    postfix: PostfixState = PostfixState()
    dovecot_log: str = ""  # the file that Dovecot's programs write their log to, empty where that is syslog
    dovecot_closed: str = ""  # why the owner of the mailboxes can't run Dovecot's tools, which read its settings
    dovecot_runs: tuple[str, ...] = ()  # services of Dovecot's that run mailquota
    systemd: bool = True
    units: Units = Units()
    ready: bool = False  # somebody answers where Postfix would ask
    stranger: bool = False  # an engine answers that is not the service
    engine: int = 0  # its process, 0 where that is not known
    starters: tuple[str, ...] = ()  # what may start one where systemd does not run
    others: tuple[str, ...] = ()  # files that nobody but the administrator knows of
    manifest: Manifest | None = None


class Put(msgspec.Struct, frozen=True, tag=True):
    """A file with these contents."""

    path: str
    text: str
    before: str | None  # its contents now
    mode: int = 0o644

    @property
    def done(self) -> bool:
        """Whether it is so already."""
        return self.before == self.text


class Remove(msgspec.Struct, frozen=True, tag=True):
    """A file or folder that goes."""

    path: str
    before: str | None = None
    folder: bool = False
    done: bool = False


class Command(msgspec.Struct, frozen=True, tag=True):
    """A program to run as root. ``lenient``: a failure is told and goes by, as where Postfix does not run."""

    argv: tuple[str, ...]
    why: str
    done: bool = False
    lenient: bool = False


class Await(msgspec.Struct, frozen=True, tag=True):
    """What only the administrator can do: while it is not ``done`` no step after it is taken. ``how`` are comments."""

    what: str
    how: str
    done: bool = False


Step = Put | Remove | Command | Await


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order in which they are taken, remarks for people, and the manifest to write first.

    ``manifest`` is None where nothing is to be remembered any more. ``obstacle`` says why it should not be carried out.
    ``left`` are lines for a shell, and comments, about what is left when all is done.
    """

    kind: Literal["install", "uninstall"]
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()
    manifest: Manifest | None = None
    obstacle: str = ""
    left: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """Those that are not done yet."""
        return tuple(step for step in self.steps if not step.done)

    @property
    def waits(self) -> bool:
        """Whether something is left to the administrator before the last steps."""
        return any(isinstance(step, Await) for step in self.pending)
