"""Answers to policy requests, over real sockets and from real Maildirs."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from mailquota.core.base.inbox_rule import InboxRule
from mailquota.core.base.model import Account
from mailquota.core.base.units import parse_grace
from tests.core.enforcing import FITS, FULL, LARGE, NOBODY, NOT_OURS, TROUBLE, Desk, Open, furnish
from tests.core.policy.clients import request

# recipient, size, state, answer
ROWS: list[tuple[str | None, int | str | None, str | None, str]] = [
    ("half@example.org", None, "RCPT", FITS),
    ("half@example.org", 4500, "RCPT", FITS),
    ("half@example.org", 4501, "RCPT", FULL),
    ("half@example.org", 5001, "RCPT", LARGE),
    ("half@example.org", "18446744073709551616", "RCPT", FITS),
    ("half@example.org", "abc", "RCPT", FITS),
    ("full@example.org", None, "RCPT", FULL),
    ("full@example.org", 5001, "RCPT", LARGE),
    ("over@example.org", 0, "RCPT", FULL),
    ("over@example.org", 0, "rcpt", FULL),
    ("over@example.org", 0, None, FULL),
    ("over+tag@example.org", 0, "RCPT", FULL),
    ("OVER@EXAMPLE.ORG", 0, "RCPT", FULL),
    ('"over"@example.org', 0, "RCPT", FULL),
    ("<over@example.org>", 0, "RCPT", FULL),
    ("over@example.org", 1, "END-OF-MESSAGE", FULL),
    ("half@example.org", 4500, "END-OF-MESSAGE", FITS),
    ("half@example.org", 4501, "end-of-message", FULL),
    ("", 4501, "END-OF-MESSAGE", NOT_OURS),
    (None, 4501, "END-OF-MESSAGE", NOT_OURS),
    *[("over@example.org", 0, state, NOT_OURS) for state in ("CONNECT", "EHLO", "MAIL", "DATA", "VRFY", "ETRN")],
    ("over@example.org", 0, "", NOT_OURS),
    ("", 0, "RCPT", NOT_OURS),
    (None, 0, "RCPT", NOT_OURS),
    ("over@example.org ", 0, "RCPT", NOT_OURS),
    ("ov\x1ber@example.org", 0, "RCPT", NOT_OURS),
    ("över@example.org", 0, "RCPT", NOT_OURS),
    ("counted@example.org", 501, "RCPT", FITS),
    ("counted@example.org", 502, "RCPT", FULL),
    ("new@example.org", 5500, "RCPT", FITS),
    ("new@example.org", 5501, "RCPT", LARGE),
    ("free@example.org", 10**12, "RCPT", FITS),
    ("postmaster@example.org", 10**12, "RCPT", FITS),
    ("most@example.org", 0, "RCPT", FULL),
    ("most@example.org", 5001, "RCPT", LARGE),
    ("more@example.org", 4500, "RCPT", FITS),
    ("more@example.org", 4501, "RCPT", FULL),
    ("only@example.org", 10**12, "RCPT", FULL),
    ("some@example.org", 10**12, "RCPT", FITS),
    ("nobody@example.org", 0, "RCPT", NOBODY),
    ("nobody@elsewhere.example", 0, "RCPT", FITS),
    ("over", 0, "RCPT", NOBODY),
    ("@example.org", 0, "RCPT", NOBODY),
    ("../over@example.org", 0, "RCPT", NOBODY),
    ("o'hara@example.org", 0, "RCPT", NOBODY),  # Dovecot takes no such user name
    ("off@example.org", 0, "RCPT", NOBODY),
    ("a" * 2000 + "@example.org", 0, "RCPT", NOBODY),
    ("a" * 2100 + "@example.org", 0, "RCPT", TROUBLE),  # longer than any line that Postfix reads
    ("a" * 2100 + "@example.org", 0, "DATA", NOT_OURS),
]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_answers(desk: Open, loop: str) -> None:
    """Each row over one connection, then all of them in one write: the same answers in the same order."""
    expected = [row[3] for row in ROWS]

    async def work(table: Desk) -> None:
        furnish(table)
        client = await table.connect()
        assert [await client.ask(*row[:3]) for row in ROWS] == expected
        client.send(*(request(*row[:3]) for row in ROWS))
        assert [await client.answer() for _ in ROWS] == expected
        assert table.metrics.requests == table.decisions.count == 2 * len(ROWS)
        assert table.metrics.refused == 2 * sum(answer in {FULL, LARGE} for answer in expected)
        assert table.metrics.trouble == 2 * expected.count(TROUBLE)
        assert (table.metrics.malformed, table.metrics.would_refuse) == (0, 0)

    desk(work, loop)


def test_odd_requests(desk: Open) -> None:
    """Duplicates, missing and strange lines, as Dovecot reads them."""
    over = "recipient=over@example.org\n"
    rows = {
        f"{over}recipient=nobody@x\n\n": FULL,
        f"recipient=\n{over}\n": NOT_OURS,
        f"{over}\n": FULL,
        f"request=junk\n{over}\n": FULL,
        f"=value\n{over}\n": FULL,
        f"x={'y' * 60_000}\n{over}\n": FULL,
        f"hello\n{over}\n": FULL,
        "\n": NOT_OURS,
        "request=junk\n\n": NOT_OURS,
        f"{over}protocol_state=END-OF-MESSAGE\nrecipient_count=1\n\n": FULL,
        f"{over}protocol_state=END-OF-MESSAGE\nrecipient_count=2\n\n": NOT_OURS,
        f"{over}protocol_state=RCPT\nrecipient_count=2\n\n": FULL,
        f"{over}\n".replace("\n", "\r\n"): FULL,
        "recipient=half@example.org\nsize=1\nsize=4501\n\n": FULL,
    }

    async def work(table: Desk) -> None:
        furnish(table)
        client = await table.connect()
        for text, expected in rows.items():
            client.send(text.encode())
            assert await client.answer() == expected

    desk(work)


@pytest.mark.parametrize("text", ["hello\n\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0\xff\n\n"])
def test_what_is_no_request_ends_its_connection(desk: Open, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """With a log line, counted; and the others go on."""

    async def work(table: Desk) -> None:
        furnish(table)
        other, client, busy = [await table.connect() for _ in range(3)]
        client.send(text.encode("latin-1"))
        assert await client.ended()
        busy.send(request("over@example.org"), text.encode("latin-1"), request("over@example.org"))
        assert await busy.answer() == FULL
        assert await busy.ended()
        assert await other.ask("over@example.org") == FULL
        assert (table.metrics.malformed, table.metrics.requests) == (2, 2)

    desk(work)
    assert caplog.text.count("what it sent is no policy request") == 2


def test_spellings_from_outside_take_little_memory(desk: Open) -> None:
    """What is remembered of them is bounded, in number and in length."""

    async def work(table: Desk) -> None:
        table.add("john", 0)
        client = await table.connect()
        for number in range(50):
            for length in (100, 1500):
                assert await client.ask(f"john+{'x' * length}{number}@example.org", 9000) == LARGE
        router = table.enforcer.router
        assert len(router._plain) == len(router._resolver._cache) == 50
        assert max(map(len, router._plain)) <= 320

    desk(work)


def test_no_size_is_kept(desk: Open) -> None:
    """A request without a size is one of no size, also after one that was refused for its."""

    async def work(table: Desk) -> None:
        table.add("half", 1000)
        client = await table.connect()
        assert await client.ask("half@example.org", 10**9) == LARGE
        assert await client.ask("half@example.org") == FITS
        assert await client.ask("half@example.org", 10**9, "DATA") == NOT_OURS
        assert await client.ask("half@example.org") == FITS

    desk(work)


@pytest.mark.parametrize("file", [True, False])
def test_the_next_answer_knows_a_delivery(desk: Open, file: bool) -> None:
    """Mail by mail, with maildirsize and without."""

    async def work(table: Desk) -> None:
        box = table.add("john", 4000, file=file)
        for _ in range(3):
            assert await table.ask("john", 500) == FITS
            if file:
                box.deliver(300)
            else:
                box.put(300, "new")
        assert await table.ask("john", 600) == FITS
        assert await table.ask("john", 601) == FULL
        next((box.path / "cur").iterdir()).unlink()
        if file:
            box.append(-4000, -1)
        assert await table.ask("john", 4600) == FITS

    desk(work)


def test_a_new_limit_and_a_lost_account(desk: Open) -> None:
    """A new limit or usage in the ledger counts from the next request on."""

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        assert await table.ask("john") == FULL
        table.ledger.set_limit("john@example.org", 6000)
        assert await table.ask("john") == FITS
        table.ledger.set_limit("john@example.org", None)
        assert await table.ask("john", 10**9) == FITS
        table.ledger.set_accounts([Account("jane@example.org", 1)])
        assert await table.ask("john") == NOBODY

    desk(work)


def test_shadow(desk: Open) -> None:
    """Requests are decided and counted, and each answer is DUNNO."""

    async def work(table: Desk) -> None:
        furnish(table)
        table.change(shadow=True)
        client = await table.connect()
        assert {await client.ask(*row[:3]) for row in ROWS} == {"DUNNO"}
        assert table.metrics.refused == 0
        assert table.metrics.would_refuse == sum(row[3] in {FULL, LARGE} for row in ROWS)
        explained = await table.enforcer.explain("over@example.org", 0)
        assert (explained.verdict, explained.action) == ("over_quota", "DUNNO")
        table.change(shadow=False)
        assert await client.ask("over@example.org") == FULL

    desk(work)


def test_other_rules_hold_at_once(desk: Open) -> None:
    """Grace and delimiters of new settings."""

    async def work(table: Desk) -> None:
        table.add("half", 1000)
        table.change(grace=parse_grace("0"), delimiters="-")
        assert await table.ask("half-tag", 4000) == FITS
        assert await table.ask("half", 4001) == FULL
        assert await table.ask("half+tag") == NOBODY

    desk(work)


INBOX_RULES = {
    "raised": InboxRule(percent=20),
    "lowered": InboxRule(added=-4000),
    "ignored": InboxRule(ignore=True),
    "counted": InboxRule(added_messages=-1),
}


def test_rules_for_inbox(desk: Open) -> None:
    """Usage and limit stay what they are; what comes in may need more or less. The grace is that of the limit."""

    async def work(table: Desk) -> None:
        for name, rule in INBOX_RULES.items():
            table.add(name, 1000, most=2 if name == "counted" else None)
            address = f"{name}@example.org"
            table.accounts[address] = msgspec.structs.replace(table.accounts[address], inbox=rule)
        table.read()
        for name, size, answer in [
            ("raised", 5500, FITS), ("raised", 5501, FULL), ("raised", 6001, LARGE),
            ("lowered", 0, FULL), ("lowered", 1001, LARGE),
            ("ignored", 10**9, FITS),
            ("counted", 0, FULL),
        ]:  # fmt: skip
            assert await table.ask(name, size) == answer, (name, size)
            assert await table.ask(name, size) == answer, (name, size)  # from what is fresh
        assert table.entry("raised").limit == 5000
        explained = await table.enforcer.explain("raised@example.org", 5501)
        assert "of 5.9 KiB (6,000 bytes)" in explained.why
        assert explained.why.endswith(
            "The limit is the one that Dovecot's settings for INBOX give to mail that comes in."
        )
        ignored = await table.enforcer.explain("ignored@example.org", 5501)
        assert ignored.why == "By Dovecot's settings for INBOX no limit counts for mail that comes in."
        table.accounts["raised@example.org"] = Account("raised@example.org", 5000)
        table.read()
        assert await table.ask("raised", 5001) == LARGE

    desk(work)


def test_the_largest_mail(desk: Open) -> None:
    """It counts for every mailbox, also for one without a limit, but for nobody who is exempt."""

    async def work(table: Desk) -> None:
        furnish(table)
        table.change(largest=2000)
        client = await table.connect()
        for _ in range(2):
            for name in ("half", "over", "free", "new", "some"):
                assert await client.ask(f"{name}@example.org", 2001, "RCPT") == LARGE
            assert await client.ask("half@example.org", 2000, "RCPT") == FITS
            assert await client.ask("free@example.org", 2000, "RCPT") == FITS
            assert await client.ask("free@example.org", None, "RCPT") == FITS
            assert await client.ask("postmaster@example.org", 2001, "RCPT") == FITS
            assert await client.ask("nobody@example.org", 2001, "RCPT") == NOBODY
        explained = await table.enforcer.explain("free@example.org", 2001)
        assert explained.verdict == "too_large"
        assert explained.why == "Dovecot takes no mail of more than 2 KiB (2,000 bytes), whatever there is room for."

    desk(work)


def test_many_connections(desk: Open) -> None:
    """Each gets its own answer."""

    async def work(table: Desk) -> None:
        for number in range(10):
            table.add(f"u{number}", 5000 * (number % 2))
        clients = [await table.connect() for _ in range(400)]
        asked = [client.ask(f"u{number % 10}@example.org") for number, client in enumerate(clients)]
        assert await asyncio.gather(*asked) == [FULL if number % 2 else FITS for number in range(400)]

    desk(work, "uvloop")


def test_what_is_recorded(desk: Open) -> None:
    """Decisions with their client, the time of a refusal, and the accounts that are measured first."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        table.add("half", 1000)
        client = await table.connect()
        client.send(request("Full+x@example.org", 7, client_name="mx.example.net", client_address="192.0.2.1"))
        await client.answer()
        client.send(request("half@example.org", client_name="unknown", client_address="192.0.2.2"))
        await client.answer()
        (first, second), skipped = table.decisions.since(0, 10)
        assert skipped == 0
        assert (first.verdict, first.mailbox) == ("over_quota", "full@example.org")
        assert first.recipient == "Full+x@example.org"
        assert (first.sender, first.client, first.size) == ("sender@example.net", "mx.example.net", 7)
        assert (second.verdict, second.client) == ("accept", "192.0.2.2")
        assert abs(first.at - time.time()) < 60
        assert [row.recipient for row in table.decisions.refusals("full@example.org", 5)] == ["Full+x@example.org"]
        assert table.decisions.refusals("half@example.org", 5) == []
        assert table.entry("full").refused_at is not None
        assert table.entry("half").refused_at is None
        assert {entry.address for entry in table.enforcer.asked} == {"full@example.org", "half@example.org"}

    desk(work)


