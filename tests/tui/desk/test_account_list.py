"""The list behind the accounts table: incremental changes against sorting everything anew."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailquota.core.base.filters import parse_filter
from mailquota.core.base.model import AccountRow
from mailquota.tui.desk.account_columns import BY_KEY, COLUMNS
from mailquota.tui.desk.account_list import AccountList, View
from mailquota.tui.draw.grid import Column
from tests.tui import world

SIZES = st.one_of(st.none(), st.integers(0, 200))


@st.composite
def row(draw: st.DrawFn) -> AccountRow:
    """Few addresses and few sizes, so that there are equal values and changes of the same account."""
    number = draw(st.integers(0, 30))
    return AccountRow(f"user{number}@example.org", draw(SIZES) or None, draw(SIZES), draw(SIZES))


ROWS = st.lists(row(), max_size=40)
FILTERS = st.sampled_from(["", "over", "!near", "user1", ">50%"])


def shown(accounts: AccountList) -> list[str]:
    """What a sort of everything gives, by the rules: by value, unknown last, equals by address."""
    view = accounts.view
    rows = [row for row in accounts.rows.values() if view.filter is None or view.filter.matches(row, world.NOW)]
    if view.column.sort is None:
        return sorted((row.address for row in rows), reverse=view.inverted)
    values = view.values(rows)
    return sorted((row.address for row in rows), key=lambda address: (values[address], address))


def arranged(accounts: AccountList, **changes: object) -> None:
    """Another view, to its end."""
    accounts.wanted = replace(accounts.wanted, **changes)  # type: ignore[arg-type]
    for _slice in accounts.arrange(world.NOW):
        pass


@settings(deadline=None)
@given(
    first=ROWS,
    changes=st.lists(st.tuples(ROWS, st.lists(st.integers(0, 30), max_size=5)), max_size=5),
    column=st.sampled_from(COLUMNS),
    inverted=st.booleans(),
    text=FILTERS,
)
def test_changes_keep_the_order_that_sorting_everything_gives(
    first: list[AccountRow],
    changes: list[tuple[list[AccountRow], list[int]]],
    column: Column[AccountRow],
    inverted: bool,
    text: str,
) -> None:
    """In every column, both directions, with and without a filter; and each account is found where it is."""
    accounts = AccountList()
    found = parse_filter(text)
    accounts.wanted = View(column, inverted, found if found.words else None)
    accounts.replace(first, world.NOW)
    assert accounts.order == shown(accounts)
    for rows, removed in changes:
        accounts.update(rows, [f"user{number}@example.org" for number in removed], world.NOW)
        assert accounts.order == shown(accounts)
        for index, address in enumerate(accounts.order):
            assert accounts.find(address) == index


@settings(deadline=None, max_examples=50)
@given(first=st.lists(row(), min_size=1, max_size=40), rows=ROWS, gone=st.lists(st.integers(0, 30), max_size=5))
def test_changes_while_another_view_is_made_are_brought_in(
    first: list[AccountRow], rows: list[AccountRow], gone: list[int]
) -> None:
    """Rows that come, change or go between two slices are right in the new view."""
    accounts = AccountList()
    accounts.replace(first, world.NOW)
    accounts.wanted = View(BY_KEY["used"], filter=parse_filter("!user2"))
    making = accounts.arrange(world.NOW)
    next(making)
    accounts.update(rows, [f"user{number}@example.org" for number in gone], world.NOW)
    for _slice in making:
        pass
    assert accounts.view == accounts.wanted
    assert accounts.order == shown(accounts)


def test_a_snapshot_ends_a_view_that_was_being_made() -> None:
    """The new rows are shown as wanted, and the old ones don't come back."""
    accounts = AccountList()
    accounts.replace(world.accounts(50), world.NOW)
    accounts.wanted = View(BY_KEY["address"])
    making = accounts.arrange(world.NOW)
    next(making)
    accounts.replace(world.accounts(10), world.NOW)
    assert list(making) == []
    assert accounts.order == sorted(row.address for row in world.accounts(10))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("column", [BY_KEY["use"], BY_KEY["address"]])
