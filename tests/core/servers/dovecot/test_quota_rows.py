"""What Dovecot prints of quotas, as both versions did."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.servers.dovecot.quota_rows import MailboxSize, Quota, QuotaLimits, mailbox_sizes, quotas, table_rows

DATA = Path(__file__).parents[3] / "data"
BOTH = pytest.mark.parametrize("version", ["2.3", "2.4"])


def lines(version: str, name: str) -> list[str]:
    return (DATA / f"dovecot-{version}/{name}.tab.txt").read_text().splitlines(keepends=True)


@BOTH
def test_all_users(version: str) -> None:
    found = dict(quotas(table_rows(lines(version, "quota-get-A"))))
    assert len(found) == 6
    assert found["full@example.org"] == Quota(6, 2, QuotaLimits(5, None))
    assert found["new@example.org"] == Quota(0, 0, QuotaLimits(5242880, None))


@BOTH
def test_one_user(version: str) -> None:
    assert [name for name, _ in quotas(table_rows(lines(version, "quota-get-u.john")), "john")] == ["john"]
    assert list(quotas(table_rows(lines(version, "quota-get-u.unlimited")), "x")) == [
        ("x", Quota(5, 3, QuotaLimits(None, None)))
    ]


@BOTH
def test_who_can_not_be_told(version: str) -> None:
    """A user that Dovecot could not load is missing; one that it could not measure has ``error`` in the cells."""
    assert "edge@example.net" not in dict(quotas(table_rows(lines(version, "quota-get-A.bad-limit"))))
    assert list(quotas(table_rows(lines(version, "quota-get-u.maildir-error")), "x")) == [("x", None)]


@pytest.mark.parametrize(
    ("storage", "messages", "limits"),
    [
        ("98", "-", QuotaLimits(98, None)),
        ("-", "3", QuotaLimits(None, 3)),
        ("0", "0", QuotaLimits(None, None)),  # as some versions print unlimited
        ("98", "error", None),
        ("-5", "-", None),
    ],
)
def test_limits(storage: str, messages: str, limits: QuotaLimits | None) -> None:
    """What is no limit is not told, and never taken for unlimited."""
    rows = [
        {"root": "", "type": "STORAGE", "value": "5", "limit": storage},
        {"root": "", "type": "MESSAGE", "value": "2", "limit": messages},
    ]
    assert list(quotas(rows, "x")) == [("x", Quota(5, 2, limits))]


@BOTH
def test_mailboxes(version: str) -> None:
    found = mailbox_sizes(table_rows(lines(version, "mailbox-status.jane")))
    assert {box.name for box in found} == {"Entwürfe", "Archive.2024", "Trash", "Sent", "Drafts", "Junk", "INBOX"}
    assert MailboxSize("Archive.2024", 1, 650139) in found


def test_only_the_first_root_counts() -> None:
    rows = [
        {"root": root, "type": kind, "value": value}
        for root, value in (("User quota", "5"), ("Archive", "9"))
        for kind in ("STORAGE", "MESSAGE")
    ]
    assert list(quotas(rows, "x")) == [("x", Quota(5, 5))]


@pytest.mark.parametrize("text", ["", "error", "-5", "1.5", "²", "9" * 19])
def test_no_number(text: str) -> None:
    rows = [{"root": "", "type": "STORAGE", "value": text}, {"root": "", "type": "MESSAGE", "value": "1"}]
    assert list(quotas(rows, "x")) == [("x", None)]


def test_what_is_no_table() -> None:
    assert list(quotas(table_rows([]))) == []
    assert list(quotas(table_rows(["Username\tType\n", "too\tmany\tfields\n"]))) == []
    with pytest.raises(MailquotaError, match="not the sizes"):
        mailbox_sizes([{"mailbox": "INBOX", "messages": "many", "vsize": "1"}])
