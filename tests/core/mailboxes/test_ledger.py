"""The ledger: totals are right after any history, each job gets each change once, late measurements change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.model import Account, AccountRow, Level, Trend
from mailquota.core.mailboxes.folders import DirectorySum, FolderSum
from mailquota.core.mailboxes.ledger import Entry, Ledger, Totals
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.servers.dovecot.folder_names import TrashNames

NAMES = [f"{name}@example.org" for name in "abcd"]
IS_TRASH = TrashNames(("Trash",))


def made(*accounts: Account) -> Ledger:
    """A ledger with these accounts, whose changes have been taken."""
    ledger = Ledger(IS_TRASH)
    ledger.set_accounts(accounts)
    ledger.take_changes()
    return ledger


def known(used: int, messages: int = 1, stamp: int | None = 7) -> Measurement:
    """A measurement by maildirsize."""
    return Measurement(used, messages, "maildirsize", stamp)


def folder(name: str, size: int, messages: int) -> FolderSum:
    """One with everything in ``cur``."""
    return FolderSum(name, DirectorySum(1, 0, 0), DirectorySum(1, size, messages))


LIMITS = st.none() | st.integers(1, 10**6)
MESSAGES = st.none() | st.integers(1, 3)
ACCOUNT = st.builds(Account, st.sampled_from(NAMES), LIMITS, st.booleans(), limit_messages=MESSAGES)
ACCOUNTS = st.lists(ACCOUNT, max_size=4, unique_by=lambda a: a.address)
NAME = st.sampled_from(NAMES)
Step = Callable[[Ledger, dict[str, Entry]], object]


def measured(ledger: Ledger, seen: dict[str, Entry], name: str, used: int, late: bool) -> None:
    """A measurement for an entry, perhaps of an account that is gone, perhaps made from an old base."""
    if name in seen:
        entry = seen[name]
        base = known(-1) if late else entry.known
        taken = ledger.set_known(entry, base, known(used), 1.0)
        assert taken == (not late and ledger.get(name) is entry)


def failed(ledger: Ledger, seen: dict[str, Entry], name: str) -> None:
    """Note that it can't be measured."""
    if name in seen:
        ledger.set_trouble(seen[name], "why")


STEPS: st.SearchStrategy[Step] = st.one_of(
    ACCOUNTS.map(lambda accounts: lambda ledger, _: ledger.set_accounts(accounts)),
    st.tuples(NAME, LIMITS).map(lambda args: lambda ledger, _: ledger.set_limit(*args)),
    st.tuples(NAME, st.integers(0, 2 * 10**6), st.booleans()).map(
        lambda args: lambda ledger, seen: measured(ledger, seen, *args)
    ),
    st.tuples(NAME, MESSAGES).map(
        lambda args: lambda ledger, seen: args[0] in seen and ledger.set_limit_messages(seen[args[0]], args[1])
    ),
    NAME.map(lambda name: lambda ledger, seen: failed(ledger, seen, name)),
    NAME.map(lambda name: lambda ledger, seen: name in seen and ledger.touch(seen[name])),
)


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=40))
def test_any_history(steps: list[tuple[Step, bool]]) -> None:
    """Totals equal a sum over all accounts; the changes taken one after the other add up to all rows."""
    ledger = Ledger(IS_TRASH)
    seen: dict[str, Entry] = {}
    table: dict[str, AccountRow] = {}
    for step, listen in [*steps, (lambda *_: None, True)]:
        step(ledger, seen)
        for name, entry in ledger.entries.items():  # of the first two, entries from before they went are held
            if name not in NAMES[:2] or name not in seen:
                seen[name] = entry
        assert vars(ledger.totals) == vars(summed(ledger))
        if listen:
            changed, removed = ledger.take_changes()
            assert not set(removed) & set(ledger.entries)
            table |= {row.address: row for row in changed}
            for address in removed:
                table.pop(address, None)
            assert table.keys() == ledger.entries.keys()
    assert {name: figures(row) for name, row in table.items()} == {
        name: figures(ledger.row(entry)) for name, entry in ledger.entries.items()
    }


