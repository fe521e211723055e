"""What is remembered of temporary limits, in both kinds of state database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.changes.temporary import Temporary, TemporaryLimits, holding, replace
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal, JournalEntry

JOHN, ANNA = "john@example.org", "anna@example.com"


@pytest.fixture
def temporary(state: StateDatabase) -> TemporaryLimits:
    return TemporaryLimits(state)


def edit(new: str = "2000", address: str = JOHN) -> JournalEntry:
    return JournalEntry(operator="mary", kind="limit", address=address, old="1000", new=new)


def taken_back(address: str, edit: int) -> JournalEntry:
    return JournalEntry(operator="mary", kind="limit", address=address, old="2000", new="1000", undoes=edit)


def test_they_run_from_the_moment_that_they_are_noted(temporary: TemporaryLimits) -> None:
    """Unlimited is None there and back."""
    first, second = temporary.begin([(JOHN, None, 2000, 50.0), (JOHN, 1000, None, 60.0)])
    assert temporary.running() == {
        JOHN: [
            Temporary(id=first, entry=None, address=JOHN, before=None, limit=2000, until=50.0),
            Temporary(id=second, entry=None, address=JOHN, before=1000, limit=None, until=60.0),
        ]
    }
    temporary.forget([first])
    assert [one.id for one in temporary.running()[JOHN]] == [second]


def test_they_are_due_on_their_day(temporary: TemporaryLimits) -> None:
    """The earliest first, and no more than wanted; an older one with the same limit as a newer one is not."""
    numbers = temporary.begin(
        [(JOHN, 1000, 2000, 50.0), (ANNA, 1000, 3000, 40.0), (JOHN, 1000, 2000, 60.0), (JOHN, 1000, 4000, 45.0)]
    )
    assert temporary.due(39.9, 10) == []
    assert [one.id for one in temporary.due(60.0, 10)] == [numbers[1], numbers[3], numbers[2]]
    assert [one.id for one in temporary.due(60.0, 1)] == [numbers[1]]
    assert temporary.next_end(0.0) == 40.0
    assert temporary.next_end(45.0) == 50.0
    assert temporary.next_end(60.0) is None


def test_an_edit_ends_what_ran_and_is_found_by_it(
    temporary: TemporaryLimits, journal: Journal, state: StateDatabase
) -> None:
    old, other = temporary.begin([(JOHN, 1000, 2000, 50.0), (ANNA, 1000, 2000, 50.0)])
    (entry,) = journal.add([edit()], lambda sql, numbers: replace(sql, 9.0, JOHN, numbers[0], None))
    assert [one.id for one in temporary.running()[ANNA]] == [other]
    assert JOHN not in temporary.running()
    assert [one.id for one in temporary.ended_by(entry, entry)[entry]] == [old]
    assert temporary.ended_by(entry + 1, entry + 9) == {}
    (new,) = temporary.begin([(JOHN, 1000, 3000, 50.0)])
    state.write(lambda sql: replace(sql, 9.0, JOHN, 77, (new, 76)))
    assert [(one.id, one.entry) for one in temporary.running()[JOHN]] == [(new, 76)]


def test_it_ends_once_with_its_entries(temporary: TemporaryLimits, journal: Journal) -> None:
    """Whoever comes second writes nothing."""
    temporary.begin([(JOHN, 1000, 2000, 50.0), (JOHN, 1000, 2000, 60.0), (ANNA, 1000, 2000, 50.0)])
    anna, john = temporary.due(99.0, 10)
    ending = [(john, edit()), (anna, None)]
    assert temporary.end(ending, 99.0) == [True, True]
    assert temporary.end(ending, 99.0) == [False, False]
    assert temporary.running() == {}
    ended, begun = journal.read()
    assert (begun.address, begun.new, begun.until) == (JOHN, "2000", 60.0)
    assert (ended.address, ended.undoes) == (JOHN, begun.id)


def test_the_newest_that_is_the_limit_holds() -> None:
    running = [
        Temporary(id=number, entry=None, address=JOHN, before=1, limit=limit, until=0.0)
        for number, limit in ((1, 5), (2, 7), (3, 5), (4, None))
    ]
    assert [holding(running, limit) for limit in (5, 7, None, 9)] == [running[2], running[1], running[3], None]


def test_the_newest_edit_is_whole_and_not_taken_back(journal: Journal) -> None:
    """Whatever lies between its entries, and behind them."""
    assert journal.newest_edit() == []
    (before,) = journal.add([edit()])
    trash = JournalEntry(operator="mary", kind="trash", address=JOHN, new="-5")
    first, _, third = journal.add([edit(), trash, edit(address=ANNA)])
    journal.add([JournalEntry(operator="", kind="start", new="x")])
    assert [row.id for row in journal.newest_edit()] == [third, first]
    (taken,) = journal.add([taken_back(JOHN, first)])
    assert [row.id for row in journal.newest_edit()] == [third]
    assert [row.id for row in journal.later(JOHN, before)] == [first, taken]
    journal.add([taken_back(ANNA, third)])
    assert [row.id for row in journal.newest_edit()] == [before]
    found = journal.entry(taken)
    assert found is not None
    assert (found.undoes, found.who) == (first, "mary")
    assert journal.entry(4711) is None


def test_starts_and_stops_are_found(journal: Journal) -> None:
    journal.add(
        [
            edit(),
            JournalEntry(operator="root", kind="start", new="a"),
            JournalEntry(operator="root", kind="stop", old="a"),
        ]
    )
    assert [row.kind for row in journal.runs(10)] == ["stop", "start"]
    assert [row.kind for row in journal.runs(1)] == ["stop"]


@pytest.mark.parametrize(
    "question",
    [
        lambda temporary, _: temporary.running(),
        lambda temporary, _: temporary.due(9.0, 5),
        lambda temporary, _: temporary.next_end(9.0),
        lambda temporary, _: temporary.ended_by(1, 2),
        lambda _, journal: journal.later(JOHN, 1),
        lambda _, journal: journal.runs(5),
        lambda _, journal: journal.entry(5),
    ],
)
def test_no_question_reads_everything(
    sqlite_target: Target, monkeypatch: pytest.MonkeyPatch, question: Callable[..., object]
) -> None:
    """By what SQLite says of its plan."""
    with closing(StateDatabase(sqlite_target)) as state:
        asked: list[tuple[str, Sequence[object]]] = []
        journal = Journal(state)
        journal.add([edit()])
        rows = state.rows

        def noted(sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
            asked.append((sql, values))
            return rows(sql, values)

        monkeypatch.setattr(state, "rows", noted)
        question(TemporaryLimits(state), journal)
        for sql, values in asked:
            plan = [row[3] for row in rows(f"EXPLAIN QUERY PLAN {sql}", values)]
            assert plan
            assert not [line for line in plan if line.startswith("SCAN")]