EXPLAINED = [
    ("half@example.org", 4500, "accept", FITS, 1000),
    ("half@example.org", 4501, "over_quota", FULL, 1000),
    ("half@example.org", 5001, "too_large", LARGE, 1000),
    ("OVER+tag@example.org", 0, "over_quota", FULL, 6000),
    ("free@example.org", 10**12, "accept", FITS, 9_999_999),
    ("postmaster@example.org", 10**12, "accept", FITS, 6000),
    ("nobody@example.org", 0, "unknown", NOBODY, None),
    ("no address", 0, "unknown", NOBODY, None),
    ("\udcff@example.org", 0, "unknown", NOBODY, None),
]


def test_explain(desk: Open) -> None:
    """The answer that a request would get, with the figures that decide; nothing is counted or recorded."""

    async def work(table: Desk) -> None:
        furnish(table)
        for recipient, size, verdict, action, used in EXPLAINED:
            found = await table.enforcer.explain(recipient, size)
            assert (found.recipient, found.size, found.verdict, found.action) == (recipient, size, verdict, action)
            (target,) = found.targets
            assert target.fits == (verdict == "accept")
            assert target.kind == ("unknown" if verdict == "unknown" else "mailbox")
            assert target.used_bytes == used
            assert found.why.endswith(".")
        (table.boxes["half"].file).unlink()
        (table.boxes["half"].file).mkdir()
        found = await table.enforcer.explain("half@example.org", 0)
        assert (found.verdict, found.action, found.targets[0].used_bytes) == ("trouble", TROUBLE, None)
        assert (table.metrics.requests, table.decisions.count) == (0, 0)

    desk(work)
