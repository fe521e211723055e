"""The history of usage: it is read as it was written, thinned out with age, with several writers and wrong clocks."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailquota.core.base.growth import DAY
from mailquota.core.base.model import Point, Trend
from mailquota.core.base.mysql import Target
from mailquota.core.history.connection import Sql
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Change, Samples
from mailquota.core.history.thinning import SLOT, end_of

NOW = 1_800_000_000.0  # begins a slot
KEEP = 400.0 * DAY
HOUR = 3600.0
A, B = "a@example.org", "b@example.org"


@pytest.fixture
def samples(state: StateDatabase) -> Samples:
    """In a state database of either kind."""
    return Samples(state)


def write(samples: Samples, at: float, **uses: int) -> list[Change]:
    """What accounts hold, by the part before the @; each byte is a message."""
    return samples.write([AccountUsage(f"{name}@example.org", use, use) for name, use in uses.items()], at)


def uses(samples: Samples, address: str = A, since: float = 0.0, now: float = NOW) -> list[tuple[float, int]]:
    """The series, in slots before or after NOW."""
    return [((p.at - NOW) / SLOT, p.used_bytes) for p in samples.series(address, since, now)]


def rows(state: StateDatabase, table: str = "sample") -> int:
    return int(state.rows(f"SELECT COUNT(*) FROM {table}")[0][0])


def thin(samples: Samples, now: float, keep: float = KEEP) -> None:
    """All of it."""
    while steps := samples.due_merges(now, keep):
        for step in steps:
            while not samples.merge(step):
                pass


# ---- writing and reading


def test_only_what_differs_is_written(samples: Samples, state: StateDatabase) -> None:
    assert write(samples, NOW - 3 * SLOT, a=5, b=7) == [
        Change(address=A, old=None, new=5, usual=0),
        Change(address=B, old=None, new=7, usual=0),
    ]
    assert write(samples, NOW - 2 * SLOT, a=5, b=8) == [Change(address=B, old=7, new=8, usual=0)]
    assert write(samples, NOW - SLOT, a=5, b=8) == []
    assert samples.write([AccountUsage(A, 5, 6)], NOW) == [Change(address=A, old=5, new=5, usual=0)]
    assert uses(samples) == [(-3, 5), (0, 5)]
    assert uses(samples, B) == [(-3, 7), (-2, 8)]
    assert (rows(state), rows(state, "slot")) == (4, 3)


def test_within_a_slot_a_later_usage_replaces_the_earlier_one(samples: Samples) -> None:
    write(samples, NOW, a=1)
    write(samples, NOW + SLOT - 1, a=2)
    assert samples.series(A, 0.0, NOW + DAY) == [Point(NOW, 2, 2)]


def test_a_series_begins_with_what_held_then(samples: Samples) -> None:
    for hours, use in ((50, 1), (40, 2), (30, 3), (20, 4)):
        write(samples, NOW - hours * HOUR, a=use)
    assert [use for _, use in uses(samples, since=NOW - 35 * HOUR)] == [2, 3, 4]
    assert [use for _, use in uses(samples, since=NOW - 30 * HOUR)] == [3, 4]
    assert [use for _, use in uses(samples, since=NOW - HOUR)] == [4]
    assert samples.series("nobody@example.org", 0.0, NOW) == []


def test_reading_makes_no_file(sqlite_target: Target) -> None:
    assert sqlite_target.path is not None
    with closing(StateDatabase(sqlite_target)) as state:
        samples = Samples(state)
        assert not samples.series(A, 0.0, NOW)
        assert not samples.page(0)
        assert not samples.due_merges(NOW, KEEP)
    assert not sqlite_target.path.exists()


def test_what_was_known_is_remembered_page_by_page(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailquota.core.history.samples._PAGE", samples_page(2))
    write(samples, NOW - 5 * DAY, a=1, b=2, c=3)
    write(samples, NOW, b=4)
    samples.compute_trends({A: None, B: None}, NOW)
    first = samples.page(0)
    second = samples.page(first[-1].id)
    assert [row.address[0] for row in first] == ["a", "b"]
    assert [row.address[0] for row in second] == ["c"]
    assert samples.page(second[-1].id) == []
    assert [(row.used, row.messages, row.changed_at) for row in first] == [(1, 1, NOW - 5 * DAY), (4, 4, NOW)]
    assert (first[0].trend, first[0].week, first[0].reckoned_at) == (Trend(0, 0, 0), "3333333", NOW)
    assert (second[0].trend, second[0].week, second[0].reckoned_at) == (None, "", None)


def samples_page(most: int) -> str:
    from mailquota.core.history.samples import _PAGE, PAGE

    assert str(PAGE) in _PAGE
    return _PAGE.replace(str(PAGE), str(most))


def test_numbers_too_large_for_a_column_do_not_stop_the_others(samples: Samples) -> None:
    samples.write([AccountUsage(A, 2**70, 2**40), AccountUsage(B, -5, -5), AccountUsage("c@example.org", 3, 3)], NOW)
    assert samples.series(A, 0.0, NOW) == [Point(NOW, 2**63 - 1, 2**31 - 1)]
    assert samples.series(B, 0.0, NOW) == [Point(NOW, 0, 0)]
    assert samples.series("c@example.org", 0.0, NOW) == [Point(NOW, 3, 3)]


def test_addresses_from_outside_are_data(samples: Samples, state: StateDatabase) -> None:
    names = ["'; DROP TABLE sample; --@x", "ünï@exämple.org", "a%s?@x", "A@example.org", "x" * 300 + "@example.org"]
    write(samples, NOW, a=1)
    samples.write([AccountUsage(name, number, number) for number, name in enumerate(names)], NOW)
    assert [samples.series(name, 0.0, NOW)[0].used_bytes for name in names] == list(range(len(names)))
    assert rows(state, "account") == len(names) + 1


# ---- accounts that come and go


def test_an_account_that_comes_back_goes_on(samples: Samples) -> None:
    write(samples, NOW - 9 * HOUR, a=5)
    samples.gone([A], NOW - 8 * HOUR)
    assert samples.page(0)[0].gone_at == NOW - 8 * HOUR
    samples.gone([A], NOW - 7 * HOUR)
    assert samples.page(0)[0].gone_at == NOW - 8 * HOUR  # it was gone already
    assert write(samples, NOW, a=6) == [Change(address=A, old=5, new=6, usual=0)]
    assert samples.page(0)[0].gone_at is None
    assert [use for _, use in uses(samples)] == [5, 6]


def test_one_that_comes_back_as_it_was_is_there_again(samples: Samples) -> None:
    write(samples, NOW - HOUR, a=5)
    samples.gone([A], NOW - HOUR)
    assert write(samples, NOW, a=5) == []
    assert samples.page(0)[0].gone_at is None


def test_one_that_another_engine_takes_for_gone_is_not_while_it_is_looked_after(samples: Samples) -> None:
    write(samples, NOW - HOUR, a=5)
    samples.gone([A], NOW - HOUR)
    samples.compute_trends({A: None}, NOW)
    assert samples.page(0)[0].gone_at is None


def test_an_account_that_is_gone_for_long_is_deleted(samples: Samples, state: StateDatabase) -> None:
    write(samples, NOW - 10 * DAY, a=1, b=2)
    samples.compute_trends({A: None, B: None}, NOW - 9 * DAY)
    samples.gone([A], NOW - 5 * DAY)
    assert samples.remove(NOW, 6 * DAY)
    assert rows(state, "account") == 2
    assert samples.remove(NOW, 4 * DAY)
    assert [row.address for row in samples.page(0)] == [B]
    assert rows(state, "latest") == rows(state, "trend") == 1
    assert samples.series(A, 0.0, NOW) == []


def test_an_account_that_was_written_in_the_future_is_deleted_like_others(samples: Samples) -> None:
    """An engine that does not have an account takes it for gone where none looked after it for days."""
    write(samples, NOW + 3650 * DAY, a=1)
    write(samples, NOW + DAY, b=1)
    assert [row.address for row in samples.page(0) if row.is_unseen(NOW)] == [A]


def test_an_account_that_went_in_the_future_goes_now(samples: Samples) -> None:
    """The clock was wrong then: what is kept for days is not kept for years."""
    write(samples, NOW, a=1)
    samples.gone([A], NOW + 3650 * DAY)
    samples.remove(NOW, 4 * DAY)
    samples.remove(NOW + 5 * DAY, 4 * DAY)
    assert samples.page(0) == []


def test_many_that_are_gone_are_forgotten_in_parts(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailquota.core.history.samples._REMOVED", 2)
    write(samples, NOW, a=1, b=2, c=3)
    samples.gone([A, B, "c@example.org"], NOW)
    assert not samples.remove(NOW + 1, 0.0)
    assert samples.remove(NOW + 1, 0.0)
    assert samples.page(0) == []


# ---- thinning out


def test_the_history_is_thinned_out_and_each_day_keeps_its_last_usage(
    samples: Samples, state: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several parts, of accounts of which one changes always and one seldom."""
    monkeypatch.setattr("mailquota.core.history.samples._LIMIT_OF_PART", samples_part(1))
    seldom = {-60 * DAY: 100, -30 * DAY + 6 * HOUR: 200, -3 * DAY: 300}
    times = [NOW - back * 6 * HOUR for back in range(240, -1, -1)]
    for number, at in enumerate(times):
        write(samples, at, a=number)
        if at - NOW in seldom:
            write(samples, at, b=seldom[at - NOW])
    thin(samples, NOW)
    series = samples.series(A, 0.0, NOW)
    for point in series:
        last = max(number for number, at in enumerate(times) if at < point.at + SLOT)
        assert point.used_bytes == last
    gaps = {after.at - before.at for before, after in pairwise(series) if after.at < NOW - 9 * DAY}
    assert gaps == {DAY}
    assert [use for _, use in uses(samples, B)] == [100, 200, 300]
    assert rows(state, "slot") == len({slot for (slot,) in state.rows("SELECT slot FROM sample")})


