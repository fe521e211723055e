"""What is on its way to a mailbox."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.mailboxes.reservations import MOST, Reservations


def held(*sizes: int) -> Reservations:
    """Mails of these sizes, accepted at 0, 1, 2 … for 30 seconds."""
    found = Reservations()
    for number, size in enumerate(sizes):
        found.add(f"mail{number}", size, number + 30.0)
    return found


def test_they_count_until_their_time_is_over() -> None:
    found = held(1000, 200)
    assert [found.sum(now) for now in (2.0, 29.9, 30.0, 30.9, 31.0, 99.0)] == [1200, 1200, 200, 200, 0, 0]
    found.add("late", 5, 120.0)
    assert found.sum(100.0) == 5


def test_a_mail_does_not_count_against_itself() -> None:
    """Accepted twice it counts once, and its own END-OF-MESSAGE finds room."""
    found = held(1000, 200)
    assert found.sum(2.0, "mail0") == 200
    assert found.sum(2.0, "another") == 1200
    found.add("mail0", 1500, 40.0)
    assert found.sum(2.0) == 1700


def test_a_delivery_ends_the_oldest_that_fits() -> None:
    found = held(10_000, 3_000_000, 10_000)
    found.arrived(9_800, 1)
    assert found.sum(3.0) == 3_010_000
    found.arrived(3_100_000, 2)
    assert found.sum(3.0) == 0


def test_a_small_delivery_does_not_end_a_large_one() -> None:
    found = held(3_000_000)
    found.arrived(10_000, 1)
    found.arrived(-5_000, -1)
    found.arrived(500, 0)
    assert found.sum(1.0) == 3_000_000


def test_line_ends_make_the_file_smaller() -> None:
    """What was announced with CRLF arrives with LF."""
    found = held(1_000_000, 50)
    found.arrived(975_000, 1)
    assert found.sum(1.0) == 50
    found.arrived(600, 1)
    assert found.sum(1.0) == 0


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 40)), max_size=200), st.integers(0, 90))
def test_sums(mails: list[tuple[int, int]], later: int) -> None:
    """However many: never less than what is younger than its time, never more than all, and memory is bounded."""
    found, now, total = Reservations(), 0.0, 0
    accepted = []
    for number, (size, pause) in enumerate(mails):
        now += pause
        found.sum(now)
        found.add(number, size, now + 30)
        accepted.append((now + 30, size))
        total += size
        assert len(found._held) <= MOST
    now += later
    assert sum(size for until, size in accepted if until > now) <= found.sum(now) <= total
    assert found.sum(now + 31) == 0


def test_many_on_their_way_end_in_time_however_many_follow() -> None:
    """Mails that are never delivered, ten a second for minutes: what counts is what came within the last 30 s."""
    found, now = Reservations(), 0.0
    for number in range(3000):
        now = number / 10
        found.add(number, 1000, now + 30)
        assert found.sum(now) <= 1000 * 10 * 31
        assert len(found._held) <= MOST
        assert len(found._old) <= 31
    assert found.sum(now) >= 1000 * 10 * 29
    assert found.sum(now + 31) == 0


def test_deliveries_end_those_that_are_summed_up_first() -> None:
    found = Reservations()
    for number in range(200):
        found.add(number, 1000, 30 + number / 100)
    for left in range(199, -1, -1):
        found.arrived(1000, 1)
        assert found.sum(5.0) == 1000 * left


def test_mails_are_counted_as_their_bytes_are() -> None:
    """One that announced no size counts, too; a mail does not count against itself, and each ends in time."""
    found = held(1000, 0, *[5] * (MOST + 6))
    assert found.mails(2.0) == MOST + 8
    assert found.mails(2.0, f"mail{MOST + 7}") == MOST + 7
    found.arrived(0, 3)
    assert found.mails(3.0) == MOST + 5
    assert found.mails(1e9) == found.sum(1e9) == 0
