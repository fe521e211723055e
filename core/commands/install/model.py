"""The state of a machine, and the steps that install mailquota on it. All frozen, and without passwords."""

from __future__ import annotations

from typing import Literal

import msgspec

UNIT_FOLDER = "/etc/systemd/system"
SOCKET_UNIT = f"{UNIT_FOLDER}/mailquota.socket"
SERVICE_UNIT = f"{UNIT_FOLDER}/mailquota.service"
HELPER_UNIT = f"{UNIT_FOLDER}/mailquota-helper.service"  # where the engine has a user of its own
UNITS = ("mailquota.socket", "mailquota.service")
MANIFEST = "/etc/mailquota/installed.json"  # not in /var/lib/mailquota, where the mail user may write
STATE_FOLDER = "/var/lib/mailquota"
RESTRICTIONS = "smtpd_recipient_restrictions"


class Owner(msgspec.Struct, frozen=True):
    """The user and group that own the mailboxes."""

    user: str
    group: str


class Manifest(msgspec.Struct, frozen=True):
    """What an installation wrote: SHA-256 of ``files`` by path; the ``group`` and ``user`` it made, "" for none.

    ``before`` is the former value of smtpd_recipient_restrictions, None where main.cf had none, ``after`` the new one.
    ``complete`` is false until the last step is done.
    """

    files: dict[str, str] = {}
    group: str = ""
    user: str = ""
    before: str | None = None
    after: str = ""
    complete: bool = False


class PostfixState(msgspec.Struct, frozen=True):
    """``restrictions``: smtpd_recipient_restrictions of main.cf, None without; ``fault``: why it can't be read.

    ``elsewhere``: other settings that name a policy service, of main.cf, or of master.cf as ``SERVICE/TYPE/NAME``.
    """

    restrictions: str | None = None
    queue_directory: str = "/var/spool/postfix"
    fault: str = ""
    elsewhere: dict[str, str] = {}


class Units(msgspec.Struct, frozen=True):
    """The state of mailquota's two units in systemd."""

    enabled: bool = False
    active: bool = False
    need_reload: bool = False


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The state of this machine. ``command`` starts mailquota; ``places`` are folders and files that the service reads.

    ``files`` holds the contents of what may be written, None where there is no such file. ``credentials`` are the
    password files that the owner of the mailboxes can't read, by the names of ``core/settings/passwords.py``.
    """

    command: tuple[str, ...]
    settings: str  # the path of the settings file
    settings_readable: bool = True  # by the owner of the mailboxes, where there is one, and by the engine's own user
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
    ready: bool = False  # an engine answers on the first address of policy.listen
    other_engine: bool = False  # an engine answers that is not the service
    engine: int = 0  # process id of that engine, 0 where it is not known
    starters: tuple[str, ...] = ()  # files that may start an engine where systemd does not run
    others: tuple[str, ...] = ()  # files that an uninstall leaves
    manifest: Manifest | None = None


class Put(msgspec.Struct, frozen=True, tag=True):
    """Write a file with this text."""

    path: str
    text: str
    before: str | None  # its contents now
    mode: int = 0o644

    @property
    def done(self) -> bool:
        """Whether the file has this text already."""
        return self.before == self.text


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Remove a file, or a ``folder`` with all in it."""

    path: str
    before: str | None = None
    folder: bool = False
    done: bool = False


class Command(msgspec.Struct, frozen=True, tag=True):
    """Run a program as root. ``lenient``: a failure is reported and ignored, as where Postfix does not run."""

    argv: tuple[str, ...]
    why: str
    done: bool = False
    lenient: bool = False


class Await(msgspec.Struct, frozen=True, tag=True):
    """A step for the administrator: until it is ``done`` no step after it is carried out. ``how`` are comments."""

    what: str
    how: str
    done: bool = False


Step = Put | Remove | Command | Await


class Plan(msgspec.Struct, frozen=True):
    """Steps in their order, remarks for the administrator, and the manifest to write first, None for none.

    ``obstacle`` says why the plan must not be carried out, "" if it may. ``left`` are comments and lines for a shell
    about what is left when all is done.
    """

    kind: Literal["install", "uninstall"]
    steps: tuple[Step, ...]
    remarks: tuple[str, ...] = ()
    manifest: Manifest | None = None
    obstacle: str = ""
    left: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that are not done yet."""
        return tuple(step for step in self.steps if not step.done)

    @property
    def waits(self) -> bool:
        """Whether the last steps wait for a step of the administrator."""
        return any(isinstance(step, Await) for step in self.pending)
