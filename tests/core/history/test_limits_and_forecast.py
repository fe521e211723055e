"""The limits that held, and when an account is full."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import Account, Forecast, Trend
from mailquota.core.control.results import JournalRow
from mailquota.core.history.limits_and_forecast import forecast_of, limit_history
from mailquota.core.mailboxes.ledger import Entry
from mailquota.core.mailboxes.measure import Measurement


def change(at: float, old: str | None, new: str | None, kind: str = "limit") -> JournalRow:
    return JournalRow(
        id=int(at),
        at=at,
        operator="mary",
        origin="",
        kind=kind,
        address="a@x",
        old=old,
        new=new,
        reason="",
        until=None,
        undoes=None,
    )


@pytest.mark.parametrize(
    ("limit", "changes", "limits"),
    [
        (100, [], [(0.0, 100)]),
        (None, [], [(0.0, None)]),
        (300, [change(20, "200", "300"), change(10, "100", "200")], [(0.0, 100), (10, 200), (20, 300)]),
        (300, [change(20, "unlimited", "300")], [(0.0, None), (20, 300)]),
        (None, [change(20, "300", "unlimited")], [(0.0, 300), (20, None)]),
        (100, [change(20, "5", "7", "recalc"), change(9, None, "-7", "trash")], [(0.0, 100)]),
        (400, [change(20, "200", "300")], [(0.0, 200), (20, 300), (50.0, 400)]),
    ],
    ids=["none", "unlimited", "two", "from unlimited", "to unlimited", "other changes", "and one made elsewhere"],
)
def test_limits(limit: int | None, changes: list[JournalRow], limits: list[tuple[float, int | None]]) -> None:
    assert limit_history(limit, changes, 50.0) == limits


@pytest.mark.parametrize(
    ("limit", "used", "trend", "days"),
    [
        (100, 50, Trend(10, 5, 20), Forecast(5.0, 2.5, 10.0)),
        (100, 50, None, None),
        (100, 100, None, Forecast(0.0, 0.0, 0.0)),
        (None, 50, Trend(10, 5, 20), None),
        (100, None, Trend(10, 5, 20), None),
    ],
)
def test_forecasts(limit: int | None, used: int | None, trend: Trend | None, days: Forecast | None) -> None:
    """Who is full is full, whatever is known of the growth."""
    entry = Entry(Account("a@x", limit))
    entry.known = None if used is None else Measurement(used, 1, "scan", 0)
    entry.trend = trend
    assert forecast_of(entry) == days
