"""The newest decisions: kept as they came, readable for who asks, and never many."""

from __future__ import annotations

from mailquota.core.base.model import Account
from mailquota.core.mailboxes.ledger import Entry
from mailquota.core.policy.decision import Verdict
from mailquota.core.policy.log import NEWEST, REFUSED, DecisionLog
from mailquota.core.policy.protocol import RequestReader
from tests.core.policy.clients import request

ACCEPT, OVER = Verdict.ACCEPT, Verdict.OVER_QUOTA
JOHN = Entry(Account("john@example.org", 100))
JANE = Entry(Account("jane@example.org", 100))


def raw(number: int, **others: str) -> bytes:
    """A request as the server hands it on."""
    return RequestReader().feed(request(f"u{number}@x", number, **others))[0]


def names(log: DecisionLog, count: int, most: int) -> tuple[list[str], int]:
    """Recipients of those after the first ``count``, and how many are left out."""
    rows, skipped = log.since(count, most)
    return [row.recipient for row in rows], skipped


def test_since() -> None:
    """Oldest first; of too many the newest, and how many are missing."""
    log = DecisionLog()
    assert log.since(0, 5) == ([], 0)
    for number in range(4):
        log.add(ACCEPT, raw(number), (), 10)
    assert names(log, 0, 10) == (["u0@x", "u1@x", "u2@x", "u3@x"], 0)
    assert names(log, 2, 10) == (["u2@x", "u3@x"], 0)
    assert names(log, 0, 1) == (["u3@x"], 3)
    assert names(log, 4, 10) == ([], 0)
    assert log.count == 4


def test_it_forgets() -> None:
    """Only the newest are kept, and it is told how many are gone."""
    log = DecisionLog()
    for number in range(NEWEST + 7):
        log.add(ACCEPT, raw(number), (), 10)
    rows, skipped = names(log, 0, 10**6)
    assert (len(rows), rows[0], skipped) == (NEWEST, "u7@x", 7)


def test_refusals_of_a_mailbox() -> None:
    """Newest first, whoever else was refused, and still there when the newest decisions are others'."""
    log = DecisionLog()
    for number in range(3):
        log.add(OVER, raw(number), (JOHN,), 10)
        log.add(Verdict.TOO_LARGE, raw(number + 10), (JANE,), 10)
    for number in range(NEWEST):
        log.add(ACCEPT, raw(number), (JOHN,), 10)
    assert [row.recipient for row in log.refusals("john@example.org", 2)] == ["u2@x", "u1@x"]
    assert {row.verdict for row in log.refusals("jane@example.org", 9)} == {"too_large"}
    for number in range(REFUSED):
        log.add(OVER, raw(number), (JANE,), 10)
    assert log.refusals("john@example.org", 9) == []


def test_a_row() -> None:
    """The client by its name, or by its address where it has none; bytes that are no text do no harm."""
    log = DecisionLog()
    log.add(OVER, raw(5, client_name="mx.example.net", client_address="192.0.2.1"), (JOHN,), 77)
    log.add(ACCEPT, raw(6, client_name="unknown", client_address="192.0.2.2"), (), 78)
    log.add(ACCEPT, b"\nrecipient=k\xe4se\x1b[31m\nsender=\n", (), 79)
    first, second, third = log.since(0, 5)[0]
    assert (first.verdict, first.recipient, first.mailbox) == ("over_quota", "u5@x", "john@example.org")
    assert (first.sender, first.client, first.size, first.micros) == ("sender@example.net", "mx.example.net", 5, 77)
    assert (second.mailbox, second.client) == ("", "192.0.2.2")
    assert (third.recipient, third.client) == ("k\ufffdse\x1b[31m", "")


def test_the_backlog_is_all_that_is_kept_in_parts() -> None:
    """Oldest first; what is decided while it is told does not come between."""
    log = DecisionLog()
    for number in range(NEWEST + 3):
        log.add(ACCEPT, raw(number), (), 10)
    told = []
    for part in log.backlog():
        assert len(part) <= NEWEST // 5
        told += [row.recipient for row in part]
        log.add(ACCEPT, raw(9999), (), 10)
    assert told == [f"u{number}@x" for number in range(3, NEWEST + 3)]
    assert list(DecisionLog().backlog()) == []


def test_only_refusals_are_counted_by_account() -> None:
    """Each with its account."""
    log = DecisionLog()
    for verdict, entry in ((OVER, JOHN), (Verdict.TOO_LARGE, JOHN), (ACCEPT, JOHN), (Verdict.TROUBLE, JANE)):
        log.add(verdict, raw(1), (entry,), 10)
    report = log.report(10)
    assert [(row.address, row.last_hour, row.last_day) for row in report.accounts] == [("john@example.org", 2, 2)]
