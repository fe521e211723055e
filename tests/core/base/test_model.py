"""The account object of the JSON output."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import AccountRow, account_json


@pytest.mark.parametrize(
    ("used", "limit", "percent", "level"),
    [
        (99_999_999, 100_000_000, 99.99, "critical"),
        (100_000_000, 100_000_000, 100.0, "over"),
        (79_999_999, 100_000_000, 79.99, "ok"),
        (1, 3, 33.33, "ok"),
        (0, 5, 0.0, "ok"),
        (5, None, None, "unlimited"),
        (None, 5, None, "unknown"),
    ],
)
def test_percent_never_reaches_a_level_that_the_account_is_not_at(
    used: int | None, limit: int | None, percent: float | None, level: str
) -> None:
    found = account_json(AccountRow("a@b", limit, used))
    assert (found["percent"], found["level"]) == (percent, level)
