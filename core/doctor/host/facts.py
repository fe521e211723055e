"""Facts about this machine, and about mailquota itself on it."""

from __future__ import annotations

from typing import Any

import msgspec

from ...control.results import WitnessStatus
from ..paths import PathFacts, UserFacts


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The engine at the control socket. ``known`` is false where it was not asked.

    ``fault`` is the reason where it could not be asked although something is there, as where this user may not connect.
    ``policy`` are the settings of [policy] that the engine follows, ``driver`` is the one by which it measures, empty
    where that is not known, as of an older engine. ``witness`` is what it found when it compared accounts with Dovecot,
    as in Status; ``mailstore_problem`` too.
    """

    known: bool = False
    running: bool = False
    fault: str = ""
    version: str = ""
    mode: str = ""
    uptime_seconds: float | None = None
    listen: tuple[str, ...] = ()
    policy: dict[str, Any] = {}
    driver: str = ""
    witness: WitnessStatus = WitnessStatus()
    witness_remark: str = ""
    witness_examples: dict[str, str] = {}
    mailstore_problem: str = ""


class StateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The state database. ``known`` is false where it was not opened.

    ``fault`` is the reason why it can't be read, ``write_fault`` why it can't be written. ``schema`` is the version of
    its tables, ``schema_known`` the newest that this mailquota knows, 0 where unknown; ``newest`` is the time of the
    newest entry in seconds since the epoch, ``size`` in bytes, each None where unknown.
    """

    known: bool = False
    fault: str = ""
    write_fault: str = ""
    schema: int = 0
    schema_known: int = 0
    newest: float | None = None
    size: int | None = None


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts database. ``known`` is false where it was not asked.

    ``may_write``: whether the database user that changes limits may do so (None: not known); ``writer`` is its URL,
    without a password. ``table`` and ``column`` hold the limits, and the column takes at most ``column_max`` bytes; all
    three are empty or None where not known. ``advice`` are lines that say what to do about the fault. ``limit_faults``:
    addresses whose limit is not valid, and why.
    """

    known: bool = False
    fault: str = ""
    write_fault: str = ""
    may_write: bool | None = None
    writer: str = ""
    table: str = ""
    column: str = ""
    column_type: str = ""
    column_max: int | None = None
    limit_faults: dict[str, str] = {}
    advice: tuple[str, ...] = ()


class DiskFacts(msgspec.Struct, frozen=True):
    """A file system; sizes in bytes. What only root may use is not free. ``inodes`` is 0 where there is no limit."""

    path: str
    total: int = 0
    free: int = 0
    inodes: int = 0
    inodes_free: int = 0
    fault: str = ""

    @property
    def percent(self) -> float:
        """Space in use in percent, as df shows it."""
        return 100 * (1 - self.free / self.total) if self.total else 0.0

    @property
    def inodes_percent(self) -> float:
        """Inodes in use in percent."""
        return 100 * (1 - self.inodes_free / self.inodes) if self.inodes else 0.0


class LostFacts(msgspec.Struct, frozen=True):
    """Why mailboxes are not where they should be, as the kernel and their folders say; "" where nothing is amiss.

    ``point`` is the mount point of the file system that is not there, "" where ``mailstore.path`` is wrong.
    ``accounts`` is the number of those looked at that this is about.
    """

    reason: str = ""
    point: str = ""
    accounts: int = 0


class LimitFacts(msgspec.Struct, frozen=True):
    """All accounts: the sum of their limits and of their usage in bytes; ``used`` is None where it is not known."""

    accounts: int = 0
    unlimited: int = 0
    total: int = 0
    used: int | None = None


class MaildirFacts(msgspec.Struct, frozen=True):
    """The Maildir of an account. ``fault`` is the reason why its folder ``cur`` can't be read, else empty.

    ``closed`` is the first folder above it that its owner may not enter. ``unreadable``: why its usage can't be known,
    by its owner's own doing.
    """

    address: str
    folder: PathFacts
    fault: str = ""
    closed: PathFacts | None = None
    unreadable: str = ""


class Distrust(msgspec.Struct, frozen=True):
    """A file that root does not use, why, and the command that ends that."""

    path: str
    text: str
    fix: str


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``is_root``: whether the doctor runs as root. ``now`` is in seconds since the epoch, 0 where not known.

    ``mailstore`` is the folder above all mailboxes, ``maildirs`` are a sample of them. ``clock_synchronized`` is None
    where not known. ``fault`` is the reason where these facts could not be gathered, as where a file system hangs.
    ``files`` are by setting: "settings", "accounts.password_file", "control.socket" … ``groups_missing`` are groups of
    the settings that do not exist. ``distrusted`` are settings and templates that root does not use, as others may
    change them. ``systemd``: it runs here; ``installed``: it has a service for mailquota.
    """

    fault: str = ""
    is_root: bool = False
    user: UserFacts | None = None
    now: float = 0.0
    clock_synchronized: bool | None = None
    version: str = ""
    disks: tuple[DiskFacts, ...] = ()
    limits: LimitFacts = LimitFacts()
    mailstore: PathFacts | None = None
    lost: LostFacts = LostFacts()
    maildirs: tuple[MaildirFacts, ...] = ()
    files: dict[str, PathFacts] = {}
    groups_missing: tuple[str, ...] = ()
    distrusted: tuple[Distrust, ...] = ()
    systemd: bool = False
    installed: bool = False
    engine: EngineFacts = EngineFacts()
    state: StateFacts = StateFacts()
    database: DatabaseFacts = DatabaseFacts()