def samples_part(most: int) -> str:
    from mailquota.core.history.samples import _LIMIT_OF_PART, _MERGED

    return _LIMIT_OF_PART.replace(str(_MERGED), str(most))


def test_at_the_end_of_the_kept_time_an_account_keeps_its_first_point(samples: Samples, state: StateDatabase) -> None:
    """Those of an account that is gone are not."""
    write(samples, NOW - 450 * DAY, a=1, b=2)
    write(samples, NOW - 300 * DAY, c=3)
    samples.gone([B], NOW - 50 * DAY)
    write(samples, NOW - 200 * DAY, a=4)
    thin(samples, NOW)
    assert [use for _, use in uses(samples)] == [1, 4]
    assert [point.used_bytes for point in samples.series(B, 0.0, NOW)] == []
    assert (rows(state), rows(state, "slot")) == (3, 2)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(0, 2000),
)
def test_thinning_changes_no_last_usage_of_a_day(steps: list[tuple[int, int]], later: int) -> None:
    """Of any life: what held at the end of a coarser slot holds there afterwards."""
    with TemporaryDirectory() as folder, closing(StateDatabase(Target("sqlite", path=Path(folder, "s.db")))) as state:
        samples, slot, held = Samples(state), 2_000_000, {}
        for wait, use in steps:
            slot += wait
            write(samples, slot * SLOT, a=use)
            held[slot] = use
        now = slot + later
        thin(samples, now * SLOT)
        series = {int(p.at // SLOT): p.used_bytes for p in samples.series(A, 0.0, now * SLOT)}
        for at in range(2_000_000, now + 1):
            width = 96 if at < (now - 8 * 96) // 96 * 96 else 12 if at < now - 96 else 1
            if at == end_of(at, width):
                assert last_before(series, at) == last_before(held, at)


def last_before(series: dict[int, int], slot: int) -> int | None:
    return next((use for at, use in sorted(series.items(), reverse=True) if at <= slot), None)


# ---- clocks


def test_a_clock_that_was_ahead_leaves_no_trace(samples: Samples) -> None:
    """What it wrote is passed over, also when its time has come."""
    write(samples, NOW, a=1)
    write(samples, NOW + 40 * DAY, a=2)
    write(samples, NOW + SLOT, a=3)
    assert uses(samples, now=NOW + SLOT) == [(0, 1), (1, 3)]
    assert uses(samples, now=NOW + 60 * DAY) == [(0, 1), (1, 3)]
    thin(samples, NOW + 60 * DAY)
    assert [use for _, use in uses(samples, now=NOW + 60 * DAY)] in ([1, 3], [3])
    write(samples, NOW + 61 * DAY, a=4)
    assert [use for _, use in uses(samples, now=NOW + 61 * DAY)][-1] == 4


def test_a_clock_that_jumps_back_and_forth_breaks_nothing(samples: Samples) -> None:
    for number, days in enumerate((0, 500, -500, 3, -3, 0, 20_000, 1)):
        at = NOW + days * DAY
        write(samples, at, a=number)
        samples.compute_trends({A: 1000}, at)
        for step in samples.due_merges(at, KEEP):
            samples.merge(step)
        assert samples.series(A, 0.0, at)[-1].used_bytes == number


def test_a_trend_that_was_computed_in_the_future_is_computed_again(samples: Samples) -> None:
    write(samples, NOW - 3 * DAY, a=1)
    assert set(samples.compute_trends({A: None}, NOW + 500 * DAY)) == {A}
    assert set(samples.compute_trends({A: None}, NOW)) == {A}


# ---- reckoning


def test_growth_is_computed_once_a_day_and_stored(samples: Samples) -> None:
    for day in range(40, -1, -1):
        write(samples, NOW - day * DAY, a=1000 + (40 - day) * 10, b=7)
    found = samples.compute_trends({A: 1000, B: None, "nobody@example.org": 1}, NOW)
    assert found == {A: (Trend(10, 10, 10), "1223445"), B: (Trend(0, 0, 0), "3333333")}
    assert samples.compute_trends({A: 1000, B: None}, NOW + HOUR) == {}
    assert [row.trend for row in samples.page(0)] == [Trend(10, 10, 10), Trend(0, 0, 0)]
    assert set(samples.compute_trends({A: 1000, B: None}, NOW + DAY)) == {A, B}
    assert write(samples, NOW + DAY, a=1) == [Change(address=A, old=1400, new=1, usual=10)]


def test_growth_is_computed_from_a_history_that_was_thinned_out(samples: Samples) -> None:
    for quarter in range(40 * 24, -1, -1):
        write(samples, NOW - quarter * HOUR, a=10_000 - quarter)
    thin(samples, NOW)
    (found,) = samples.compute_trends({A: None}, NOW).values()
    assert found.trend is not None
    assert found.trend.low <= 24 <= found.trend.high
    assert found.trend.growth == pytest.approx(24, abs=2)


def test_an_account_of_yesterday_has_no_growth_yet(samples: Samples) -> None:
    write(samples, NOW - DAY, a=1)
    assert samples.compute_trends({A: None}, NOW) == {A: (None, "3333333")}
    assert samples.page(0)[0].trend is None


# ---- several engines


def test_a_jump_is_noted_once_a_day_by_one(samples: Samples, target: Target) -> None:
    write(samples, NOW, a=1)
    with closing(StateDatabase(target)) as other:
        assert samples.claim_jump(A, NOW)
        assert not Samples(other).claim_jump(A, NOW)
        assert not samples.claim_jump(A, NOW + DAY - 1)
        assert Samples(other).claim_jump(A, NOW + DAY + 1)
        assert not samples.claim_jump(A, NOW + 1)  # another engine's clock is a bit behind
        assert samples.claim_jump(A, NOW - DAY)  # the clock was set back
    assert not samples.claim_jump("nobody@example.org", NOW)


@pytest.mark.parametrize("same", [True, False], ids=["same accounts", "accounts of their own"])
def test_two_engines_write_into_one_database(target: Target, same: bool) -> None:
    """Each with its own connection, as fast as possible, while samples are thinned out and trends computed."""
    failures: list[BaseException] = []
    names = {"x": [f"{n}@x" for n in range(20)], "y": [f"{n}@{'x' if same else 'y'}" for n in range(20)]}

    def run(name: str) -> None:
        with closing(StateDatabase(target)) as state:
            try:
                for turn in range(30):
                    live(Samples(state), names[name], turn)
            except BaseException as error:
                failures.append(error)
                raise

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with closing(StateDatabase(target)) as state:
        samples = Samples(state)
        addresses = {a for some in names.values() for a in some}
        assert rows(state, "account") == len(addresses)
        thin(samples, NOW)
        for address in addresses:
            series = samples.series(address, 0.0, NOW)
            assert series[-1].used_bytes == 29
            assert [p.used_bytes for p in series] == sorted(p.used_bytes for p in series)


def live(samples: Samples, addresses: list[str], turn: int) -> None:
    """Six hours of an engine."""
    at = NOW - (30 - turn) * 6 * HOUR
    samples.write([AccountUsage(address, turn, turn) for address in addresses], at)
    samples.compute_trends(dict.fromkeys(addresses), at)
    for step in samples.due_merges(at, KEEP):
        samples.merge(step)


# ---- no query scans a whole table


class Noting:
    """A session that keeps what is asked of it."""

    def __init__(self, sql: Sql, asked: dict[str, int]) -> None:
        self._sql = sql
        self._asked = asked
        self.kind = sql.kind
        self.ignore = sql.ignore

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        self._asked[sql] = len(values)
        return self._sql.rows(sql, values)

    def change(self, sql: str, values: tuple[object, ...] = ()) -> int:
        self._asked[sql] = len(values)
        return self._sql.change(sql, values)

    def many(self, sql: str, values: list[tuple[object, ...]]) -> None:
        values = list(values)
        self._asked[sql] = len(values[0]) if values else sql.count("?")
        self._sql.many(sql, values)


def test_no_query_scans_a_whole_table(sqlite_target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement that these functions make is planned by an index, whatever it looks for."""
    asked: dict[str, int] = {}
    run = StateDatabase._run
    monkeypatch.setattr(
        StateDatabase,
        "_run",
        lambda self, work, writes: run(self, lambda sql: work(Noting(sql, asked)), writes=writes),
    )
    monkeypatch.setattr("mailquota.core.history.samples._LIMIT_OF_PART", samples_part(1))
    with closing(StateDatabase(sqlite_target)) as state:
        samples = Samples(state)
        for back in range(500 * 4, -1, -40):
            write(samples, NOW - back * 6 * HOUR, a=back, b=back, c=1)
        samples.page(0)
        samples.gone([B], NOW)
        write(samples, NOW, b=5, d=6)
        samples.gone([B], NOW - 300 * DAY)
        samples.series(A, NOW - 3 * DAY, NOW)
        samples.compute_trends({A: 1, "c@example.org": 1}, NOW)
        samples.claim_jump(A, NOW)
        thin(samples, NOW)
        samples.remove(NOW, DAY)
        made = dict(asked)
        monkeypatch.undo()
        plans = {
            sql: [str(row[3]) for row in state.rows(f"EXPLAIN QUERY PLAN {sql}", (1,) * count)]
            for sql, count in made.items()
        }
    assert len(plans) > 20
    assert {word.split()[0] for plan in plans.values() for word in plan if word} <= {"SEARCH", "USE", "LIST"}, plans
