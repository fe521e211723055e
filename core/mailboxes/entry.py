"""One account in the ledger (core/mailboxes/ledger.py), and the sums over all of them.

Other modules read the fields of an ``Entry``, and change them only by its methods and those of the ledger.
"""

from __future__ import annotations

from ..base.model import Account, Level, Trend, level_of
from .measure import Measurement
from .reservations import Reservations
from .witness_rules import Verdict

NEVER = float("-inf")  # by a clock that says nothing of the time of day


class Entry:
    """One account: its limit, its state, and what is known of its mailbox.

    ``limit`` is the one that counts: that of the database, or Dovecot's where that was found to be another one. So is
    ``limit_messages``; ``given_messages`` is the one of the Account. ``inbox`` makes of them those of incoming mail.
    ``fault``: why the limit in the database is unusable; then nothing is measured, as Dovecot does not know the usage
    of such a user either. ``trouble``: why the mailbox can't be measured now. ``known``: the last measurement, None
    before the first. Times are in seconds since the epoch unless their comment says otherwise.
    """

    __slots__ = (
        "address", "changed_at", "compared_at", "database_limit", "doubted", "drift", "enabled", "events", "fault",
        "fresh_until", "given_messages", "held", "inbox", "known", "limit", "limit_messages", "mailbox", "measured_at",
        "refused_at", "refused_day", "sampled_at", "sampled_from", "spelled", "trend", "trouble", "verdict",
        "verified_at", "week",
    )  # fmt: skip

    def __init__(self, account: Account, *, mailbox: bool = True) -> None:
        self.address = account.address
        self.limit = self.database_limit = account.limit
        self.limit_messages = self.given_messages = account.limit_messages
        self.enabled = account.enabled
        self.fault = account.fault
        self.spelled = account.spelled
        self.inbox = account.inbox
        self.mailbox = mailbox  # False: Dovecot refuses to look such a name up
        self.known: Measurement | None = None
        self.measured_at: float | None = None
        self.refused_at: float | None = None
        self.refused_day = 0  # how often mail for it was refused within the last day
        self.trouble: str | None = None  # why the mailbox can't be measured now
        self.drift: int | None = None  # bytes that a count found beyond those in maildirsize, where they differ
        self.compared_at = NEVER  # when they were compared, by the clock of core/mailboxes/drift.py
        self.verified_at: float | None = None  # when Dovecot was last asked (core/mailboxes/witness.py)
        self.verdict: Verdict | None = None  # what Dovecot told, where it differed
        self.doubted = False  # a difference is not confirmed yet: no warning and no sample by this usage
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
    def messages(self) -> int | None:
        """The number of messages at the last measurement; None without one."""
        return self.known.messages if self.known is not None else None

    @property
    def limited(self) -> bool:
        """Whether there is a limit, of bytes or of messages."""
        return self.limit is not None or self.limit_messages is not None

    @property
    def level(self) -> Level:
        """How full the mailbox is."""
        return level_of(self.used, self.limit, self.messages, self.limit_messages)

    def differs_from(self, account: Account) -> bool:
        """Whether the accounts database has something else now."""
        limits = self.database_limit, self.given_messages, self.inbox
        had = self.enabled, self.fault, self.spelled
        return (*limits, *had) != (
            account.limit, account.limit_messages, account.inbox, account.enabled, account.fault, account.spelled
        )  # fmt: skip

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


class Totals:
    """Sums over all accounts, kept as they change. Bytes."""

    def __init__(self) -> None:
        self.levels = dict.fromkeys(Level, 0)
        self.used = 0
        self.granted = 0  # the sum of all limits
        self.free = 0  # what all limits leave
        self.measured = 0  # accounts with a known usage
        self.verified = 0  # accounts that Dovecot was asked about
        self.differing = 0  # of which Dovecot told something else

    def add(self, entry: Entry, sign: int) -> None:
        """Add an entry (``sign`` 1), or take it out (-1), which has to be done before it changes or goes."""
        known, limit = entry.known, entry.limit
        used, messages = (None, None) if known is None else (known.used, known.messages)
        self.levels[level_of(used, limit, messages, entry.limit_messages)] += sign
        self.verified += sign * (entry.verified_at is not None)
        self.differing += sign * (entry.verdict is not None)
        if used is not None:
            self.used += sign * used
            self.measured += sign
        if limit is not None and limit > 0:
            self.granted += sign * limit
            self.free += sign * max(0, limit - (used or 0))
