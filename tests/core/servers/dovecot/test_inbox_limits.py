"""What limits incoming mail beside the limit of a user; the real Dovecot decides so in tests/truth/configs."""

from __future__ import annotations

import pytest

from mailquota.core.servers.dovecot.conf import parse_doveconf, size_of
from mailquota.core.servers.dovecot.inbox_limits import inbox_rule, largest_mail, modern_inbox_rule

NONE = (None, None)


@pytest.mark.parametrize(
    ("rules", "user", "inbox"),
    [
        (["*:bytes=5000", "INBOX:storage=+20%"], (5000, None), (6000, None)),
        (["*:bytes=5000", "INBOX:bytes=+9000"], (5000, 3), (14000, 3)),
        (["*:bytes=5000", "inbox:bytes=+9000"], (5000, None), (14000, None)),
        (["*:bytes=5000", "IN*:storage=+1"], (5000, None), (6024, None)),
        (["*:bytes=5000", "INBO?:storage=-1K"], (5000, None), (3976, None)),
        (["*:bytes=5000", "INBOX:bytes=9000"], (5000, None), (14000, None)),  # a plus sign is only wanted
        (["INBOX:bytes=-5000"], (5000, None), NONE),  # nothing is left, and that is no limit
        (["INBOX:storage=-33%"], (1000, None), (670, None)),
        (["INBOX:storage=-33%"], (1001, None), (671, None)),  # cut off, as C divides
        (["INBOX:messages=+2"], (5000, 3), (5000, 5)),
        (["INBOX:messages=+50%:bytes=+1"], (5000, 3), (5001, 4)),
        (["INBOX:bytes=+9000"], (None, 3), (9000, 3)),  # where only messages are limited
        (["INBOX:bytes=+9000"], NONE, NONE),  # an unlimited user stays unlimited
        (["INBOX:ignore"], (5000, 3), NONE),
        (["*ork*:ignore", "IN*:bytes=+1", "INBOX:ignore"], (5000, None), (5001, None)),  # the first that meets it
        (["INBOX:bytes=+1", "INBOX:bytes=+7"], (5000, None), (5007, None)),  # of one mask the last
        (["INBOX:ignore", "INBOX:bytes=+7"], (5000, None), NONE),
    ],
)
def test_rules_for_inbox(
    rules: list[str], user: tuple[int | None, int | None], inbox: tuple[int | None, int | None]
) -> None:
    found = inbox_rule(rules)
    assert found is not None
    assert found.limits(*user) == inbox


@pytest.mark.parametrize("rules", [[], ["*:bytes=5000"], ["?:bytes=5000", "Trash:ignore", "inboxes:ignore"]])
def test_rules_for_others(rules: list[str]) -> None:
    assert inbox_rule(rules) is None


@pytest.mark.parametrize(
    ("mailbox", "limit", "inbox"),
    [
        ("INBOX {\nquota_storage_percentage = 120\n}", 9999, 11998),
        ("INBOX {\nquota_storage_extra = 10K\n}", 5000, 15240),
        ("INBOX {\nquota_storage_percentage = 50\nquota_storage_extra = 1B\n}", 5000, 2501),
        ("IN* {\nquota_ignore = yes\n}", 5000, None),
        ("INBOX {\nquota_storage_extra = 10K\n}", None, None),
    ],
)
def test_settings_for_inbox(mailbox: str, limit: int | None, inbox: int | None) -> None:
    """Of 2.4. An unlimited user stays unlimited, and messages stay as they are."""
    found = modern_inbox_rule(parse_doveconf(f"namespace inbox {{\ninbox = yes\nmailbox {mailbox}\n}}\n"))
    assert found is not None
    assert found.limits(limit, 7) == (inbox, None if found.ignore else 7)


@pytest.mark.parametrize(
    "text",
    [
        "namespace inbox {\ninbox = yes\nmailbox Trash {\nquota_ignore = yes\n}\n}",
        "namespace inbox {\ninbox = yes\nmailbox INBOX {\nquota_ignore = no\n}\n}",
        "namespace inbox {\ninbox = yes\nprefix = INBOX.\nmailbox INBOX {\nquota_ignore = yes\n}\n}",
        "namespace archive {\nmailbox INBOX {\nquota_ignore = yes\n}\n}",
    ],
)
def test_settings_for_others(text: str) -> None:
    assert modern_inbox_rule(parse_doveconf(text)) is None


@pytest.mark.parametrize(
    ("prefix", "name", "ignored"),
    [
        ("INBOX.", "*", True),
        ("INBOX/", "*", True),
        ("INBOX.", "INBOX", False),
        ("Mail.", "INBOX", True),
        ("", "*", True),
    ],
)
def test_the_prefix_of_the_namespace(prefix: str, name: str, ignored: bool) -> None:
    block = f"mailbox {name} {{\nquota_ignore = yes\n}}"
    conf = parse_doveconf(f"namespace inbox {{\ninbox = yes\nprefix = {prefix}\n{block}\n}}\n")
    assert (modern_inbox_rule(conf) is not None) == ignored


def test_a_field_of_the_user_wins() -> None:
    """Over the block of the mailbox."""
    conf = parse_doveconf("mailbox INBOX {\nquota_storage_percentage = 120\nquota_ignore = yes\n}")
    found = modern_inbox_rule(conf, ["email", "quota_ignore"])
    assert found is not None
    assert found.limits(1000, None) == (1200, None)


@pytest.mark.parametrize(
    ("text", "modern", "largest"),
    [
        ("plugin {\nquota_max_mail_size = 20K\n}", False, 20 * 1024),
        ("plugin {\nquota_max_mail_size = 0\n}", False, 0),
        ("quota_mail_size = 1M", True, 1024**2),
        ("quota_mail_size = unlimited", True, 0),
        ("quota_mail_size = nonsense", True, 0),
        ("", True, 0),
        ("", False, 0),
    ],
)
def test_the_largest_mail(text: str, modern: bool, largest: int) -> None:
    assert largest_mail(parse_doveconf(text), modern=modern) == largest


@pytest.mark.parametrize(
    ("text", "size"),
    [("5000", 5000), ("5000B", 5000), ("10 k", 10240), ("1MiB", 1024**2), ("2G", 2 * 1024**3), ("Unlimited", 0),
     ("", None), ("-1", None), ("1.5M", None), ("1X", None), ("9" * 21, None)],
)  # fmt: skip
def test_sizes(text: str, size: int | None) -> None:
    assert size_of(text) == size
