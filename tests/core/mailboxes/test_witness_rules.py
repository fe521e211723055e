"""What is a difference between Dovecot and mailquota, and what is said of its cause."""

from __future__ import annotations

import pytest

from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.mailboxes.witness_hints import hints_of
from mailquota.core.mailboxes.witness_queue import WitnessQueue
from mailquota.core.mailboxes.witness_rules import (
    Hints,
    Sight,
    Verdict,
    all_alike,
    compare_usage,
    difference_text,
    likely_cause,
    limits_of,
    same_limit,
    without_limit,
)
from mailquota.core.servers.dovecot.quota_rows import Quota, QuotaLimits


def own(used: int, messages: int = 1) -> Measurement:
    return Measurement(used, messages, "scan", 0)


@pytest.mark.parametrize(
    ("before", "told", "after", "sight"),
    [
        (own(1024), Quota(1, 1), own(1024), Sight.AGREES),
        (own(1), Quota(1, 1), own(1), Sight.AGREES),  # Dovecot rounds up
        (own(1025), Quota(1, 1), own(1025), Sight.DIFFERS),
        (own(1024), Quota(1, 2), own(1024), Sight.DIFFERS),
        (own(1000), Quota(2, 2), own(5000, 3), Sight.AGREES),  # mail came before Dovecot counted, and after it
        (own(1000), Quota(9, 2), own(5000, 3), Sight.MOVING),
        (own(5000, 3), Quota(3, 2), own(1000), Sight.AGREES),  # mail was removed meanwhile
        (own(0, 0), Quota(0, 0), own(0, 0), Sight.AGREES),
        (None, Quota(5, 1), None, Sight.DIFFERS),  # Dovecot sees mail where we can't look
        (None, Quota(0, 0), None, Sight.UNKNOWN),  # as on a disk that is not mounted: Dovecot's 0 proves nothing
        (None, Quota(5, 1), own(5), Sight.UNKNOWN),
        (own(5), Quota(5, 1), None, Sight.UNKNOWN),
    ],
)
def test_usage(before: Measurement | None, told: Quota, after: Measurement | None, sight: Sight) -> None:
    assert compare_usage(before, told, after) is sight


@pytest.mark.parametrize(
    ("limit", "messages", "told", "same"),
    [
        (100_000, None, QuotaLimits(98, None), True),
        (100_000, None, QuotaLimits(97, None), False),
        (None, None, QuotaLimits(None, None), True),
        (None, None, QuotaLimits(500, None), False),
        (1024, None, QuotaLimits(None, 3), False),
        (1024, 3, QuotaLimits(1, 3), True),
        (1024, 4, QuotaLimits(1, 3), False),
        (1024, 3, QuotaLimits(1, None), False),
        (1024, 3, None, True),  # an answer without limits contradicts nothing
    ],
)
def test_limits(limit: int | None, messages: int | None, told: QuotaLimits | None, same: bool) -> None:
    assert same_limit(limit, messages, Quota(1, 1, told)) is same


def test_the_limits_that_count() -> None:
    """Only what differs is Dovecot's: its bytes are rounded."""
    told = Quota(1, 1, QuotaLimits(98, 7))
    differs = Verdict(told, None, usage=False, limit=True)
    assert limits_of(differs, 100_000, None) == (100_000, 7)
    assert limits_of(differs, 100_001, 7) == (100_001, 7)
    assert limits_of(differs, 1024, 7) == (98 * 1024, 7)
    assert limits_of(Verdict(told, None, usage=True, limit=False), 1024, 3) == (1024, 3)
    assert limits_of(None, 1024, 3) == (1024, 3)
    text = difference_text(differs, 100_000, None)
    assert text == "Dovecot's limit of messages is 7, mailquota reads unlimited from its settings and its query"


