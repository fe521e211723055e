"""What a made-up world looks back on: use of months, warnings, a journal; the same for the same seed."""

from __future__ import annotations

import random

import msgspec

from mailquota.core.base.growth import forecast
from mailquota.core.base.model import AccountRow, Level, Point, Trend
from mailquota.core.control.contents import FolderContents, MessageSize, RecentSum, YearSum
from mailquota.core.control.results import (
    DecisionRow,
    Details,
    Folder,
    JournalRow,
    Preview,
    WarningRow,
)
from mailquota.core.doctor.model import Finding
from tests.tui import world
from tests.tui.world import GIB, MIB, NOW

DAY = 86400.0
PREVIEW = Preview(
    "Your mailbox is 95 % full",
    "Dear John,\n\nyour mailbox john@example.org holds 4.8 GiB of 5 GiB.\n\nEmpty your Trash: 2.1 GiB lie there.\n",
    "<p>Dear John</p>",
    "en",
)

CALM = {  # as the doctor says it
    "policy-service-listed": "smtpd_recipient_restrictions asks unix:private/mailquota",
    "policy-socket": "unix:/var/spool/postfix/private/mailquota: in place",
    "quota-plugin": "mail_plugins has quota",
    "quota-driver": "quota driver maildir by doveconf; the engine measures by maildir",
    "imap-quota": "imap_quota is loaded in protocol imap alone",
    "user-listing": "Dovecot lists 61 users, the accounts database has 61",
    "trash-folder": "special_use = \\Trash: Trash",
    "disk-space": "/var/vmail: 52 GiB free",
    "clock": "the clock says 2026-11-30 17:47 UTC, kept by NTP",
    "relay-control": "relaying is controlled in smtpd_relay_restrictions",
    "state-database": "sqlite:////var/lib/mailquota/state.db, 41 MiB",
}


def grown(row: AccountRow, seed: int = 1) -> AccountRow:
    """With the columns that come from a history."""
    rng = random.Random(f"{seed} {row.address}")
    if row.used_bytes is None:
        return row
    growth = int(row.used_bytes * rng.choice((-0.002, 0.0, 0.001, 0.002, 0.004, 0.008)))
    free = (row.limit_bytes or 0) - row.used_bytes
    days = free / growth if growth > 0 and row.limit_bytes is not None else None
    last = rng.choice((1, 2, 4, 5, 6, 7))
    slope = 0 if not growth else 1 if growth > 0 else -1
    heights = [max(0, min(7, last - slope * (6 - day) * rng.choice((0, 1, 1)))) for day in range(7)]
    return msgspec.structs.replace(
        row,
        growth_bytes_per_day=growth,
        days_to_full=None if days is None or days > 3650 else max(0.0, days),
        week="".join(map(str, heights)),
        changed_at=NOW - rng.uniform(60, 9e5),
    )


DOMAINS = (
    *("example.org", "example.com", "example.net", "bakery.example", "shop.example", "school.example", "club.example"),
    *("museum.example", "printing.example", "garage.example", "dentist.example", "choir.example", "farm.example"),
)
JOHN = AccountRow(
    "john@example.org", 5 * GIB, int(4.42 * GIB), 18_201, int(1.3 * GIB), 2214, "maildirsize", NOW - 3,
    growth_bytes_per_day=48 * MIB, days_to_full=12.4, week="1233567", changed_at=NOW - 60,
)  # fmt: skip


def hosting(now: float = NOW) -> list[AccountRow]:
    """Sixty accounts in many domains, and John."""
    rng = random.Random(1)
    rows = [
        msgspec.structs.replace(row, address=f"{row.address.partition('@')[0]}@{rng.choice(DOMAINS)}")
        for row in accounts(60, now)
    ]
    return [row for row in rows if row.address != JOHN.address] + [msgspec.structs.replace(JOHN, measured_at=now - 3)]


def accounts(count: int, now: float = NOW) -> list[AccountRow]:
    """A world that was watched for long."""
    return [grown(row) for row in world.accounts(count, now=now)]


