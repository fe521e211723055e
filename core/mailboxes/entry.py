"""An entry of the ledger: what is known of one mailbox, and the row that consoles and commands get of it.

Only core/mailboxes/ledger.py changes an entry; others read its fields, and call its methods.
"""

from __future__ import annotations

from ..base.growth import STANDING, forecast
from ..base.model import Account, AccountRow, Level, Trend, level_of
from ..servers.dovecot.folder_names import TrashNames
from .mailstore import is_username
from .measure import Measurement
from .reservations import Reservations

NEVER = float("-inf")  # by a clock that says nothing of the time of day


class Entry:
    """One mailbox. ``limit`` and ``fault`` as in Account; ``known`` is the last measurement, None before the first.

    ``limit_messages`` is in force; ``given_messages`` is the one of the Account, from which Dovecot's own may differ.

    With a ``fault`` the limit in the database is not usable and nothing is measured: Dovecot can't tell the usage of
    such a user either. Times are in seconds since the epoch unless their comment says otherwise.
    """

    __slots__ = (
        "address", "changed_at", "compared_at", "drift", "enabled", "events", "fault", "fresh_until",
        "given_messages", "held", "known", "limit", "limit_messages", "mailbox", "measured_at", "refused_at",
        "sampled_at", "sampled_from", "trend", "trouble", "week",
    )  # fmt: skip

    def __init__(self, account: Account) -> None:
        self.address = account.address
        self.limit = account.limit
        self.limit_messages = self.given_messages = account.limit_messages
        self.enabled = account.enabled
        self.fault = account.fault
        self.mailbox = is_username(account.address)  # False: Dovecot refuses to look such a name up
        self.known: Measurement | None = None
        self.measured_at: float | None = None
        self.refused_at: float | None = None
        self.trouble: str | None = None  # why the mailbox can't be measured now
        self.drift: int | None = None  # bytes that a count found beyond those in maildirsize, where they differ
        self.compared_at = NEVER  # when they were compared, by the clock of core/mailboxes/drift.py
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
        known = self.known
        if known is None:
            return level_of(None, self.limit, None, self.limit_messages)
        return level_of(known.used, self.limit, known.messages, self.limit_messages)

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


def account_row(entry: Entry, is_trash: TrashNames) -> AccountRow:
    """The entry as consoles and commands get it."""
    known = entry.known
    if known is None:
        why = entry.fault or entry.trouble or "it has not been measured yet"
        return AccountRow(
            entry.address,
            entry.limit,
            enabled=entry.enabled,
            refused_at=entry.refused_at,
            why=why,
            limit_messages=entry.limit_messages,
        )
    trash = None if known.folders is None else [f for f in known.folders if is_trash(f.name)]
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
        limit_messages=entry.limit_messages,
    )


def _days_to_full(entry: Entry) -> float | None:
    if entry.limit is None or entry.used is None:
        return None
    return forecast(entry.used, entry.limit, entry.trend or STANDING).days