def summed(ledger: Ledger) -> Totals:
    """Totals as summed up anew."""
    totals = Totals()
    for entry in ledger.entries.values():
        totals.add(entry, 1)
    assert sum(totals.levels.values()) == len(ledger)
    return totals


def figures(row: AccountRow) -> tuple[object, ...]:
    """The row without the time of its measurement."""
    return row.limit_bytes, row.used_bytes, row.messages, row.source, row.enabled, row.limit_messages


def test_totals() -> None:
    """Accounts by level, usage, the sum of limits, and what they leave."""
    ledger = made(*(Account(name, limit) for name, limit in zip(NAMES, (100, 100, None, 100), strict=True)))
    for name, used in zip(NAMES, (80, 150, 1000), strict=False):
        ledger.set_known(ledger.entries[name], None, known(used), 1.0)
    totals = ledger.totals
    assert {level: count for level, count in totals.levels.items() if count} == {
        Level.NEAR: 1, Level.OVER: 1, Level.UNLIMITED: 1, Level.UNKNOWN: 1
    }  # fmt: skip
    assert (totals.used, totals.granted, totals.free, totals.measured) == (1230, 300, 20 + 0 + 100, 3)


def test_a_limit_of_messages() -> None:
    """At it the mailbox is over; Dovecot's own one holds until the database gives another one."""
    ledger = made(Account("a@x", None, limit_messages=3))
    entry = ledger.entries["a@x"]
    assert entry.level is Level.UNKNOWN
    ledger.set_known(entry, None, known(10, messages=2), 1.0)
    assert (entry.level, ledger.totals.levels[Level.UNLIMITED]) == (Level.UNLIMITED, 1)
    ledger.take_changes()
    ledger.set_limit_messages(entry, 2)
    assert (entry.level, ledger.totals.levels[Level.OVER]) == (Level.OVER, 1)
    (row,) = ledger.take_changes()[0]
    assert (row.limit_messages, row.level) == (2, Level.OVER)
    ledger.set_limit("a@x", 100)
    ledger.set_accounts([Account("a@x", 100, limit_messages=3)])
    assert entry.limit_messages == 2
    ledger.set_accounts([Account("a@x", 100, limit_messages=4)])
    assert (entry.limit_messages, entry.level) == (4, Level.OK)
    ledger.set_accounts([])
    ledger.set_limit_messages(entry, 1)
    assert ledger.take_changes() == ([], ["a@x"])


def test_a_late_figure_is_dropped() -> None:
    """Of two that measured from the same base the first one counts; of an account that came anew, none."""
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    assert ledger.set_known(entry, None, known(10), 1.0)
    assert not ledger.set_known(entry, None, known(20), 2.0)
    assert (entry.used, entry.measured_at) == (10, 1.0)
    ledger.set_accounts([])
    ledger.set_accounts([Account("a@x", 100)])
    assert not ledger.set_known(entry, entry.known, known(30), 3.0)
    ledger.set_trouble(entry, "late")
    ledger.touch(entry)
    assert ledger.entries["a@x"].used is None
    assert ledger.entries["a@x"].trouble is None
    assert [row.used_bytes for row in ledger.take_changes()[0]] == [None]


def test_the_same_figure_again() -> None:
    """The time of the measurement is new, and no row has changed."""
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    figure = known(10)
    ledger.set_known(entry, None, figure, 1.0)
    ledger.take_changes()
    assert ledger.set_known(entry, figure, figure, 9.0)
    assert entry.measured_at == 9.0
    assert ledger.take_changes() == ([], [])
    assert ledger.set_known(entry, figure, known(10, stamp=8), 10.0)
    assert ledger.take_changes() == ([], [])
    assert ledger.set_known(entry, entry.known, known(10, messages=2), 11.0)
    assert [row.messages for row in ledger.take_changes()[0]] == [2]