def points(used: int, growth: int, now: float = NOW, days: int = 400, seed: int = 1) -> list[Point]:
    """Up to ``used``, by steps and a few clean-ups."""
    rng, found, size, at = random.Random(seed), [], float(used), now - 600
    while at > now - days * DAY:
        found.append(Point(at, max(0, int(size)), max(0, int(size)) // 70_000))
        step = rng.uniform(0.3, 1.2)
        at -= step * DAY
        size -= growth * step * rng.uniform(-0.4, 2.4)
        if rng.random() < 0.03:
            size += growth * rng.uniform(5, 14)
    return found[::-1]


def folders(row: AccountRow) -> list[Folder]:
    """As those have them who keep everything."""
    shares = {
        "INBOX": 34,
        "Archive/2025": 20,
        "Archive/2024": 11,
        "Archive": 1,
        "Sent": 22,
        "Projects/House": 8,
        "Junk": 4,
    }
    rest = max(0, (row.used_bytes or 0) - (row.trash_bytes or 0))
    found = [Folder(name, rest * share // 100 // 140_000, rest * share // 100) for name, share in shares.items()]
    return [*found, Folder("Trash", row.trash_messages or 0, row.trash_bytes or 0, trash=True)]


def contents(row: AccountRow, name: str, now: float = NOW) -> FolderContents:
    """What is in a folder of ``folders``: messages of some years, a few of them large."""
    rng = random.Random(f"{row.address} {name}")
    found = next((folder for folder in folders(row) if folder.name == name), Folder(name, 3, row.used_bytes or 0))
    years, left, messages = [], found.bytes, found.messages
    for year in range(2026, 2019, -1):
        part = left * rng.randint(25, 60) // 100 if year > 2020 else left
        count = messages * rng.randint(25, 60) // 100 if year > 2020 else messages
        years.append(YearSum(year, count, part))
        left, messages = left - part, messages - count
    sizes = sorted((min(found.bytes, int(MIB * 25 / (1 + place / 3))) for place in range(20)), reverse=True)
    largest = [MessageSize(size, now - rng.uniform(0.2, 2000) * DAY) for size in sizes if found.messages]
    recent = [RecentSum(days, found.messages * days // 800, found.bytes // 800 * days // 2) for days in (1, 7, 30)]
    return FolderContents(
        row.address, name, found.messages, found.bytes, now - 2100 * DAY if found.messages else None,
        now - 3600 if found.messages else None, largest, years if found.messages else [], recent, trash=found.trash,
    )  # fmt: skip


def details(row: AccountRow, now: float = NOW) -> Details:
    """A card with everything on it."""
    used, growth = row.used_bytes or 0, row.growth_bytes_per_day or (row.used_bytes or 0) // 110
    trend = Trend(growth, *sorted((int(growth * 0.6), int(growth * 1.35))))
    limit = row.limit_bytes
    limits: list[tuple[float, int | None]] = [(now - 300 * DAY, limit), (now - 24 * DAY, limit)]
    if limit is not None:
        limits[0] = (now - 300 * DAY, limit * 3 // 5)
    refused = [
        DecisionRow(now - age, "over_quota", row.address, row.address, sender, "mx.example.net[192.0.2.7]", size, 61)
        for age, sender, size in (
            (200, "billing@shop.example", 48_000), (4000, "m.keller@prizes.example", 0), (90_000, "", 3_500_000),
        )
    ]  # fmt: skip
    return Details(
        row,
        folders(row),
        [f"info@{row.domain}", f"support@{row.domain}", "all@example.com"],
        refused if row.level is Level.OVER else [],
        [each for each in journal(now) if each.address == "john@example.org"],
        warnings=[msgspec.structs.replace(each, address=row.address) for each in warnings(now)[2:6]],
        points=points(used, growth, now),
        limits=limits,
        trend=trend,
        forecast=None if limit is None else forecast(used, limit, trend),
    )


def warnings(now: float = NOW) -> list[WarningRow]:
    """Of every state, newest first."""
    full = (96.2, int(4.81 * GIB), 5 * GIB)
    return [
        WarningRow(9, now - 20, "sales@example.com", "95%", 95.4, int(19.1 * GIB), 20 * GIB, "queued", "state",
                   next_try=now + 240),
        WarningRow(8, now - 90, "info@example.net", "80%", 82.1, 821 * MIB, GIB, "queued", "state", 1, now + 30,
                   error="dovecot-lda: 4.2.0 temporary failure"),
        WarningRow(7, now - 400, "john@example.org", "95%", *full, "sent", "state", 1, None, now - 380, "dovecot-lda"),
        WarningRow(6, now - 5000, "maria@example.net", "100%", 101.0, 2 * GIB, 2 * GIB, "failed", "dovecot", 5, None,
                   None, None, "no such mailbox directory"),
        WarningRow(5, now - 90_000, "john@example.org", "80%", 81.0, 4 * GIB, 5 * GIB, "sent", "state", 1, None,
                   now - 89_990, "dovecot-lda"),
        WarningRow(4, now - 200_000, "anna@example.org", "below", 61.0, 3 * GIB, 5 * GIB, "sent", "state", 1, None,
                   now - 199_000, "dovecot-lda"),
        WarningRow(3, now - 300_000, "peter@example.org", "50M", 97.0, 490 * MIB, 540 * MIB, "sent", "operator", 1,
                   None, now - 300_000, "maildir"),
        WarningRow(2, now - 700_000, "old@example.org", "80%", 80.5, GIB, GIB, "dropped", "state",
                   error="the account is gone"),
        WarningRow(1, now - 800_000, "max@example.org", "test", None, None, GIB, "sent", "operator", 1, None,
                   now - 800_000, "sendmail"),
    ]  # fmt: skip


def journal(now: float = NOW) -> list[JournalRow]:
    """Of every kind, newest first."""
    john, five, ten = "john@example.org", str(5 * GIB), str(10 * GIB)
    return [
        JournalRow(14, now - 60, "root", "console", "limit", john, five, ten, "moves house, back on Friday",
                   now + 4 * DAY, None),
        JournalRow(13, now - 900, "mailquota", "", "warning", john, None, "95%", "dovecot-lda", None, None),
        JournalRow(12, now - 3600, "root", "sudo from anna", "trash", "sales@example.com", None, "412 messages",
                   "older than 30 days", None, None),
        JournalRow(11, now - 7200, "root", "console", "limit", john, str(20 * GIB), five, "", None, 10),
        JournalRow(10, now - 7300, "root", "console", "limit", john, five, str(20 * GIB), "a slip of the hand", None,
                   None),
        JournalRow(9, now - 30_000, "mailquota", "", "jump", "info@example.net", str(300 * MIB), str(821 * MIB),
                   "521 MiB within an hour", None, None),
        JournalRow(8, now - 90_000, "anna", "ssh 192.0.2.9", "recalc", "maria@example.net", str(2 * GIB + 5),
                   str(2 * GIB), "", None, None),
        JournalRow(7, now - 90_500, "mailquota", "", "start", "", None, None, "0.1.0, enforce", None, None),
        JournalRow(6, now - 90_600, "mailquota", "", "stop", "", None, None, "SIGTERM", None, None),
        JournalRow(5, now - 4 * DAY, "mailquota", "", "limit", "peter@example.org", str(2 * GIB), str(GIB),
                   "the temporary limit ended", None, 4),
        JournalRow(4, now - 9 * DAY, "root", "console", "limit", "peter@example.org", str(GIB), str(2 * GIB),
                   "until his archive is moved", now - 4 * DAY, None),
        JournalRow(3, now - 40 * DAY, "root", "console", "limit", "anna@example.org", "unlimited", five, "", None,
                   None),
    ]  # fmt: skip


def findings() -> list[Finding]:
    """Of a server with some faults, as the doctor gives them: in the order of its checks."""
    docs = "docs/checks.md#"
    return [
        Finding(
            "policy-service-default-action",
            "warn",
            "smtpd_recipient_restrictions asks unix:private/mailquota without default_action",
            "While mailquota is stopped Postfix answers every recipient with 451: mail waits at the senders.",
            "postconf -e 'smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service "
            "{ unix:private/mailquota, timeout=10s, default_action=DUNNO }'\npostfix reload",
            f"{docs}policy-service-default-action",
        ),
        Finding(
            "quota-plugin-lmtp",
            "fail",
            "protocol lmtp has mail_plugins of its own without quota: sieve",
            "Without the plugin, mail that Postfix delivers by LMTP is neither counted nor refused, whatever the limit"
            " is.",
            "cat >> /etc/dovecot/local.conf <<'EOF'\nprotocol lmtp {\n  mail_plugins = quota sieve\n}\nEOF\n"
            "doveadm reload",
            f"{docs}quota-plugin-lmtp",
        ),
        Finding(
            "quota-limits",
            "skip",
            "the limits that Dovecot sees: /etc/dovecot/dovecot-sql.conf.ext can't be read: Permission denied",
            "Dovecot and mailquota would enforce different limits.",
            "# run it as root: sudo mailquota doctor",
            f"{docs}quota-limits",
        ),
        *(Finding(name, "ok", found, "", "", docs) for name, found in CALM.items()),
    ]
