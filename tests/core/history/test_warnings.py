"""The queue of warnings and the memory beside it, in both kinds of database."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from mailquota.core.base.model import LastWarning
from mailquota.core.base.mysql import Target
from mailquota.core.control.results import WarningRow
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.warnings import CLAIM_SECONDS, Change, Claimed, News, WarningLog

JOHN, MARY = "john@example.org", "mary@example.org"
NOW = 1_700_000_000.25


@pytest.fixture
def book(state: StateDatabase) -> WarningLog:
    return WarningLog(state)


def news(mark: str = "80%", address: str = JOHN) -> News:
    return News(address, mark, 81.5, 815, 1000)


def told(percent: float = 80.0, at: float = NOW, *, over: bool = False, room: bool = True) -> LastWarning:
    return LastWarning(percent, at, over, room)


def rows(book: WarningLog) -> list[WarningRow]:
    return [msgspec.convert(row, WarningRow) for row in book.newest()]


def states(book: WarningLog) -> dict[str, str]:
    return {row.mark: row.state for row in rows(book)}


def tell(
    book: WarningLog, mark: str, percent: float, before: LastWarning | None = None, now: float = NOW
) -> LastWarning:
    after = told(percent, now)
    assert book.apply([Change(JOHN, before, after, news(mark))], now)
    return after


def test_memory_and_mail_come_together(book: WarningLog) -> None:
    change = Change(JOHN, None, told(room=False, over=True), news())
    assert book.apply([change], NOW) == [change]
    assert book.told() == {JOHN: told(room=False, over=True)}
    assert book.told_of(JOHN) == told(room=False, over=True)
    assert book.told_of(MARY) is None
    (row,) = rows(book)
    assert row == WarningRow(row.id, NOW, JOHN, "80%", 81.5, 815, 1000, "queued", "state", next_try=NOW)


def test_of_two_who_judge_the_same_one_wins(book: WarningLog, target: Target) -> None:
    """Two engines on one state database, at each kind of change."""
    with closing(StateDatabase(target)) as second:
        other = WarningLog(second)
        for before, after in ((None, told()), (told(), told(95.0)), (told(95.0), None)):
            change = Change(JOHN, before, after, news())
            assert [len(each.apply([change], NOW)) for each in (book, other)] == [1, 0]
    assert len(rows(book)) == 3


def test_what_is_not_remembered_can_be_told_all_the_same(book: WarningLog) -> None:
    assert book.apply([Change(JOHN, None, None, news())], NOW, "operator")
    book.apply([Change(MARY, None, told(), None)], NOW)
    assert book.apply([Change(MARY, told(), told(), news(address=MARY))], NOW, "operator")
    assert [row.source for row in rows(book)] == ["operator", "operator"]


def test_a_higher_mark_takes_the_place_of_one_that_has_not_left(book: WarningLog) -> None:
    before = tell(book, "80%", 80.0)
    tell(book, "95%", 95.0, before)
    assert states(book) == {"80%": "dropped", "95%": "queued"}


def test_room_again_before_the_warning_left_is_no_news(book: WarningLog) -> None:
    before = tell(book, "80%", 80.0)
    book.apply([Change(JOHN, before, None, news("below"))], NOW)
    assert states(book) == {"80%": "dropped"}


def test_room_again_is_news_to_who_was_told_before(book: WarningLog) -> None:
    before = tell(book, "80%", 80.0)
    (claimed,) = book.claim(NOW, 5)
    book.done(claimed.id, NOW + 1, "maildir")
    before = tell(book, "95%", 95.0, before)
    book.apply([Change(JOHN, before, None, news("below"))], NOW)
    assert states(book) == {"80%": "sent", "95%": "dropped", "below": "queued"}


def test_what_is_claimed_is_nobody_elses(book: WarningLog) -> None:
    book.apply([Change(a, None, told(), news(address=a)) for a in (JOHN, MARY)], NOW)
    (first,) = book.claim(NOW, 1)
    assert first == Claimed(first.id, NOW, news(), "state", 0, False)
    (second,) = book.claim(NOW, 5)
    assert second.news.address == MARY
    assert book.claim(NOW, 5) == []
    assert {row.state for row in rows(book)} == {"queued"}


def test_one_can_be_claimed_by_its_account(book: WarningLog) -> None:
    book.apply([Change(a, None, told(), news(address=a)) for a in (JOHN, MARY)], NOW)
    assert [c.news.address for c in book.claim(NOW, 5, MARY)] == [MARY]
    assert book.claim(NOW, 5, MARY) == []


def test_what_a_killed_engine_was_sending_is_found_again(book: WarningLog) -> None:
    tell(book, "80%", 80.0)
    (claimed,) = book.claim(NOW, 1)
    assert book.claim(NOW + CLAIM_SECONDS - 1, 1) == []
    (again,) = book.claim(NOW + CLAIM_SECONDS, 1)
    assert again == claimed._replace(interrupted=True)
    assert book.claim(NOW + CLAIM_SECONDS, 1) == []


def test_the_ends_of_a_mail(book: WarningLog) -> None:
    tell(book, "80%", 80.0)
    (claimed,) = book.claim(NOW, 1)
    book.failed(claimed.id, 1, "no space left", NOW + 60)
    (row,) = rows(book)
    assert (row.state, row.attempts, row.error, row.next_try) == ("queued", 1, "no space left", NOW + 60)
    assert book.counts(NOW, 10) == (1, 0)
    assert book.claim(NOW + 59, 1) == []
    (claimed,) = book.claim(NOW + 60, 1)
    assert (claimed.attempts, claimed.interrupted) == (1, False)
    book.failed(claimed.id, 2, "no space left", None)
    assert [row.state for row in rows(book)] == ["failed"]
    assert (book.counts(NOW, 10), book.counts(NOW + 20, 10), book.counts(NOW - 20, 10)) == ((0, 1), (0, 0), (0, 0))
    tell(book, "95%", 95.0, told())
    (claimed,) = book.claim(NOW, 1)
    book.done(claimed.id, NOW + 5, "dovecot-lda")
    row = rows(book)[0]
    assert (row.state, row.method, row.sent_at, row.error) == ("sent", "dovecot-lda", NOW + 5, None)
    assert book.sent_since(NOW) == [NOW + 5]
    assert book.sent_since(NOW + 5) == []


def test_what_counts_as_told_just_now(book: WarningLog) -> None:
    """Waiting ones whatever their age, sent ones for a while, failed and dropped ones never."""
    before = tell(book, "80%", 80.0)
    assert book.recent(JOHN, NOW + 900, 600) == [("80%", 81.5, "queued", NOW)]
    (claimed,) = book.claim(NOW, 1)
    assert [state for _, _, state, _ in book.recent(JOHN, NOW + 900, 600)] == ["sending"]
    book.done(claimed.id, NOW + 5, "maildir")
    assert book.recent(JOHN, NOW + 605, 600) == [("80%", 81.5, "sent", NOW + 5)]
    assert book.recent(JOHN, NOW + 606, 600) == []
    assert book.recent(JOHN, NOW - 596, 600) == []  # sent in the future, by a clock that was wrong: not just now
    tell(book, "95%", 95.0, before)
    book.dropped(book.claim(NOW, 1)[0].id, "gone")
    assert [mark for mark, *_ in book.recent(JOHN, NOW, 600)] == ["80%"]


def test_old_ones_are_forgotten_and_waiting_ones_never(book: WarningLog) -> None:
    before = tell(book, "80%", 80.0, now=NOW - 100)
    book.done(book.claim(NOW, 1)[0].id, NOW, "maildir")
    tell(book, "95%", 95.0, before, now=NOW - 100)
    book.tidy(NOW - 50)
    assert states(book) == {"95%": "queued"}


PAUSES = (60.0, 300.0, 1800.0)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_clock_that_was_set_back_keeps_nothing_back(book: WarningLog, failures: int) -> None:
    """What is to be tried later than it ever would be is due; what waits for its next try goes on waiting."""
    tell(book, "80%", 80.0)
    (claimed,) = book.claim(NOW, 1)
    pause = (0.0, *PAUSES)[failures]
    book.failed(claimed.id, failures, "no space left", NOW + pause)
    if failures:
        assert book.claim(NOW, 1, pauses=PAUSES) == []
        assert book.claim(NOW + pause - 1, 1, pauses=PAUSES) == []
    assert len(book.claim(NOW - 11, 1, pauses=PAUSES)) == 1


def test_a_claim_ends_though_the_clock_was_set_back(book: WarningLog) -> None:
    """Another engine whose clock is a bit behind does not end it."""
    tell(book, "80%", 80.0)
    assert len(book.claim(NOW, 1)) == 1
    assert book.claim(NOW - CLAIM_SECONDS, 1) == []
    (again,) = book.claim(NOW - CLAIM_SECONDS - 1, 1)
    assert again.interrupted


def test_gone_accounts_are_forgotten(book: WarningLog) -> None:
    book.apply([Change(a, None, told(), None) for a in (JOHN, MARY)], NOW)
    book.forget([JOHN])
    assert set(book.told()) == {MARY}


def test_texts_from_outside_are_data(book: WarningLog) -> None:
    odd = "o'; DROP TABLE warning; --\x1b%s?@example.org"
    book.apply([Change(odd, None, told(), news(address=odd))], NOW)
    assert [row.address for row in rows(book)] == [odd]
    assert [row[2] for row in book.newest(odd)] == [odd]
    assert book.newest(JOHN) == []
