"""The ledger: one small record an address, the truth in memory that answers, table and ``explain`` all read.

Only the engine's loop writes it, so nothing here is locked. Totals are kept as records change, never summed, because
the loop that answers Postfix can't afford 100,000 additions. Whoever shows accounts collects ``take_changes``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mailquota.core.base.growth import STANDING, forecast
from mailquota.core.base.model import Account, AccountRow, Level, Trend, level_of
from mailquota.core.mailboxes.mailstore import is_username
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.mailboxes.reservations import Reservations
from mailquota.core.servers.dovecot.folder_names import TrashNames

NEVER = float("-inf")  # by a clock that says nothing of the time of day


class Entry:
    """One mailbox. ``limit`` and ``fault`` as in Account; ``known`` is the last measuring, None before the first.

    Where the limit is none nothing is measured: Dovecot can't tell anything of such a user either.
    """

    __slots__ = (
        "address", "changed_at", "compared_at", "drift", "enabled", "events", "fault", "fresh_until", "held", "known",
        "limit", "mailbox", "measured_at", "refused_at", "sampled_at", "sampled_from", "trend", "trouble", "week",
    )  # fmt: skip

    def __init__(self, account: Account) -> None:
        self.address = account.address
        self.limit = account.limit
        self.enabled = account.enabled
        self.fault = account.fault
        self.mailbox = is_username(account.address)  # false: Dovecot refuses to look such a name up
        self.known: Measurement | None = None
        self.measured_at: float | None = None
        self.refused_at: float | None = None
        self.trouble: str | None = None  # why the mailbox can't be measured now
        self.drift: int | None = None  # bytes that a count found beyond those on record, where they differ
        self.compared_at = NEVER  # when they were compared, by the clock of core/mailboxes/drift.py
        self.trend: Trend | None = None  # from the history
        self.week = ""
        self.changed_at: float | None = None  # when the use was last seen to differ
        self.sampled_from: float | None = None  # when the history first got it, in the life of this engine
        self.sampled_at: float | None = None  # and last
        self.held: Reservations | None = None  # accepted, and not arrived yet
        self.events = 0  # changes that core/policy/watch.py was told of
        self.fresh_until = 0.0  # loop time up to which ``known`` holds without a look; core/policy/watch.py ends it

    @property
    def used(self) -> int | None:
        """Bytes at the last measuring."""
        return self.known.used if self.known is not None else None

    @property
    def level(self) -> Level:
        """How full."""
        return level_of(self.used, self.limit)


class Totals:
    """Sums over all accounts, kept as they change. Bytes."""

    def __init__(self) -> None:
        self.levels = dict.fromkeys(Level, 0)
        self.used = 0
        self.granted = 0
        self.free = 0  # what all limits would still let in
        self.measured = 0

    def add(self, entry: Entry, sign: int) -> None:
        """Count an entry in (1) or, before it changes or goes, out (-1)."""
        used = entry.used
        self.levels[entry.level] += sign
        self.granted += sign * max(0, entry.limit or 0)
        if used is not None:
            self.used += sign * used
            self.measured += sign
        if entry.limit is not None:
            self.free += sign * max(0, entry.limit - (used or 0))


class Differences(NamedTuple):
    """Accounts that are new or changed, and addresses that have none any more."""

    changed: list[Account]
    gone: set[str]


class Ledger:
    """All entries by address. Written on the engine's loop alone."""

    def __init__(self, is_trash: TrashNames) -> None:
        self.entries: dict[str, Entry] = {}
        self.totals = Totals()
        self._is_trash = is_trash
        self.generation = 0  # changes when accounts come, go or are switched on or off
        self._domains: dict[str, int] = {}  # accounts in each
        self.edits = 0  # limits set by us: a read of the database that began before does not know them
        self._changed: dict[str, Entry] = {}
        self._removed: set[str] = set()
        self.unsampled: dict[
            str, Entry
        ] = {}  # figures that the history does not know yet; core/history/sampling.py takes them
        self.unjudged: dict[str, Entry] = {}  # use or limit changed since core/alerts/thresholds.py looked
        self.left: set[str] = set()  # accounts that are gone, for core/alerts/thresholds.py
        self.left_unsampled: set[str] = set()  # and for core/history/sampling.py

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, address: str) -> Entry | None:
        """The entry of a normalised address."""
        return self.entries.get(address)

    def is_mailbox(self, address: str) -> bool:
        """Whether mail can be delivered there."""
        entry = self.entries.get(address)
        return entry is not None and entry.mailbox and entry.enabled

    def is_local(self, domain: str) -> bool:
        """Whether there are accounts in this domain."""
        return domain in self._domains

    def compare(self, accounts: Iterable[Account]) -> Differences:
        """What the accounts database holds otherwise, or not at all. May be called in a thread, while limits change."""
        entries = self.entries
        gone, changed = set(entries), []
        for account in accounts:
            gone.discard(account.address)
            entry = entries.get(account.address)
            if entry is None or _differs(entry, account):
                changed.append(account)
        return Differences(changed, gone)

    def set_accounts(self, accounts: Iterable[Account]) -> None:
        """Take what the accounts database holds now."""
        self.take(self.compare(accounts))

    def take(self, found: Differences) -> None:
        """New ones come, missing ones go, limits change."""
        for account in found.changed:
            self._set_account(account)
        for address in found.gone:
            self.totals.add(self.entries.pop(address), -1)
            self._count_domain(address, -1)
            for waiting in (self._changed, self.unsampled, self.unjudged):
                waiting.pop(address, None)
            self._removed.add(address)
            self.left.add(address)
            self.left_unsampled.add(address)

    def _count_domain(self, address: str, sign: int) -> None:
        self.generation += 1
        domain = address.rpartition("@")[2]
        count = self._domains.get(domain, 0) + sign
        if count:
            self._domains[domain] = count
        else:
            del self._domains[domain]

    def _set_account(self, account: Account) -> None:
        entry = self.entries.get(account.address)
        if entry is None:
            entry = self.entries[account.address] = Entry(account)
            self._removed.discard(account.address)
            self.left_unsampled.discard(account.address)
            self._count_domain(account.address, 1)
        else:
            self._change_account(entry, account)
            return
        self.totals.add(entry, 1)
        self._changed[entry.address] = self.unjudged[entry.address] = entry

    def _change_account(self, entry: Entry, account: Account) -> None:
        self.totals.add(entry, -1)
        self.generation += entry.enabled != account.enabled
        entry.fresh_until = 0.0
        if account.fault:
            entry.known = None
        elif entry.fault:
            entry.trouble = None
        entry.limit, entry.enabled, entry.fault = account.limit, account.enabled, account.fault
        if entry.known is not None and entry.known.stamp:  # a maildirsize of another limit is judged anew
            known = entry.known
            entry.known = Measurement(
                known.used, known.messages, known.source, None, None, known.folders, known.complete
            )
        self.totals.add(entry, 1)
        self._changed[entry.address] = self.unjudged[entry.address] = entry

    def set_limit(self, address: str, limit: int | None) -> None:
        """A limit that was just written to the database, so that it holds before the next read of it."""
        self.edits += 1
        entry = self.entries.get(address)
        if entry is not None and entry.limit != limit:
            self._change_account(entry, Account(address, limit, entry.enabled))

    def set_known(self, entry: Entry, base: Measurement | None, known: Measurement, now: float) -> bool:
        """A figure measured from ``base``; False where the entry is gone or was measured by somebody else meanwhile."""
        old = entry.known
        if old is not base or self.entries.get(entry.address) is not entry:
            return False
        entry.measured_at = known.measured_at or now
        entry.trouble = None
        if old is known:
            return True
        self.totals.add(entry, -1)
        entry.known = known
        self.totals.add(entry, 1)
        entry.fresh_until = 0.0  # who looked for a decision knows better, and says so after this
        if entry.held is not None and old is not None:
            entry.held.arrived(known.used - old.used, known.messages - old.messages)
        if old is None or old.used != known.used or old.messages != known.messages:
            self._changed[entry.address] = self.unsampled[entry.address] = self.unjudged[entry.address] = entry
        elif old.folders is not known.folders:
            self._changed[entry.address] = entry
        return True

    def set_trouble(self, entry: Entry, reason: str) -> None:
        """The mailbox can't be measured: what was known is not known any more."""
        if self.entries.get(entry.address) is not entry:
            return
        if entry.trouble != reason:
            self._changed[entry.address] = entry
        entry.trouble = reason
        entry.fresh_until = 0.0
        if entry.known is not None:
            self.totals.add(entry, -1)
            entry.known = None
            self.totals.add(entry, 1)

    def set_drift(self, entry: Entry, drift: int | None) -> None:
        """What a comparison of the figure on record with a count found; None: they agree, or nothing is known."""
        if entry.drift != drift:
            entry.drift = drift
            self.touch(entry)

    def touch(self, entry: Entry) -> None:
        """Something shown of the entry changed that is no figure."""
        if self.entries.get(entry.address) is entry:
            self._changed[entry.address] = entry

    def row(self, entry: Entry) -> AccountRow:
        """The entry as readers see it."""
        known = entry.known
        if known is None:
            why = entry.fault or entry.trouble or "it has not been measured yet"
            return AccountRow(entry.address, entry.limit, enabled=entry.enabled, refused_at=entry.refused_at, why=why)
        trash = None if known.folders is None else [f for f in known.folders if self._is_trash(f.name)]
        return AccountRow(
            address=entry.address,
            limit_bytes=entry.limit,
            used_bytes=known.used,
            messages=known.messages,
            trash_bytes=None if trash is None else sum(folder.bytes for folder in trash),
            trash_messages=None if trash is None else sum(folder.messages for folder in trash),
            source=known.source,
            measured_at=entry.measured_at,
            enabled=entry.enabled,
            refused_at=entry.refused_at,
            drift_bytes=entry.drift if known.source == "maildirsize" else None,
            growth_bytes_per_day=entry.trend.growth if entry.trend is not None else None,
            days_to_full=_days_to_full(entry),
            week=entry.week,
            changed_at=entry.changed_at,
        )

    def take_changes(self) -> tuple[list[AccountRow], list[str]]:
        """Rows that changed and addresses that went since the last call."""
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, set()
        return [self.row(entry) for entry in changed.values()], list(removed)

    def forget_changes(self) -> None:
        """There is nobody to tell."""
        self._changed.clear()
        self._removed.clear()


def _differs(entry: Entry, account: Account) -> bool:
    return (entry.limit, entry.enabled, entry.fault) != (account.limit, account.enabled, account.fault)


def _days_to_full(entry: Entry) -> float | None:
    if entry.limit is None or entry.used is None:
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING).days