@pytest.mark.parametrize("count", [300, 3000])
def test_many_changes_at_once_are_placed_as_one_by_one(count: int, column: Column[AccountRow], inverted: bool) -> None:
    """Whether they are sorted in, or all is sorted again."""
    accounts = AccountList()
    rows = world.accounts(12_000)
    accounts.replace(rows, world.NOW)
    arranged(accounts, column=column, inverted=inverted)
    changed = [msgspec.structs.replace(row, used_bytes=(row.used_bytes or 0) // 2) for row in rows[:count]]
    new = [msgspec.structs.replace(row, address=f"new{row.address}") for row in rows[:count]]
    gone = [row.address for row in rows[4000 : 4000 + count]]
    accounts.update([*changed, *new], gone, world.NOW)
    assert accounts.order == shown(accounts)
    assert len(accounts) == 12_000


class Counted(float):
    """A sort value that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) < float(other)

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return float(self) == other

    __hash__ = float.__hash__


def test_changes_of_some_rows_compare_a_few_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys wait while rows are placed: what that takes depends on how many changed."""
    accounts = AccountList()
    rows = world.accounts(20_000)
    accounts.replace(rows, world.NOW)
    plain = View.values
    monkeypatch.setattr(View, "values", lambda *given: {k: Counted(v) for k, v in plain(*given).items()})
    accounts.replace(rows, world.NOW)
    for count in (1, 50, 500):
        some = [accounts.rows[row.address] for row in rows[: count * 30 : 30]]
        Counted.compared = 0
        accounts.update([msgspec.structs.replace(row, measured_at=world.NOW) for row in some], [], world.NOW)
        assert Counted.compared <= 2 * count
        accounts.update([msgspec.structs.replace(row, used_bytes=12345) for row in some], [], world.NOW)
        assert Counted.compared <= count * 100
    assert accounts.order == shown(accounts)


def test_worst_come_first_to_begin_with() -> None:
    """By use, falling."""
    accounts = AccountList()
    accounts.replace(world.accounts(200), world.NOW)
    percents = [row.percent for address in accounts.order if (row := accounts.rows[address]).percent is not None]
    assert percents == sorted(percents, reverse=True)


@pytest.mark.parametrize("inverted", [False, True])
def test_what_is_not_known_comes_last_in_both_directions(inverted: bool) -> None:
    """Inverting turns the known round."""
    accounts = AccountList()
    accounts.replace(world.accounts(200), world.NOW)
    arranged(accounts, column=BY_KEY["used"], inverted=inverted)
    known = [accounts.rows[address].used_bytes is not None for address in accounts.order]
    assert known == sorted(known, reverse=True)
    assert not all(known)


def test_marks_survive_filters_and_are_summed() -> None:
    """By address; the sum follows changes, and an account that goes takes its mark along."""
    accounts = AccountList()
    accounts.replace([AccountRow("a@x", 100, 10), AccountRow("b@x", 100, 20), AccountRow("c@y", 100, None)], world.NOW)
    accounts.toggle("a@x")
    arranged(accounts, filter=parse_filter("@y"))
    accounts.mark_all()
    assert [row.address for row in accounts.marked()] == ["a@x", "c@y"]
    assert accounts.marked_bytes == 10
    accounts.update([AccountRow("c@y", 100, 5)], ["a@x"], world.NOW)
    assert accounts.marks == {"c@y"}
    assert accounts.marked_bytes == 5
    accounts.toggle("c@y")
    assert not accounts.marks
    assert accounts.marked_bytes == 0


def test_marks_survive_a_new_snapshot() -> None:
    """As far as their accounts do."""
    accounts = AccountList()
    accounts.replace(world.accounts(10), world.NOW)
    accounts.mark_all()
    accounts.replace(world.accounts(4), world.NOW)
    assert accounts.marks == {world.address(number) for number in range(4)}
    accounts.clear_marks()
    assert accounts.marked_bytes == 0


def test_marks_that_the_filter_hides_are_counted() -> None:
    """Without a filter none is hidden."""
    accounts = AccountList()
    accounts.replace(world.FIVE, world.NOW)
    accounts.mark_all()
    assert accounts.hidden_marks() == 0
    accounts.wanted = replace(accounts.wanted, filter=parse_filter("a@"))
    for _slice in accounts.arrange(world.NOW):
        pass
    assert (accounts.hidden_marks(), accounts.hides("a@example.org"), accounts.hides("b@example.org")) == (
        4,
        False,
        True,
    )
