"""The ledger: totals are right after any history, readers hear of each change once, late figures change nothing."""

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
    """A ledger with these accounts, of which everybody has heard."""
    ledger = Ledger(IS_TRASH)
    ledger.set_accounts(accounts)
    ledger.take_changes()
    return ledger


def known(used: int, messages: int = 1, stamp: int | None = 7) -> Measurement:
    """A figure from maildirsize."""
    return Measurement(used, messages, "maildirsize", stamp)


def folder(name: str, size: int, messages: int) -> FolderSum:
    """One with everything in ``cur``."""
    return FolderSum(name, DirectorySum(1, 0, 0), DirectorySum(1, size, messages))


LIMITS = st.none() | st.integers(1, 10**6)
ACCOUNTS = st.lists(
    st.builds(Account, st.sampled_from(NAMES), LIMITS, st.booleans()), max_size=4, unique_by=lambda a: a.address
)
NAME = st.sampled_from(NAMES)
Step = Callable[[Ledger, dict[str, Entry]], object]


def measured(ledger: Ledger, seen: dict[str, Entry], name: str, used: int, late: bool) -> None:
    """A figure for an entry that somebody holds, perhaps of an account that is gone, perhaps from an old base."""
    if name in seen:
        entry = seen[name]
        base = known(-1) if late else entry.known
        taken = ledger.set_known(entry, base, known(used), 1.0)
        assert taken == (not late and ledger.get(name) is entry)


def failed(ledger: Ledger, seen: dict[str, Entry], name: str) -> None:
    """It can't be measured."""
    if name in seen:
        ledger.set_trouble(seen[name], "why")


STEPS: st.SearchStrategy[Step] = st.one_of(
    ACCOUNTS.map(lambda accounts: lambda ledger, _: ledger.set_accounts(accounts)),
    st.tuples(NAME, LIMITS).map(lambda args: lambda ledger, _: ledger.set_limit(*args)),
    st.tuples(NAME, st.integers(0, 2 * 10**6), st.booleans()).map(
        lambda args: lambda ledger, seen: measured(ledger, seen, *args)
    ),
    NAME.map(lambda name: lambda ledger, seen: failed(ledger, seen, name)),
    NAME.map(lambda name: lambda ledger, seen: name in seen and ledger.touch(seen[name])),
)


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=40))
def test_any_history(steps: list[tuple[Step, bool]]) -> None:
    """Totals are what a sum over all accounts gives; who follows the changes has what a snapshot gives."""
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
    """Totals from nothing."""
    totals = Totals()
    for entry in ledger.entries.values():
        totals.add(entry, 1)
    assert sum(totals.levels.values()) == len(ledger)
    return totals


def figures(row: AccountRow) -> tuple[object, ...]:
    """All but its age."""
    return row.limit_bytes, row.used_bytes, row.messages, row.source, row.enabled


def test_totals() -> None:
    """Levels, use, what was granted, and what would still fit."""
    ledger = made(*(Account(name, limit) for name, limit in zip(NAMES, (100, 100, None, 100), strict=True)))
    for name, used in zip(NAMES, (80, 150, 1000), strict=False):
        ledger.set_known(ledger.entries[name], None, known(used), 1.0)
    totals = ledger.totals
    assert {level: count for level, count in totals.levels.items() if count} == {
        Level.NEAR: 1, Level.OVER: 1, Level.UNLIMITED: 1, Level.UNKNOWN: 1
    }  # fmt: skip
    assert (totals.used, totals.granted, totals.free, totals.measured) == (1230, 300, 20 + 0 + 100, 3)


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
    """Its age is new, and nobody is told."""
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
    """A maildirsize of another limit is to be judged anew; the use stays. What was being measured is late."""
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
    """What was known is not known any more, until it is measured again."""
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
    ledger.forget_changes()
    assert ledger.take_changes() == ([], [])
    assert len(ledger) == 0


def test_touch() -> None:
    """What is shown besides figures is told too."""
    ledger = made(Account("a@x", 1))
    entry = ledger.entries["a@x"]
    entry.refused_at = 5.0
    ledger.touch(entry)
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
    """Not looked at yet is unknown; nothing found is 0."""
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
    assert Entry(Account(address, 1)).mailbox is expected


def test_who_left_is_noted_for_the_history_until_they_come_back() -> None:
    ledger = made(Account("a@x", 1), Account("b@x", 1))
    ledger.set_accounts([])
    assert ledger.left_unsampled == ledger.left == {"a@x", "b@x"}
    ledger.set_accounts([Account("a@x", 1)])
    assert ledger.left_unsampled == {"b@x"}


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
    entry.trend = trend
    assert ledger.row(entry).days_to_full == days
