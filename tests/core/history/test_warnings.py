"""The queue of warnings and the memory beside it, in both kinds of database."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from mailquota.core.base.model import LastWarning
from mailquota.core.base.mysql import Target
from mailquota.core.control.results import WarningRow
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.warnings import CLAIM_SECONDS, Change, Claimed, DueWarning, WarningLog

JOHN, MARY = "john@example.org", "mary@example.org"
NOW = 1_700_000_000.25


@pytest.fixture
def warning_log(state: StateDatabase) -> WarningLog:
    return WarningLog(state)


def due(threshold: str = "80%", address: str = JOHN) -> DueWarning:
    return DueWarning(address=address, threshold=threshold, percent=81.5, used=815, limit=1000)


def last(percent: float = 80.0, at: float = NOW, *, was_full: bool = False, room: bool = True) -> LastWarning:
    return LastWarning(percent=percent, at=at, was_full=was_full, room_again_due=room)


def rows(warning_log: WarningLog) -> list[WarningRow]:
    return [msgspec.convert(row, WarningRow) for row in warning_log.newest()]


def states(warning_log: WarningLog) -> dict[str, str]:
    return {row.mark: row.state for row in rows(warning_log)}


def warn(
    warning_log: WarningLog, threshold: str, percent: float, before: LastWarning | None = None, now: float = NOW
) -> LastWarning:
    after = last(percent, now)
    assert warning_log.apply([Change(address=JOHN, before=before, after=after, warning=due(threshold))], now)
    return after


def test_memory_and_mail_come_together(warning_log: WarningLog) -> None:
    change = Change(address=JOHN, before=None, after=last(room=False, was_full=True), warning=due())
    assert warning_log.apply([change], NOW) == [change]
    assert warning_log.last_warnings() == {JOHN: last(room=False, was_full=True)}
    assert warning_log.last_warning(JOHN) == last(room=False, was_full=True)
    assert warning_log.last_warning(MARY) is None
    (row,) = rows(warning_log)
    assert row == WarningRow(row.id, NOW, JOHN, "80%", 81.5, 815, 1000, "queued", "state", next_try=NOW)


def test_of_two_engines_that_decide_the_same_one_writes(warning_log: WarningLog, target: Target) -> None:
    """Two engines on one state database, at each kind of change."""
    with closing(StateDatabase(target)) as second:
        other = WarningLog(second)
        for before, after in ((None, last()), (last(), last(95.0)), (last(95.0), None)):
            change = Change(address=JOHN, before=before, after=after, warning=due())
            assert [len(each.apply([change], NOW)) for each in (warning_log, other)] == [1, 0]
    assert len(rows(warning_log)) == 3


def test_a_mail_can_be_queued_without_a_last_warning(warning_log: WarningLog) -> None:
    assert warning_log.apply([Change(address=JOHN, before=None, after=None, warning=due())], NOW, "operator")
    warning_log.apply([Change(address=MARY, before=None, after=last(), warning=None)], NOW)
    assert warning_log.apply(
        [Change(address=MARY, before=last(), after=last(), warning=due(address=MARY))], NOW, "operator"
    )
    assert [row.source for row in rows(warning_log)] == ["operator", "operator"]


def test_a_higher_threshold_takes_the_place_of_one_that_has_not_left(warning_log: WarningLog) -> None:
    before = warn(warning_log, "80%", 80.0)
    warn(warning_log, "95%", 95.0, before)
    assert states(warning_log) == {"80%": "dropped", "95%": "queued"}


def test_room_again_before_the_warning_was_sent_makes_no_mail(warning_log: WarningLog) -> None:
    before = warn(warning_log, "80%", 80.0)
    warning_log.apply([Change(address=JOHN, before=before, after=None, warning=due("below"))], NOW)
    assert states(warning_log) == {"80%": "dropped"}


def test_room_again_is_sent_after_an_earlier_warning(warning_log: WarningLog) -> None:
    before = warn(warning_log, "80%", 80.0)
    (claimed,) = warning_log.claim(NOW, 5)
    warning_log.done(claimed.id, NOW + 1, "maildir")
    before = warn(warning_log, "95%", 95.0, before)
    warning_log.apply([Change(address=JOHN, before=before, after=None, warning=due("below"))], NOW)
    assert states(warning_log) == {"80%": "sent", "95%": "dropped", "below": "queued"}


def test_a_claimed_mail_can_not_be_claimed_again(warning_log: WarningLog) -> None:
    warning_log.apply([Change(address=a, before=None, after=last(), warning=due(address=a)) for a in (JOHN, MARY)], NOW)
    (first,) = warning_log.claim(NOW, 1)
    assert first == Claimed(id=first.id, at=NOW, warning=due(), source="state", attempts=0, interrupted=False)
    (second,) = warning_log.claim(NOW, 5)
    assert second.warning.address == MARY
    assert warning_log.claim(NOW, 5) == []
    assert {row.state for row in rows(warning_log)} == {"queued"}


def test_one_can_be_claimed_by_its_account(warning_log: WarningLog) -> None:
    warning_log.apply([Change(address=a, before=None, after=last(), warning=due(address=a)) for a in (JOHN, MARY)], NOW)
    assert [c.warning.address for c in warning_log.claim(NOW, 5, MARY)] == [MARY]
    assert warning_log.claim(NOW, 5, MARY) == []


def test_what_a_killed_engine_was_sending_is_found_again(warning_log: WarningLog) -> None:
    warn(warning_log, "80%", 80.0)
    (claimed,) = warning_log.claim(NOW, 1)
    assert warning_log.claim(NOW + CLAIM_SECONDS - 1, 1) == []
    (again,) = warning_log.claim(NOW + CLAIM_SECONDS, 1)
    assert again == claimed._replace(interrupted=True)
    assert warning_log.claim(NOW + CLAIM_SECONDS, 1) == []


def test_the_ends_of_a_mail(warning_log: WarningLog) -> None:
    warn(warning_log, "80%", 80.0)
    (claimed,) = warning_log.claim(NOW, 1)
    warning_log.failed(claimed.id, 1, "no space left", NOW + 60)
    (row,) = rows(warning_log)
    assert (row.state, row.attempts, row.error, row.next_try) == ("queued", 1, "no space left", NOW + 60)
    assert warning_log.counts(NOW, 10) == (1, 0)
    assert warning_log.claim(NOW + 59, 1) == []
    (claimed,) = warning_log.claim(NOW + 60, 1)
    assert (claimed.attempts, claimed.interrupted) == (1, False)
    warning_log.failed(claimed.id, 2, "no space left", None)
    assert [row.state for row in rows(warning_log)] == ["failed"]
    assert (warning_log.counts(NOW, 10), warning_log.counts(NOW + 20, 10), warning_log.counts(NOW - 20, 10)) == (
        (0, 1),
        (0, 0),
        (0, 0),
    )
    warn(warning_log, "95%", 95.0, last())
    (claimed,) = warning_log.claim(NOW, 1)
    warning_log.done(claimed.id, NOW + 5, "dovecot-lda")
    row = rows(warning_log)[0]
    assert (row.state, row.method, row.sent_at, row.error) == ("sent", "dovecot-lda", NOW + 5, None)
    assert warning_log.sent_since(NOW) == [NOW + 5]
    assert warning_log.sent_since(NOW + 5) == []


def test_which_mails_count_as_sent_just_now(warning_log: WarningLog) -> None:
    """Waiting ones whatever their age, sent ones for a while, failed and dropped ones never."""
    before = warn(warning_log, "80%", 80.0)
    assert warning_log.recent(JOHN, NOW + 900, 600) == [("80%", 81.5, "queued", NOW)]
    (claimed,) = warning_log.claim(NOW, 1)
    assert [state for _, _, state, _ in warning_log.recent(JOHN, NOW + 900, 600)] == ["sending"]
    warning_log.done(claimed.id, NOW + 5, "maildir")
    assert warning_log.recent(JOHN, NOW + 605, 600) == [("80%", 81.5, "sent", NOW + 5)]
    assert warning_log.recent(JOHN, NOW + 606, 600) == []
    assert warning_log.recent(JOHN, NOW - 596, 600) == []  # sent in the future, by a clock that was wrong: not just now
    warn(warning_log, "95%", 95.0, before)
    warning_log.dropped(warning_log.claim(NOW, 1)[0].id, "gone")
    assert [threshold for threshold, *_ in warning_log.recent(JOHN, NOW, 600)] == ["80%"]


def test_old_ones_are_forgotten_and_waiting_ones_never(warning_log: WarningLog) -> None:
    before = warn(warning_log, "80%", 80.0, now=NOW - 100)
    warning_log.done(warning_log.claim(NOW, 1)[0].id, NOW, "maildir")
    warn(warning_log, "95%", 95.0, before, now=NOW - 100)
    warning_log.tidy(NOW - 50)
    assert states(warning_log) == {"95%": "queued"}


PAUSES = (60.0, 300.0, 1800.0)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_clock_that_was_set_back_keeps_nothing_back(warning_log: WarningLog, failures: int) -> None:
    """What is to be tried later than it ever would be is due; what waits for its next try goes on waiting."""
    warn(warning_log, "80%", 80.0)
    (claimed,) = warning_log.claim(NOW, 1)
    pause = (0.0, *PAUSES)[failures]
    warning_log.failed(claimed.id, failures, "no space left", NOW + pause)
    if failures:
        assert warning_log.claim(NOW, 1, pauses=PAUSES) == []
        assert warning_log.claim(NOW + pause - 1, 1, pauses=PAUSES) == []
    assert len(warning_log.claim(NOW - 11, 1, pauses=PAUSES)) == 1


def test_a_claim_ends_though_the_clock_was_set_back(warning_log: WarningLog) -> None:
    """Another engine whose clock is a bit behind does not end it."""
    warn(warning_log, "80%", 80.0)
    assert len(warning_log.claim(NOW, 1)) == 1
    assert warning_log.claim(NOW - CLAIM_SECONDS, 1) == []
    (again,) = warning_log.claim(NOW - CLAIM_SECONDS - 1, 1)
    assert again.interrupted


def test_gone_accounts_are_forgotten(warning_log: WarningLog) -> None:
    warning_log.apply([Change(address=a, before=None, after=last(), warning=None) for a in (JOHN, MARY)], NOW)
    warning_log.forget([JOHN])
    assert set(warning_log.last_warnings()) == {MARY}


def test_texts_from_outside_are_data(warning_log: WarningLog) -> None:
    odd = "o'; DROP TABLE warning; --\x1b%s?@example.org"
    warning_log.apply([Change(address=odd, before=None, after=last(), warning=due(address=odd))], NOW)
    assert [row.address for row in rows(warning_log)] == [odd]
    assert [row[2] for row in warning_log.newest(odd)] == [odd]
    assert warning_log.newest(JOHN) == []
