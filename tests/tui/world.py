"""A made-up world of accounts and decisions, the same for the same seed."""

from __future__ import annotations

import random

from mailquota.core.base.model import AccountRow, Level, level_of
from mailquota.core.control.results import DatabaseState, DecisionRow, DiskState, Explanation, Folder, Status, Target

GIB = 1 << 30
MIB = 1 << 20
NOW = 1_795_000_000.0
_NAMES = (
    *("john", "anna", "maria", "peter", "sales", "info", "office", "support", "billing", "team", "klaus", "petra"),
    *("jan", "eva", "newsletter", "archive", "postmaster", "webmaster", "hr", "jobs", "press", "contact", "shop"),
    *("orders", "invoices", "noreply", "lisa", "tom", "sophie", "max"),
)
_DOMAINS = ("example.org", "example.com", "example.net", "mail.example.org", "shop.example.com")
_LIMITS = (500 * MIB, GIB, 2 * GIB, 5 * GIB, 5 * GIB, 10 * GIB, 20 * GIB)


FIVE = [
    AccountRow("a@example.org", 100 * MIB, 90 * MIB),
    AccountRow("b@example.org", 100 * MIB, 80 * MIB),
    AccountRow("c@example.net", 100 * MIB, 70 * MIB),
    AccountRow("d@example.net", 100 * MIB, 60 * MIB),
    AccountRow("e@example.net", None, 500 * MIB),
]  # in the order of the screen


def address(number: int) -> str:
    """The address of account ``number``; unique."""
    name = _NAMES[number % len(_NAMES)]
    turn = number // len(_NAMES)
    domain = _DOMAINS[(number + turn) % len(_DOMAINS)]
    return f"{name}{turn or ''}@{domain}"


def account(number: int, rng: random.Random, now: float = NOW) -> AccountRow:
    """One account; a few are over, near, unlimited or unknown, most are not."""
    limit: int | None = rng.choice(_LIMITS)
    share = rng.choice((0.02, 0.1, 0.22, 0.3, 0.45, 0.5, 0.6, 0.7)) * rng.uniform(0.5, 1.1)
    if number % 300 in {0, 17, 40}:
        share = rng.uniform(1.0, 1.08)
    elif number % 60 in {3, 11, 23, 51}:
        share = rng.uniform(0.81, 0.999)
    if number % 29 == 7:
        limit, share = None, rng.uniform(1, 8)
    used: int | None = int(share * (limit if limit is not None else 10 * GIB))
    if number % 53 == 31:
        used = None
    trash = int((used or 0) * rng.uniform(0, 0.3)) if rng.random() < 0.7 else 0
    return AccountRow(
        address=address(number),
        limit_bytes=limit,
        used_bytes=used,
        messages=None if used is None else used // 70_000,
        trash_bytes=None if used is None else trash,
        trash_messages=None if used is None else trash // 70_000,
        source=None if used is None else rng.choice(("maildirsize", "maildirsize", "maildirsize", "scan")),
        measured_at=None if used is None else now - rng.uniform(0, 90),
        enabled=number % 97 != 50,
        refused_at=now - rng.uniform(20, 9000) if share >= 1 and limit is not None else None,
    )


def accounts(count: int, seed: int = 1, now: float = NOW) -> list[AccountRow]:
    """``count`` made-up accounts."""
    rng = random.Random(seed)
    return [account(number, rng, now) for number in range(count)]


def decision(rng: random.Random, rows: list[AccountRow], now: float) -> DecisionRow:
    """One answer; full accounts refuse."""
    row = rng.choice(rows)
    full = level_of(row.used_bytes, row.limit_bytes) is Level.OVER
    alias = rng.random() < 0.2
    return DecisionRow(
        at=now,
        verdict="over_quota" if full else "accept",
        recipient=f"support@{row.domain}" if alias else row.address,
        mailbox=row.address,
        sender=rng.choice(("news@shop.example", "billing@bank.example", "friend@mail.example", "")),
        client=rng.choice(("mx.example.net[192.0.2.7]", "unknown[198.51.100.4]", "out.mail.example[203.0.113.9]")),
        size=rng.choice((0, 4_000, 48_000, 250_000, 9_000_000)),
        micros=rng.randrange(30, 120),
    )


def status(rows: list[AccountRow], **changes: object) -> Status:
    """The status of an engine with these accounts; ``changes`` replaces fields of it."""
    levels = [row.level for row in rows]
    used = sum(row.used_bytes or 0 for row in rows)
    granted = sum(row.limit_bytes or 0 for row in rows)
    values: dict[str, object] = {
        "mode": "enforce",
        "uptime_seconds": 3600.0,
        "requests": 151_200,
        "refused": 3,
        "would_refuse": 0,
        "trouble": 0,
        "malformed": 0,
        "answers_per_second": 42.0,
        "p50_us": 61,
        "p99_us": 910,
        "connections": 27,
        "accounts": len(rows),
        "over": levels.count(Level.OVER),
        "near": levels.count(Level.NEAR) + levels.count(Level.CRITICAL),
        "database": DatabaseState("ok", 1.0),
        "disk": DiskState("/var/vmail", 52 * GIB, 473 * GIB, 89.0),
        "rss_bytes": 38 * MIB,
        "cpu_percent": 1.2,
        "listen": ["unix:/var/spool/postfix/private/mailquota"],
        "refused_last_hour": 3,
        "used_bytes": used,
        "granted_bytes": granted,
        "if_full_bytes": max(0, granted - used),
        "measured": sum(row.used_bytes is not None for row in rows),
        "host": "mail.example.org",
    }
    return Status(**{**values, **changes})  # type: ignore[arg-type]


def explanation() -> Explanation:
    """A full mailbox behind an alias."""
    target = Target(
        "john@example.org", "mailbox", 5 * GIB, 5 * GIB + 200 * MIB, GIB // 2, fits=False, via=["all@example.org"]
    )
    why = "5.2 GiB of 5 GiB are used: at or over its limit nothing is taken, whatever the size."
    return Explanation("info@example.org", 0, [target], "over_quota", "452 4.2.2 Mailbox is full", why)


def folders(row: AccountRow) -> list[Folder]:
    """As a mailbox has them."""
    used, trash = row.used_bytes or 0, row.trash_bytes or 0
    rest = max(0, used - trash)
    return [
        Folder("INBOX", rest // 140_000, rest // 2),
        Folder("Archive/2025", rest // 280_000, rest // 4),
        Folder("Sent", rest // 280_000, rest - rest // 2 - rest // 4),
        Folder("Trash", trash // 70_000, trash, trash=True),
    ]
