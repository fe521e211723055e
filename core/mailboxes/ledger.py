"""The ledger: one record an address, in memory. Answers to Postfix, tables of consoles and ``explain`` all read it.

It is written on the engine's loop alone, so nothing here is locked. Other modules read the fields of an ``Entry``, and
change them only by methods of ``Entry`` and ``Ledger``; tests/test_house.py holds that. Totals are kept as entries
change and never summed anew, as the loop that answers Postfix can't afford 100,000 additions.

Three jobs follow the ledger, and each has a collection of its own of what changed since it last took it: rows for the
consoles (``take_changes``), accounts to be judged for warnings (``take_unjudged``, ``take_gone_unjudged``), and usage
to be written into the history (``take_unsampled``, ``take_gone_unsampled``). What could not be done is put back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..base.growth import STANDING, forecast
from ..base.model import Account, AccountRow, Level, Trend, level_of
from ..servers.dovecot.folder_names import TrashNames
from .mailstore import Names
from .measure import Measurement
from .reservations import Reservations
from .totals import Totals

_NEVER = float("-inf")  # by a clock that says nothing of the time of day


class Entry:
    """One mailbox. ``limit`` and ``fault`` as in Account; ``known`` is the last measurement, None before the first.

    With a ``fault`` the limit in the database is not usable and nothing is measured: Dovecot can't tell the usage of
    such a user either. Times are in seconds since the epoch unless their comment says otherwise.
    """

    __slots__ = (
        "address", "changed_at", "compared_at", "drift", "enabled", "events", "fault", "fresh_until", "held", "known",
        "limit", "mailbox", "measured_at", "refused_at", "sampled_at", "sampled_from", "spelled", "trend", "trouble",
        "week",
    )  # fmt: skip

    def __init__(self, account: Account, *, mailbox: bool = True) -> None:
        self.address = account.address
        self.limit = account.limit
        self.enabled = account.enabled
        self.fault = account.fault
        self.spelled = account.spelled
        self.mailbox = mailbox  # False: Dovecot refuses to look such a name up
        self.known: Measurement | None = None
        self.measured_at: float | None = None
        self.refused_at: float | None = None
        self.trouble: str | None = None  # why the mailbox can't be measured now
        self.drift: int | None = None  # bytes that a count found beyond those in maildirsize, where they differ
        self.compared_at = _NEVER  # when they were compared, by the clock of core/mailboxes/drift.py
        self.trend: Trend | None = None  # from the history
        self.week = ""  # the sparkline of the last seven days, from the history
        self.changed_at: float | None = None  # when the usage was last seen to differ
        self.sampled_from: float | None = None  # when this engine first wrote its usage into the history
        self.sampled_at: float | None = None  # when it last did
        self.held: Reservations | None = None  # accepted mails that have not arrived yet; None: there never was one
        self.events = 0  # changes of its maildirsize that core/policy/watch.py was notified of
        self.fresh_until = 0.0  # loop time up to which an answer may use ``known`` without measuring

    @property
    def used(self) -> int | None:
        """Bytes at the last measurement; None without one."""
        return self.known.used if self.known is not None else None

    @property
    def level(self) -> Level:
        """How full the mailbox is."""
        return level_of(self.used, self.limit)

    # The next four are called while Postfix waits for answers: each is a store or two, and none asks for the time.

    def note_event(self) -> None:
        """The file that is watched changed, so ``known`` does not hold any more."""
        self.events += 1
        self.fresh_until = 0.0

    def keep_fresh(self, until: float) -> None:
        """Let answers use ``known`` without measuring up to ``until``, in loop time."""
        self.fresh_until = until

    def end_freshness(self) -> None:
        """Have the next answer measure: a change may have gone unnoticed."""
        self.fresh_until = 0.0

    def make_reservations(self) -> Reservations:
        """The object for ``held``, made with the first accepted mail: most of 100,000 accounts never need one."""
        self.held = Reservations()
        return self.held


class Differences(NamedTuple):
    """Accounts that are new or changed, and addresses that have no account any more."""

    changed: list[Account]
    gone: set[str]


class Ledger:
    """All entries by address. Written on the engine's loop alone."""

    def __init__(self, is_trash: TrashNames, names: Names | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self._names = names or Names()  # gets the spelling of each account, and says which can have a mailbox
        self.totals = Totals()
        self._is_trash = is_trash
        self.generation = 0  # changes when accounts come, go or are switched on or off
        self._domains: dict[str, int] = {}  # accounts in each
        self.edits = 0  # limits set by the engine: a read of the database that began before does not have them
        self._changed: dict[str, Entry] = {}
        self._removed: set[str] = set()
        self._unsampled: dict[str, Entry] = {}
        self._unjudged: dict[str, Entry] = {}
        self._gone_unsampled: set[str] = set()
        self._gone_unjudged: set[str] = set()

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, address: str) -> Entry | None:
        """The entry of a normalised address."""
        return self.entries.get(address)

    def is_mailbox(self, address: str) -> bool:
        """Whether mail can be delivered there."""
        entry = self.entries.get(address)
        return entry is not None and entry.mailbox and entry.enabled

    def may_be_recipient(self, address: str) -> bool:
        """Whether mail can be sent to an address in this alphabet."""
        return address.isascii() or self._names.utf8

    def is_local(self, domain: str) -> bool:
        """Whether there are accounts in this domain."""
        return domain in self._domains

    def compare(self, accounts: Iterable[Account]) -> Differences:
        """How the accounts database differs from the ledger. May be called in any thread, while limits change."""
        entries = self.entries
        gone, changed = set(entries), []
        for account in accounts:
            gone.discard(account.address)
            entry = entries.get(account.address)
            if entry is None or _differs(entry, account):
                changed.append(account)
        return Differences(changed, gone)

    def set_accounts(self, accounts: Iterable[Account]) -> None:
        """Take over all accounts of the database."""
        self.take(self.compare(accounts))

    def take(self, found: Differences) -> None:
        """Add new accounts, remove missing ones, change limits."""
        for account in found.changed:
            self._set_account(account)
        for address in found.gone:
            self.totals.add(self.entries.pop(address), -1)
            self._count_domain(address, -1)
            self._names.spell(address, "")
            for waiting in (self._changed, self._unsampled, self._unjudged):
                waiting.pop(address, None)
            self._removed.add(address)
            self._gone_unjudged.add(address)
            self._gone_unsampled.add(address)

    def _count_domain(self, address: str, sign: int) -> None:
        self.generation += 1
        domain = address.rpartition("@")[2]
        count = self._domains.pop(domain, 0) + sign
        if count:
            self._domains[domain] = count

    def _set_account(self, account: Account) -> None:
        entry = self.entries.get(account.address)
        if entry is not None:
            self._change_account(entry, account)
            return
        self._names.spell(account.address, account.spelled)
        mailbox = self._names.is_user(account.address, account.spelled)
        entry = self.entries[account.address] = Entry(account, mailbox=mailbox)
        self._removed.discard(account.address)
        self._gone_unsampled.discard(account.address)
        self._count_domain(account.address, 1)
        self.totals.add(entry, 1)
        self._changed[entry.address] = self._unjudged[entry.address] = entry

    def _change_account(self, entry: Entry, account: Account) -> None:
        self.totals.add(entry, -1)
        self.generation += entry.enabled != account.enabled
        entry.fresh_until = 0.0
        if entry.spelled != account.spelled:  # its mailbox may be at another path now
            entry.spelled, entry.known = account.spelled, None
            self._names.spell(entry.address, entry.spelled)
            self._judge_name(entry)
        if account.fault:
            entry.known = None
        elif entry.fault:
            entry.trouble = None
        entry.limit, entry.enabled, entry.fault = account.limit, account.enabled, account.fault
        if entry.known is not None and entry.known.stamp:
            # Whether Dovecot believes a maildirsize depends on the limit: without a stamp it is read and judged anew.
            entry.known = msgspec.structs.replace(entry.known, stamp=None, expires_at=None, measured_at=None)
        self.totals.add(entry, 1)
        self._changed[entry.address] = self._unjudged[entry.address] = entry

    def _judge_name(self, entry: Entry) -> None:
        mailbox = self._names.is_user(entry.address, entry.spelled)
        if mailbox != entry.mailbox:
            entry.mailbox = mailbox
            self.generation += 1

    def measure_anew(self) -> None:
        """Forget all usage and judge all names again: Dovecot counts, or names its users, in another way now."""
        for entry in self.entries.values():
            self._judge_name(entry)
            self.set_trouble(entry, "it is being measured anew")

    def set_limit(self, address: str, limit: int | None) -> None:
        """Set a limit that was just written to the database, so that it holds before the next read of it."""
        self.edits += 1
        entry = self.entries.get(address)
        if entry is not None and entry.limit != limit:
            self._change_account(entry, Account(address, limit, entry.enabled, spelled=entry.spelled))

    def set_known(self, entry: Entry, base: Measurement | None, known: Measurement, now: float) -> bool:
        """Take a new measurement that was made when ``base`` was known; ``now`` in seconds since the epoch.

        False, and nothing changes, where the account is gone, or where another thread's measurement came first: of
        several that go on at once the ledger takes the first, as the others know nothing of it.
        """
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
        entry.fresh_until = 0.0  # core/policy/lookup.py calls keep_fresh after this, where the file is watched
        if entry.held is not None and old is not None:
            entry.held.arrived(known.used - old.used, known.messages - old.messages)
        if old is None or old.used != known.used or old.messages != known.messages:
            self._changed[entry.address] = self._unsampled[entry.address] = self._unjudged[entry.address] = entry
        elif old.folders is not known.folders:
            self._changed[entry.address] = entry
        return True

    def set_trouble(self, entry: Entry, reason: str) -> None:
        """Forget the usage of a mailbox that can't be measured now, and keep the reason."""
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
        """Bytes that a count found beyond those in maildirsize; None: they agree, or nothing is known."""
        if entry.drift != drift:
            entry.drift = drift
            self.touch(entry)

    def note_compared(self, entry: Entry, at: float) -> None:
        """The background check was here at ``at``, by its own clock, whatever it found."""
        entry.compared_at = at

    def forget_drift(self, entry: Entry) -> None:
        """After a recount: no difference is known, and the background check is due.

        It has to compare once more, as a delivery during the recount may have made the new maildirsize wrong.
        """
        self.set_drift(entry, None)
        entry.compared_at = _NEVER

    def note_refusal(self, entry: Entry, at: float) -> None:
        """Mail for the account was refused at ``at``, in seconds since the epoch."""
        entry.refused_at = at
        if self.entries.get(entry.address) is entry:  # as ``touch``, without a call: many answers may be refusals
            self._changed[entry.address] = entry

    def set_trend(self, entry: Entry, trend: Trend | None, week: str) -> None:
        """Growth and sparkline, as the history has them now."""
        if (entry.trend, entry.week) != (trend, week):
            entry.trend, entry.week = trend, week
            self.touch(entry)

    def note_change(self, entry: Entry, at: float | None) -> None:
        """When the usage was last seen to differ, in seconds since the epoch; None: never."""
        entry.changed_at = at
        self.touch(entry)

    def touch(self, entry: Entry) -> None:
        """Have the row of the entry sent to the consoles, unless the account is gone."""
        if self.entries.get(entry.address) is entry:
            self._changed[entry.address] = entry

    # ---- for warnings (core/alerts/thresholds.py)

    def take_unjudged(self) -> dict[str, Entry]:
        """The accounts whose usage or limit changed since the last call, by address."""
        taken, self._unjudged = self._unjudged, {}
        return taken

    def put_back_unjudged(self, entries: dict[str, Entry]) -> None:
        """They could not be judged: the next ``take_unjudged`` has them again, before those that changed meanwhile."""
        self._unjudged = entries | self._unjudged

    def take_gone_unjudged(self) -> set[str]:
        """The addresses whose accounts went since the last call."""
        gone, self._gone_unjudged = self._gone_unjudged, set()
        return gone

    # ---- for the history (core/history/sampling.py)

    def take_unsampled(self) -> dict[str, Entry]:
        """The accounts whose usage changed since the last call, by address."""
        taken, self._unsampled = self._unsampled, {}
        return taken

    def note_sampled(self, entry: Entry, at: float) -> None:
        """The usage was written into the history at ``at``, in seconds since the epoch."""
        entry.sampled_at = at
        entry.sampled_from = min(entry.sampled_from or at, at)  # the clock may have been set back

    def sample_all_anew(self) -> None:
        """The state database is a new one: all accounts are to be written, not only those that change."""
        for entry in self.entries.values():
            entry.sampled_at = entry.sampled_from = None
        self._unsampled.update(self.entries)

    def take_gone_unsampled(self) -> set[str]:
        """The addresses whose accounts went, and did not come back, since the last call."""
        gone, self._gone_unsampled = self._gone_unsampled, set()
        return gone

    def put_back_gone_unsampled(self, addresses: Iterable[str]) -> None:
        """The history is still to be told that these accounts are gone."""
        self._gone_unsampled.update(addresses)

    # ---- for the consoles

    def row(self, entry: Entry) -> AccountRow:
        """The entry as consoles and commands get it."""
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
        """The rows that changed, and the addresses whose accounts went, since the last call."""
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, set()
        return [self.row(entry) for entry in changed.values()], list(removed)

    def forget_changes(self) -> None:
        """Drop what ``take_changes`` would return: no console is connected."""
        self._changed.clear()
        self._removed.clear()


def _differs(entry: Entry, account: Account) -> bool:
    old = (entry.limit, entry.enabled, entry.fault, entry.spelled)
    return old != (account.limit, account.enabled, account.fault, account.spelled)


def _days_to_full(entry: Entry) -> float | None:
    if entry.limit is None or entry.used is None:
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING).days