def test_a_new_limit_makes_a_figure_doubtful() -> None:
    """maildirsize has to be judged anew; the usage stays. A measurement that was going on is not taken."""
    ledger = made(Account("a@x", 100), Account("b@x", 100))
    a, b = ledger.entries.values()
    ledger.set_known(a, None, known(10), 1.0)
    ledger.set_known(b, None, known(10, stamp=0), 1.0)
    before = a.known
    ledger.set_limit("a@x", 50)
    ledger.set_limit("b@x", 50)
    assert a.known is not None
    assert (a.used, a.known.stamp, a.limit) == (10, None, 50)
    assert b.known is not None
    assert b.known.stamp == 0  # the folders do not depend on a limit
    assert not ledger.set_known(a, before, known(20), 2.0)
    ledger.set_limit("nobody@x", 50)
    assert sorted(row.address for row in ledger.take_changes()[0]) == ["a@x", "b@x"]
    ledger.set_limit("a@x", 50)
    assert ledger.take_changes() == ([], [])


def test_trouble() -> None:
    """The usage is not known until the mailbox is measured again."""
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    ledger.set_known(entry, None, known(100), 1.0)
    ledger.take_changes()
    ledger.set_trouble(entry, "the disk is gone")
    ledger.set_trouble(entry, "the disk is gone")
    assert entry.level is Level.UNKNOWN
    (row,), _ = ledger.take_changes()
    assert (row.used_bytes, row.source, row.measured_at) == (None, None, None)
    ledger.set_known(entry, None, known(100), 2.0)
    assert (entry.trouble, entry.level) == (None, Level.OVER)


def test_changes_and_removals() -> None:
    """New, changed and gone accounts, each once; an account that came back is not gone."""
    ledger = Ledger(IS_TRASH)
    ledger.set_accounts([Account("a@x", 1), Account("b@x", 1)])
    assert [row.address for row in ledger.take_changes()[0]] == ["a@x", "b@x"]
    ledger.set_accounts([Account("a@x", 1), Account("b@x", 1)])
    assert ledger.take_changes() == ([], [])
    ledger.set_accounts([Account("a@x", 1, enabled=False)])
    (changed,), removed = ledger.take_changes()
    assert (changed.address, changed.enabled, removed) == ("a@x", False, ["b@x"])
    ledger.set_accounts([])
    ledger.set_accounts([Account("a@x", 5)])
    (changed,), removed = ledger.take_changes()
    assert (changed.limit_bytes, removed) == (5, [])
    ledger.set_accounts([])
    ledger.take_changed()
    assert ledger.take_changes() == ([], [])
    assert len(ledger) == 0


def test_touch() -> None:
    """A refusal changes the row as usage does."""
    ledger = made(Account("a@x", 1))
    entry = ledger.entries["a@x"]
    ledger.note_refusal(entry, 5.0)
    assert [row.refused_at for row in ledger.take_changes()[0]] == [5.0]


@pytest.mark.parametrize(
    ("folders", "trash"),
    [
        (None, (None, None)),
        ((), (0, 0)),
        ((folder("INBOX", 5, 1), folder("Trash", 7, 2), folder("Trash.Old", 1, 1), folder("Trashy", 9, 9)), (8, 3)),
    ],
)
def test_share_of_trash_in_a_row(folders: tuple[FolderSum, ...] | None, trash: tuple[int | None, int | None]) -> None:
    """Unknown before the folders were read; 0 where nothing is in Trash."""
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    ledger.set_known(entry, None, Measurement(50, 3, "scan", 0, None, folders), 1.0)
    row = ledger.row(entry)
    assert (row.trash_bytes, row.trash_messages) == trash
    assert (row.used_bytes, row.messages, row.source, row.measured_at) == (50, 3, "scan", 1.0)


@pytest.mark.parametrize(
    ("address", "expected"), [("a@x", True), ("o'hara@x", False), ("a/b@x", False), ("..@x", False)]
)
def test_who_has_a_mailbox(address: str, expected: bool) -> None:
    """Names that Dovecot does not look up have none."""
    assert made(Account(address, 1)).entries[address].mailbox is expected


def test_who_left_is_noted_for_the_history_until_they_come_back() -> None:
    ledger = made(Account("a@x", 1), Account("b@x", 1))
    ledger.set_accounts([])
    ledger.set_accounts([Account("a@x", 1)])
    assert ledger.take_gone_unjudged() == {"a@x", "b@x"}  # whoever judges looks whether they are back
    assert ledger.take_gone_unsampled() == {"b@x"}
    ledger.put_back_gone_unsampled(["b@x"])
    assert (ledger.take_gone_unsampled(), ledger.take_gone_unsampled()) == ({"b@x"}, set())


