"""How many mails may leave, and when."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.alerts.pace import RETRIES, Pace, is_quiet, next_try
from tests.core.zones import in_zone


@given(st.integers(1, 5), st.lists(st.floats(0.0, 30.0), max_size=60))
def test_no_sixty_seconds_see_more(most: int, pauses: list[float]) -> None:
    """At any times of attempts: no window of a minute has more mails."""
    pace, now, left = Pace(most), 0.0, list[float]()
    for pause in pauses:
        now += pause
        for _ in range(pace.allowance(now)):
            pace.sent(now)
            left.append(now)
    assert all(sum(start <= at < start + 60 for at in left) <= most for start in left)


def test_a_whole_minute_later_there_is_room() -> None:
    pace = Pace(2)
    pace.sent(10.0)
    pace.sent(20.0)
    assert [pace.allowance(at) for at in (20.0, 69.9, 70.0, 80.0)] == [0, 0, 1, 2]


def test_what_left_before_a_restart_counts() -> None:
    pace = Pace(2)
    pace.remember([-10.0, -50.0])
    assert [pace.allowance(0.0), pace.allowance(10.0), pace.allowance(50.0)] == [0, 1, 2]


def test_a_lower_rate_holds_at_once() -> None:
    pace = Pace(3)
    for _ in range(3):
        pace.sent(0.0)
    pace.most = 1
    assert pace.allowance(1.0) == 0


@pytest.mark.parametrize(
    ("span", "quiet"),
    [(("22:00", "07:00"), [0, 1, 2, 3, 4, 5, 6, 22, 23]), (("08:00", "10:00"), [8, 9]), (None, [])],
)
def test_quiet_hours_are_local_time(span: tuple[str, str] | None, quiet: list[int]) -> None:
    hours = None if span is None else (time.fromisoformat(span[0]), time.fromisoformat(span[1]))
    days = [datetime(2026, 3, 10, hour).astimezone().timestamp() for hour in range(24)]
    assert [hour for hour, at in enumerate(days) if is_quiet(at, hours)] == quiet


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("month", [1, 7])
def test_quiet_hours_in_every_season(zone: str, month: int) -> None:
    """Their begin and end by the clock of that day, to the second."""
    begin, end = (datetime(2026, month, 10, hour, tzinfo=ZoneInfo(zone)).timestamp() for hour in (6, 22))
    with in_zone(zone):
        quiet = [is_quiet(at, (time(22), time(6))) for at in (begin - 1, begin, end - 1, end)]
    assert quiet == [True, False, False, True]


def test_failures_are_tried_again_later_and_later_and_then_given_up() -> None:
    waits = [next_try(attempts, 100.0) for attempts in range(1, len(RETRIES) + 2)]
    assert waits == [*(100.0 + wait for wait in RETRIES), None]
    assert list(RETRIES) == sorted(RETRIES)
