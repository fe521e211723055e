"""The ledger: one entry for each account, in memory. Answers to Postfix, consoles and ``explain`` all read it.

It is written on the engine's loop alone, so nothing here is locked. Other modules read the fields of an ``Entry``, and
change them only by methods of ``Entry`` and ``Ledger``; tests/test_house.py holds that. Totals are kept as entries
change and never summed anew, as the loop that answers Postfix can't afford 100,000 additions.

Three jobs follow the ledger, and each has a collection of its own of what changed since it last took it: rows for the
consoles (``take_changes``), accounts to be judged for warnings (``take_unjudged``, ``take_gone_unjudged``), and usage
to be written into the history (``take_unsampled``, ``take_gone_unsampled``). What could not be done is put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..base.model import Account, AccountRow, Trend
from ..servers.dovecot.folder_names import TrashNames
from .entry import NEVER, Entry, Totals
from .mailstore import Names
from .measure import Measurement
from .row import account_row
from .unreadable import Unreadable
from .witness_rules import Verdict, limits_of, without_limit, without_usage

__all__ = ["Differences", "Entry", "Ledger", "Totals"]


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
        self.unreadable = Unreadable(self.totals)
        self._is_trash = is_trash
        self.generation = 0  # changes when accounts come, go or are switched on or off
        self._domains: Counter[str] = Counter()  # accounts in each
        self.edits = 0  # limits set by the engine: a read of the database that began before does not have them
        self._changed: dict[str, Entry] = {}
        self._removed: set[str] = set()
        self._unsampled: dict[str, Entry] = {}
        self._unjudged: dict[str, Entry] = {}
        self._gone_unsampled: set[str] = set()
        self._gone_unjudged: set[str] = set()
        self._witnessed = False  # whether Dovecot is asked about accounts
        self._unverified: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def get(self, address: str) -> Entry | None:
        """The entry of a normalised address."""
        return self.entries.get(address)

    def most_messages(self, address: str) -> int | None:
        """The limit of messages of a normalised address; None without one. May be called in any thread."""
        entry = self.entries.get(address)
        return entry.limit_messages if entry is not None else None

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
            if entry is None or entry.differs_from(account):
                changed.append(account)
        return Differences(changed, gone)

    def set_accounts(self, accounts: Iterable[Account]) -> None:
        """Take over all accounts of the database."""
        self.take(self.compare(accounts))

    def take(self, found: Differences) -> None:
        """Add new accounts, remove missing ones, change limits."""
        new = []
        for account in found.changed:
            if (entry := self.entries.get(account.address)) is None:
                new.append(account)
            else:
                self._change_account(entry, account)
        self._add(new)
        for address in found.gone:
            entry = self.entries.pop(address)
            self.totals.add(entry, -1)
            self.unreadable.discard(entry)
            self._names.spell(address, "")
            for waiting in (self._changed, self._unsampled, self._unjudged, self._unverified):
                waiting.pop(address, None)
            self._removed.add(address)
            self._gone_unjudged.add(address)
            self._gone_unsampled.add(address)
        self._domains -= Counter([address.rpartition("@")[2] for address in found.gone])
        self.generation += len(new) + len(found.gone)

    def _add(self, accounts: list[Account]) -> None:
        """All at once, as mail waits for them at a start: what is done for each of 100,000 alone counts."""
        entries = {}
        for account in accounts:
            address, spelled = account.address, account.spelled
            if spelled:
                self._names.spell(address, spelled)
            entry = entries[address] = Entry(account, mailbox=self._names.is_user(address, spelled))
            entry.doubted = self._witnessed
            self.totals.add(entry, 1)
        for waiting in (self.entries, self._changed, self._unjudged, self._unverified):
            waiting.update(entries)
        self._removed -= entries.keys()
        self._gone_unsampled -= entries.keys()
        self._domains += Counter([address.rpartition("@")[2] for address in entries])

    def _change_account(self, entry: Entry, account: Account) -> None:
        self.totals.add(entry, -1)
        self.generation += entry.enabled != account.enabled
        if entry.spelled != account.spelled:  # its mailbox may be at another path now
            entry.spelled, entry.known = account.spelled, None
            self._names.spell(entry.address, entry.spelled)
            self._judge_name(entry)
            self._unverified[entry.address] = entry
        if account.fault:
            entry.known = None
            self.unreadable.discard(entry)
        elif entry.fault:
            entry.trouble = None
        bytes_differ = (entry.database_limit, entry.fault) != (account.limit, account.fault)
        messages_differ = entry.given_messages != account.limit_messages
        if bytes_differ:
            entry.limit = entry.database_limit = account.limit
        if messages_differ:
            entry.limit_messages = entry.given_messages = account.limit_messages
        if bytes_differ or messages_differ:
            entry.verdict = without_limit(entry.verdict)
            self._unverified[entry.address] = entry
        entry.enabled, entry.fault, entry.inbox = account.enabled, account.fault, account.inbox
        self._limits_changed(entry)

    def _limits_changed(self, entry: Entry) -> None:
        """Whether Dovecot believes a maildirsize depends on the limits: without a stamp it is read and judged anew."""
        entry.fresh_until = 0.0
        if entry.known is not None and entry.known.stamp:
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
            self.totals.add(entry, -1)
            entry.verdict = without_usage(entry.verdict)
            self.totals.add(entry, 1)
            entry.doubted = self._witnessed
        self._unverified.update(self.entries)

    def set_limit(self, address: str, limit: int | None) -> None:
        """Set a limit that was just written to the database, so that it holds before the next read of it."""
        self.edits += 1
        entry = self.entries.get(address)
        if entry is not None and entry.database_limit != limit:
            self._change_account(entry, _account(entry, limit, entry.given_messages))

    def give_limit_messages(self, address: str, limit: int | None) -> None:
        """Set a limit of messages that was just written to the database, as ``set_limit`` does one of bytes."""
        self.edits += 1
        entry = self.entries.get(address)
        if entry is not None and entry.given_messages != limit:
            self._change_account(entry, _account(entry, entry.database_limit, limit, entry.fault))

    def set_limit_messages(self, entry: Entry, limit: int | None) -> None:
        """Take the limit of messages that Dovecot itself has for the account, until the database gives another one."""
        if entry.limit_messages != limit and self.entries.get(entry.address) is entry:
            self.totals.add(entry, -1)
            entry.limit_messages = limit
            self._limits_changed(entry)

    def set_known(self, entry: Entry, base: Measurement | None, known: Measurement, now: float) -> bool:
        """Take a new measurement that was made when ``base`` was known; ``now`` in seconds since the epoch.

        False, and nothing changes, where the account is gone, or another thread's measurement, which this one does
        not know of, came first.
        """
        old = entry.known
        if old is not base or self.entries.get(entry.address) is not entry:
            return False
        entry.measured_at, entry.trouble = known.measured_at or now, None
        self.unreadable.discard(entry)
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

    def set_trouble(self, entry: Entry, reason: str, *, unreadable: bool = False) -> None:
        """Forget the usage of a mailbox, for this reason. ``unreadable``: it is so by its owner's doing."""
        if self.entries.get(entry.address) is not entry:
            return
        self.unreadable.note(entry, unreadable=unreadable)
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
        """After a recount: the background check is due, as a delivery meanwhile may have made maildirsize wrong."""
        self.set_drift(entry, None)
        entry.compared_at = NEVER

    def note_refusal(self, entry: Entry, at: float) -> None:
        """Mail for the account was refused at ``at``, in seconds since the epoch."""
        entry.refused_at = at
        if self.entries.get(entry.address) is entry:  # as ``touch``, without a call: many answers may be refusals
            self._changed[entry.address] = entry

    def set_refusals(self, entry: Entry, times: int) -> None:
        """How often mail for the account was refused within the last day."""
        if entry.refused_day != times:
            entry.refused_day = times
            self.touch(entry)

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

    # ---- for Dovecot as the witness (core/mailboxes/witness.py)

    def set_witnessed(self, *, witnessed: bool) -> None:
        """Whether Dovecot is asked about accounts. While it is, a new account is doubted until it was asked about."""
        self._witnessed = witnessed
        for entry in self.entries.values():
            if witnessed and entry.verified_at is None:
                entry.doubted = True
            elif not witnessed and entry.doubted:
                self.end_doubt(entry)

    def take_unverified(self) -> dict[str, Entry]:
        """The accounts that are new, whose limit was edited, or that ``verify_again`` was called for since."""
        taken, self._unverified = self._unverified, {}
        return taken

    def verify_again(self, entry: Entry) -> None:
        """Have Dovecot asked about this account at once, as after a recount."""
        self._unverified[entry.address] = entry

    def doubt(self, entry: Entry) -> None:
        """Dovecot told something else once: until it is asked again no warning and no sample goes by this usage."""
        entry.doubted = True

    def end_doubt(self, entry: Entry) -> None:
        """Its usage serves warnings and the history again."""
        if entry.doubted and self.entries.get(entry.address) is entry:
            entry.doubted = False
            self._unjudged[entry.address] = self._unsampled[entry.address] = entry

    def set_verified(self, entry: Entry, verdict: Verdict | None, at: float) -> None:
        """Dovecot was asked; ``verdict`` where it differs, else None. ``at`` in seconds since the epoch."""
        if self.entries.get(entry.address) is not entry or entry.fault:
            return
        self.totals.add(entry, -1)
        entry.verified_at, entry.verdict = at, verdict
        limit, messages = limits_of(verdict, entry.database_limit, entry.given_messages)
        if entry.limit != limit:
            entry.limit = limit
            self._limits_changed(entry)
        else:
            self.totals.add(entry, 1)
            self._changed[entry.address] = entry
        self.set_limit_messages(entry, messages)
        self.end_doubt(entry)

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
        return account_row(entry, self._is_trash)

    def take_changed(self) -> tuple[dict[str, Entry], set[str]]:
        """The entries that changed, by address, and the addresses whose accounts went, since the last call."""
        changed, self._changed = self._changed, {}
        removed, self._removed = self._removed, set()
        return changed, removed

    def take_changes(self) -> tuple[list[AccountRow], list[str]]:
        """The same, with the rows of the entries."""
        changed, removed = self.take_changed()
        return [self.row(entry) for entry in changed.values()], list(removed)


def _account(entry: Entry, limit: int | None, messages: int | None, fault: str = "") -> Account:
    """The account with limits that were just written."""
    return Account(entry.address, limit, entry.enabled, fault, messages, entry.spelled, entry.inbox)
