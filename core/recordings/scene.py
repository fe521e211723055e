"""What was known at a time of a recording: accounts, answers, journal, warnings, status. Pure."""

from __future__ import annotations

from collections import Counter, deque

import msgspec

from ..base.model import AccountRow
from ..control.results import DecisionRow, JournalRow, Refusals, RefusedAccount, Status, WarningRow
from .periods import Period

KEPT_DECISIONS = 500
KEPT_REFUSALS = 20_000
REFUSED = frozenset({"over_quota", "too_large", "bounced"})
_HOUR, _DAY = 3600.0, 86400.0


class Scene:
    """Takes periods in their order. ``take`` has everything but the answers, which come one after the other."""

    def __init__(self) -> None:
        self.rows: dict[str, AccountRow] = {}
        self.status: Status | None = None
        self.decisions: deque[DecisionRow] = deque(maxlen=KEPT_DECISIONS)
        self.refusals: deque[DecisionRow] = deque(maxlen=KEPT_REFUSALS)
        self.journal: dict[int, JournalRow] = {}
        self.warnings: dict[int, WarningRow] = {}
        self.since = 0.0

    def take(self, period: Period) -> tuple[list[AccountRow], list[str]]:
        """Take a period that is over; the rows that it changed, and the addresses of accounts that went."""
        if period.first:
            gone = set(self.rows)
            self.rows = {}
            self.since = self.since or period.start
        else:
            gone = set(period.removed)
            for address in gone:
                self.rows.pop(address, None)
        changed = {row.address: row for row in period.accounts}
        for usage in period.usages:
            known = changed.get(usage.address) or self.rows.get(usage.address)
            if known is not None:
                changed[usage.address] = msgspec.structs.replace(
                    known,
                    used_bytes=usage.used_bytes,
                    messages=usage.messages,
                    measured_at=usage.at,
                    changed_at=usage.at,
                    why="" if usage.used_bytes is not None else known.why,
                )
        self.rows |= changed
        self.status = period.status or self.status
        self.journal |= {row.id: row for row in period.journal}
        self.warnings |= {row.id: row for row in period.warnings}
        return list(changed.values()), [address for address in gone if address not in changed]

    def answer(self, row: DecisionRow) -> None:
        """Take one answer."""
        self.decisions.append(row)
        if row.verdict in REFUSED or row.missed:
            self.refusals.append(row)

    # ---- what clients ask for

    def entries(self, address: str, since: float, most: int) -> list[JournalRow]:
        """Entries of the journal, newest first."""
        rows = (row for row in self.journal.values() if row.at >= since and address in {"", row.address})
        return sorted(rows, key=lambda row: -row.id)[:most]

    def sent(self, address: str, most: int) -> list[WarningRow]:
        """Warnings, newest first."""
        rows = (row for row in self.warnings.values() if address in {"", row.address})
        return sorted(rows, key=lambda row: -row.id)[:most]

    def refusals_of(self, address: str, most: int) -> list[DecisionRow]:
        """The last refusals of one account, newest first."""
        found = (row for row in reversed(self.refusals) if address in row.mailbox.split(", "))
        return [row for row, _number in zip(found, range(most), strict=False)]

    def refused(self, most: int, now: float) -> Refusals:
        """The accounts that were refused most, as far as the recording goes back."""
        day, hour, last = Counter[str](), Counter[str](), dict[str, DecisionRow]()
        for row in self.refusals:
            for address in filter(None, row.mailbox.split(", ")) if row.verdict in REFUSED else ():
                day[address] += row.at > now - _DAY
                hour[address] += row.at > now - _HOUR
                last[address] = row
        accounts = [
            RefusedAccount(address, hour[address], times, last[address].at, last[address].sender)
            for address, times in day.most_common(most)
        ]
        return Refusals(self.since, accounts, len(day))
