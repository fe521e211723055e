"""What is known of this machine and of mailquota itself on it."""

from __future__ import annotations

from typing import Any

import msgspec

from mailquota.core.doctor.paths import PathFacts, UserFacts


class EngineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The engine behind the control socket. ``known`` is false where nobody tried to reach it.

    ``fault`` says why it could not be asked although something is there, as where we may not connect. ``policy`` are
    the settings [policy] that it follows, as far as it says so.
    """

    known: bool = False
    running: bool = False
    fault: str = ""
    version: str = ""
    mode: str = ""
    uptime_seconds: float | None = None
    listen: tuple[str, ...] = ()
    policy: dict[str, Any] = {}


class StateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The state database. ``known`` is false where nobody opened it.

    ``fault`` says why it can't be read, ``write_fault`` why it can't be written. ``schema`` and ``schema_known`` are
    the versions of its tables and the newest that we know, 0 where unknown; ``newest`` is the time of the newest entry
    as seconds since 1970, ``size`` in bytes, each None where unknown.
    """

    known: bool = False
    fault: str = ""
    write_fault: str = ""
    schema: int = 0
    schema_known: int = 0
    newest: float | None = None
    size: int | None = None


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The database of accounts. ``known`` is false where nobody connected.

    ``may_write``: whether the account that edits limits has the right to (None: not known); ``writer`` is its URL,
    without a password. ``table`` and ``column`` hold the limits, and the column takes bytes up to ``column_max``; all
    three empty or None where that is not known. ``limit_faults``: addresses whose limit is none, and why.
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


class DiskFacts(msgspec.Struct, frozen=True):
    """A file system. ``free`` bytes and inodes are those that an ordinary user may take; 0 inodes: it has no limit."""

    path: str
    total: int = 0
    free: int = 0
    inodes: int = 0
    inodes_free: int = 0
    fault: str = ""

    @property
    def percent(self) -> float:
        """Bytes in use, as df shows it."""
        return 100 * (1 - self.free / self.total) if self.total else 0.0

    @property
    def inodes_percent(self) -> float:
        """Inodes in use."""
        return 100 * (1 - self.inodes_free / self.inodes) if self.inodes else 0.0


class LimitFacts(msgspec.Struct, frozen=True):
    """All accounts: ``total`` is the sum of the limits in bytes, ``used`` what all mailboxes hold (None: unknown)."""

    accounts: int = 0
    unlimited: int = 0
    total: int = 0
    used: int | None = None


class MaildirFacts(msgspec.Struct, frozen=True):
    """The Maildir of one account, and whether we could list its folder ``cur``: "" where we could.

    ``closed`` is the first folder above it that its owner may not enter.
    """

    address: str
    folder: PathFacts
    fault: str = ""
    closed: PathFacts | None = None


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``is_root``: whether this process may see everything. ``now`` is seconds since 1970, 0 where nobody looked.

    ``mailstore`` is the folder above all mailboxes, ``maildirs`` a sample of them. ``clock_synchronized`` is None where
    nothing says. ``fault`` says why nobody could look, as where a file system does not answer.
    ``files`` are by setting: "settings", "accounts.password_file", "control.socket" …
    ``systemd``: whether it runs here; ``installed``: whether it has a service of ours.
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
    maildirs: tuple[MaildirFacts, ...] = ()
    files: dict[str, PathFacts] = {}
    groups_missing: tuple[str, ...] = ()
    systemd: bool = False
    installed: bool = False
    engine: EngineFacts = EngineFacts()
    state: StateFacts = StateFacts()
    database: DatabaseFacts = DatabaseFacts()