@pytest.mark.parametrize(
    ("limit", "used", "trend", "days"),
    [
        (100, 50, Trend(10, 5, 20), 5.0),
        (100, 50, Trend(0, -5, 5), None),
        (100, 50, None, None),
        (100, 100, None, 0.0),
        (100, 120, Trend(-5, -9, -1), 0.0),
        (None, 50, Trend(10, 5, 20), None),
    ],
)
def test_days_to_full_in_a_row(limit: int | None, used: int, trend: Trend | None, days: float | None) -> None:
    """At the limit it is now, whatever the growth is."""
    ledger = made(Account("a@x", limit))
    entry = ledger.entries["a@x"]
    ledger.set_known(entry, None, known(used), 1.0)
    ledger.set_trend(entry, trend, "")
    assert ledger.row(entry).days_to_full == days


def test_what_could_not_be_judged_is_judged_before_what_changed_meanwhile() -> None:
    ledger = made(Account("a@x", 100), Account("b@x", 100), Account("c@x", 100))
    taken = ledger.take_unjudged()
    assert list(taken) == ["a@x", "b@x", "c@x"]
    assert ledger.take_unjudged() == {}
    del taken["a@x"]
    for name in ("a@x", "c@x"):
        ledger.set_known(ledger.entries[name], None, known(50), 1.0)
    ledger.put_back_unjudged(taken)
    assert list(ledger.take_unjudged()) == ["b@x", "c@x", "a@x"]


def test_the_history_gets_what_changed_and_all_of_it_where_its_database_is_new() -> None:
    ledger = made(Account("a@x", 100), Account("b@x", 100))
    a, b = (ledger.entries[name] for name in ("a@x", "b@x"))
    ledger.set_known(a, None, known(50), 1.0)
    assert ledger.take_unsampled() == {"a@x": a}
    for at in (20.0, 10.0, 30.0):  # the clock was set back between them
        ledger.note_sampled(a, at)
    assert (a.sampled_from, a.sampled_at, b.sampled_at) == (10.0, 30.0, None)
    assert ledger.take_unsampled() == {}
    ledger.sample_all_anew()
    assert (a.sampled_from, a.sampled_at) == (None, None)
    assert ledger.take_unsampled() == {"a@x": a, "b@x": b}


def test_only_another_trend_changes_the_row() -> None:
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    for week, changed in (("123", 1), ("123", 0), ("124", 1)):
        ledger.set_trend(entry, Trend(10, 5, 20), week)
        assert len(ledger.take_changes()[0]) == changed


def test_a_recount_ends_a_difference_and_makes_the_check_due() -> None:
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    never = entry.compared_at
    ledger.note_compared(entry, 5.0)
    ledger.set_drift(entry, 7)
    assert (entry.drift, entry.compared_at) == (7, 5.0)
    ledger.forget_drift(entry)
    assert (entry.drift, entry.compared_at) == (None, never)
    assert never < 0.0


def test_a_change_of_the_file_ends_freshness() -> None:
    """Only an event is counted: it tells a probe that is going on that its measurement may be old."""
    entry = Entry(Account("a@x", 100))
    entry.keep_fresh(9.0)
    entry.note_event()
    assert (entry.fresh_until, entry.events) == (0.0, 1)
    entry.keep_fresh(9.0)
    entry.end_freshness()
    assert (entry.fresh_until, entry.events) == (0.0, 1)


def test_nothing_is_shown_of_an_account_that_is_gone() -> None:
    """Its entry may still be in the hands of an answer or a thread."""
    ledger = made(Account("a@x", 100))
    entry = ledger.entries["a@x"]
    ledger.set_accounts([])
    ledger.take_changes()
    ledger.note_refusal(entry, 5.0)
    ledger.note_change(entry, 5.0)
    ledger.set_trend(entry, None, "123")
    assert ledger.take_changes() == ([], [])
