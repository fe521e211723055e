"""Recordings that were never recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mailquota.core.base.model import AccountRow
from mailquota.core.control.results import DatabaseState, DecisionRow, DiskState, JournalRow, Status, WarningRow
from mailquota.core.recordings.periods import Period
from mailquota.core.recordings.writing import Limits, Writer

MIB = 1024 * 1024
NIGHT = 1_700_000_000.0  # seconds since the epoch
JOHN, ANNA = "john@example.org", "anna@example.com"
ROOMY = Limits(500 * MIB, 7 * 86400.0)
STATUS = Status(
    mode="enforce", uptime_seconds=1.0, requests=7, refused=1, would_refuse=0, trouble=0, malformed=0,
    answers_per_second=0.5, p50_us=60, p99_us=900, connections=2, accounts=2, over=0, near=1,
    database=DatabaseState("ok", 0.0), disk=DiskState("/var/vmail", 1 << 30, 1 << 40, 99.9), rss_bytes=1,
    cpu_percent=0.0, listen=[], host="mx.example.org",
)  # fmt: skip


def row(address: str, used: int | None, **more: Any) -> AccountRow:
    """A mailbox of 100 MiB."""
    return AccountRow(address, 100 * MIB, used, 3, measured_at=NIGHT, week="0123456", source="scan", **more)


def answer(at: float, address: str = JOHN, verdict: str = "accept") -> DecisionRow:
    """One answered request."""
    return DecisionRow(at, verdict, address, address, "billing@shop.example", "mx.shop.example", 4711, 61)


def entry(number: int, at: float, address: str = JOHN) -> JournalRow:
    """An edit of a limit."""
    return JournalRow(number, at, "root", "", "limit", address, "1000", "2000", "ticket 4711", None, None)


def warning(number: int, at: float, state: str = "sent") -> WarningRow:
    """A warning."""
    return WarningRow(number, at, JOHN, "80%", 81.0, 81 * MIB, 100 * MIB, state, "state")


def night(periods: int = 6, start: float = NIGHT) -> list[Period]:
    """Of ten seconds each: John's mailbox grows, one mail for him is refused in each, and once something is changed."""
    table = [row(JOHN, 81 * MIB), row(ANNA, None, why="it has not been measured yet")]
    made = [Period(start=start, end=start + 10, whole=True, first=True, status=STATUS, accounts=table)]
    for number in range(1, periods):
        begin = start + 10 * number
        made.append(
            Period(
                start=begin,
                end=begin + 10,
                status=STATUS,
                decisions=[answer(begin + 2), answer(begin + 5, verdict="over_quota")],
                accounts=[row(JOHN, (81 + number) * MIB)],
                journal=[entry(1, begin)] if number == 2 else [],
                warnings=[warning(1, begin)] if number == 3 else [],
            )
        )
    return made


def write(folder: Path, periods: Iterable[Period], **how: Any) -> Path:
    """The file of these periods, in its folder."""
    writer = Writer(str(folder), **{"now": lambda: NIGHT, "free_bytes": 0, **how})
    before = set(os.listdir(folder)) if folder.exists() else set()
    for period in periods:
        writer.write(period, ROOMY)
    writer.close()
    (name,) = set(os.listdir(folder)) - before
    return folder / name