@pytest.mark.parametrize(
    ("compared", "differing", "alike"), [(2, 2, False), (3, 3, True), (10, 9, True), (10, 8, False), (0, 0, False)]
)
def test_all_alike(compared: int, differing: int, alike: bool) -> None:
    assert all_alike(compared, differing) is alike


@pytest.mark.parametrize(
    ("driver", "ours", "told", "cause"),
    [
        ("maildir", None, Quota(5, 1), "can't read this mailbox"),
        ("sql", own(1), Quota(5, 1), "table"),
        ("maildir", own(0, 0), Quota(5, 1), "elsewhere"),
        ("maildir", own(500), Quota(5, 4), "namespace"),
        ("maildir", own(5000, 4), Quota(1, 1), "rule"),
        ("count", own(1540, 2), Quota(402, 2), "compressed"),
        ("maildir", own(5000), Quota(6, 1), "another quota driver"),
    ],
)
def test_causes(driver: str, ours: Measurement | None, told: Quota, cause: str) -> None:
    assert cause in likely_cause(driver, ours, told)


def test_dovecots_settings_name_the_cause() -> None:
    hints = Hints(elsewhere=("the namespace archive has a location of its own",), sizes=("the plugin zlib",))
    assert likely_cause("count", own(500), Quota(5, 4), hints) == "the namespace archive has a location of its own"
    assert likely_cause("count", own(500), Quota(5, 1), hints) == "the plugin zlib"


OLD = """# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
mail_location = maildir:~/Maildir:INDEX=/var/index:LAYOUT=fs
mail_plugins = quota zlib
namespace archive {
  location = maildir:~/Archive
  prefix = Archive.
}
namespace inbox {
  inbox = yes
  location =
}
namespace shared {
  location = maildir:%%h/Maildir
  type = shared
}
plugin {
  zlib_save = gz
}
"""
NEW = """# 2.4.1 (): /etc/dovecot/dovecot.conf
mailbox_list_layout = fs
mail_plugins {
  mail_compress = yes
  quota = yes
}
namespace archive {
  mail_path = ~/Archive
}
"""


def test_hints() -> None:
    old, new = hints_of(OLD), hints_of(NEW)
    assert old.elsewhere == (
        "the namespace archive has a location of its own",
        "mail_location has the option LAYOUT=fs",
    )
    assert "zlib (gz)" in old.sizes[0]
    assert new.elsewhere == ("the namespace archive has a location of its own", "mailbox_list_layout is fs")
    assert "mail_compress" in new.sizes[0]
    assert hints_of("").elsewhere == hints_of("\0garbage { {").sizes == ()


def test_what_is_told() -> None:
    told = Quota(820, 4, QuotaLimits(489, None))
    both = Verdict(told, own(200_000), usage=True, limit=True, cause="the namespace archive")
    text = difference_text(both, 1_000_000, None)
    assert "820 KiB in 4 messages" in text
    assert "the namespace archive; Dovecot's limit is 489 KiB, the database has 977 KiB" in text
    assert both.told_limit == 489 * 1024
    assert without_limit(both) == Verdict(told, own(200_000), usage=True, limit=False, cause="the namespace archive")
    assert without_limit(Verdict(told, None, usage=False, limit=True)) is None


def test_the_queue() -> None:
    queue = WitnessQueue()
    for address in "abc":
        queue.put(address, 1.0, urgent=False)
    queue.put("b", 5.0, urgent=True)  # its last place counts
    queue.put("d", 0.0, urgent=True)
    assert queue.take(1.0, 9, urgent=True) == ["d"]
    assert queue.take(1.0, 1, urgent=False) == ["a"]
    assert queue.take(1.0, 9, urgent=False) == ["c"]
    assert not queue.is_urgent_empty()
    queue.put("b", 7.0, urgent=False)
    assert queue.is_urgent_empty()
    assert queue.take(9.0, 9, urgent=True) == []
    assert (queue.take(9.0, 9, urgent=False), len(queue)) == (["b"], 0)
