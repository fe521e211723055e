"""What the engine writes down of its ledger, what it remembers, and which growth it calls a jump."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mailquota.core.history.connection import StateError
from mailquota.core.history.samples import AccountUsage, Change
from mailquota.core.history.thinning import SLOT
from tests.core.histories import DAY, GIB, HOUR, MIB, NOW, Life, play, rounds
from tests.core.loops import until

# ---- writing


def test_what_is_measured_is_written_once_a_slot(life: Life) -> None:
    """What changes again within it waits for the next one."""

    async def scene() -> None:
        life.accounts(None, "a", "b")
        sampler = life.sampler()
        life.measure(a=1, b=10)
        await sampler.round()
        for use in (2, 3, 4):
            life.measure(a=use)
            await sampler.round()
        assert (life.uses(), life.uses("b")) == ([1], [10])
        life.pass_time()
        await sampler.round()
        assert (life.uses(), life.uses("b")) == ([1, 4], [10])
        await rounds(life, sampler, 5, 6, 6)
        assert life.uses() == [1, 4, 6]  # 5 came in the slot of 4, and was gone in the next
        assert life.entry("a").changed_at == NOW + 2 * SLOT
        assert life.entry("b").changed_at == NOW

    play(scene)


def test_only_what_changed_is_looked_at(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[str]] = []
    write = life.samples.write

    def noting(figures: list[AccountUsage], now: float) -> list[Change]:
        written.append(sorted(figure.address for figure in figures))
        return write(figures, now)

    monkeypatch.setattr(life.samples, "write", noting)
    monkeypatch.setattr("mailquota.core.history.sampling._SLICE", 2)

    async def scene() -> None:
        life.accounts(None, "a", "b", "c")
        sampler = life.sampler()
        life.measure(a=1, b=1, c=1)
        await sampler.round()
        life.pass_time()
        await sampler.round()
        life.measure(b=2)
        await sampler.round()

    play(scene)
    assert written == [["a@x", "b@x"], ["c@x"], ["b@x"]]


def test_unknown_and_deleted_accounts_are_passed_over(life: Life) -> None:
    async def scene() -> None:
        life.accounts(None, "a", "b", "c")
        sampler = life.sampler()
        life.measure(a=1, b=1, c=1)
        life.ledger.set_trouble(life.entry("a"), "unreadable")
        life.accounts(None, "a", "c")
        await sampler.round()
        assert (life.uses("a"), life.uses("b"), life.uses("c")) == ([], [], [1])

    play(scene)


def test_one_that_is_deleted_while_it_is_written_breaks_nothing(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    write, go_on, begun = life.samples.write, threading.Event(), threading.Event()

    def slow(figures: list[AccountUsage], now: float) -> list[Change]:
        begun.set()
        assert go_on.wait(20)
        return write(figures, now)

    monkeypatch.setattr(life.samples, "write", slow)

    async def scene() -> None:
        life.accounts(None, "a", "b")
        sampler = life.sampler()
        life.measure(a=1, b=1)
        writing = asyncio.ensure_future(sampler.round())
        await until(begun.is_set)
        life.accounts(None, "b")
        go_on.set()
        await writing
        await sampler.round()
        assert {row.address: row.gone_at for row in life.samples.page(0)} == {"a@x": NOW, "b@x": None}

    play(scene)


def test_a_machine_without_the_time_writes_nothing_until_it_has_it(life: Life) -> None:
    async def scene() -> None:
        life.accounts(None, "a")
        sampler = life.sampler()
        life.measure(a=1)
        life.now = 100.0
        await sampler.round()
        await sampler.finish(1.0)
        life.now = NOW
        assert life.uses() == []
        await sampler.round()
        assert life.uses() == [1]

    play(scene)


def test_what_can_not_be_written_waits(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what changes meanwhile, each once."""
    monkeypatch.setattr("mailquota.core.history.sampling._SLICE", 1)

    async def scene() -> None:
        life.accounts(None, "a", "b", "c")
        sampler = life.sampler()
        life.measure(a=1, b=1, c=1)
        await sampler.load()
        with monkeypatch.context() as broken:
            broken.setattr(life.samples, "write", fail)
            for use in (2, 3):
                with pytest.raises(StateError):
                    await sampler.round()
                life.measure(b=use)
        await sampler.round()
        assert [life.uses(name) for name in "abc"] == [[1], [3], [1]]

    play(scene)


def fail(*_: object) -> list[Change]:
    raise StateError("the disk is full")


def test_the_end_writes_what_waits(life: Life) -> None:
    async def scene() -> None:
        life.accounts(None, "a", "b")
        sampler = life.sampler()
        life.measure(a=1)
        await sampler.round()
        life.measure(a=2)
        await sampler.round()
        life.measure(b=5)
        life.pass_time(60)
        await sampler.finish(10.0)
        assert (life.uses("a"), life.uses("b")) == ([2], [5])

    play(scene)


def test_the_end_writes_what_was_being_written(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that is cut off gives back what it had taken."""
    begun, go_on = threading.Event(), threading.Event()
    write = life.samples.write

    def hang(*_: object) -> list[Change]:
        begun.set()
        go_on.wait(20)
        raise StateError("too late")

    async def scene() -> None:
        life.accounts(None, "a", "b")
        sampler = life.sampler()
        life.measure(a=1, b=2)
        monkeypatch.setattr(life.samples, "write", hang)
        writing = asyncio.ensure_future(sampler.round())
        await until(begun.is_set)
        writing.cancel()
        await asyncio.wait([writing])
        monkeypatch.setattr(life.samples, "write", write)
        await sampler.finish(10.0)
        go_on.set()
        assert (life.uses("a"), life.uses("b")) == ([1], [2])

    play(scene)


def test_the_end_waits_no_longer_than_it_may(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailquota.core.history.sampling._LAST_SLICE", 1)

    async def scene() -> None:
        life.accounts(None, "a", "b")
        sampler = life.sampler()
        life.measure(a=1, b=2)
        await sampler.finish(0.0)
        assert life.uses("a") == life.uses("b") == []

    play(scene)


def test_a_database_begun_anew_gets_everybody(life: Life, tmp_path: Path) -> None:
    """Also where nothing changed; it shows as soon as something does."""

    async def scene() -> None:
        life.accounts(10 * GIB, "a", "b")
        sampler = life.sampler()
        life.measure(b=7)
        await rounds(life, sampler, 1)
        life.state.close()
        (tmp_path / "state" / "state.db").unlink()
        await rounds(life, sampler, 5 * GIB, 5 * GIB, 5 * GIB)
        assert (life.uses("a"), life.uses("b")) == ([5 * GIB], [7])
        assert life.jumps() == []

    play(scene)


# ---- remembering


def test_a_new_engine_remembers(life: Life, tmp_path: Path) -> None:
    """Growth, week and when the use changed, of accounts that it measured already and of others."""

    async def first() -> None:
        life.accounts(GIB, "a", "b", "c", "d")
        for days in range(10, -1, -1):
            life.now = NOW - days * DAY
            life.measure(a=(20 - days) * 10 * MIB, b=7, c=8, d=9)
            await life.sampler().round()
        await life.trend_job().compute_trends()

    async def second() -> None:
        later.accounts(GIB, "a", "b", "c")
        later.measure(b=7, c=9)
        later.ledger.take_changes()
        await later.sampler().load()
        assert {row.address for row in later.ledger.take_changes()[0]} == {"a@x", "b@x", "c@x"}
        a, b, c = (later.entry(name) for name in "abc")
        assert a.trend is not None
        assert (a.trend.growth, a.week, a.changed_at) == (10 * MIB, "1223445", NOW)
        assert b.changed_at == NOW - 10 * DAY
        assert c.changed_at == NOW + HOUR  # it is another one than the history knows
        assert later.ledger.take_gone_unsampled() == set()  # d may be another engine's

    play(first)
    later = Life(tmp_path / "state" / "state.db", NOW + HOUR)
    with closing(later.state):
        play(second)


def test_an_account_that_is_deleted_while_no_engine_runs_is_gone_after_days(life: Life) -> None:
    """Once no engine has looked after the account for days."""

    async def scene() -> None:
        life.accounts(None, "a", "b")
        life.measure(a=1, b=1)
        await life.sampler().round()
        life.accounts(None, "a")
        life.ledger.take_gone_unsampled()
        life.pass_time(2 * DAY)
        await life.sampler().round()
        assert [row.gone_at for row in life.samples.page(0)] == [None, None]
        life.pass_time(2 * DAY)
        await life.sampler().round()
        assert [row.gone_at for row in life.samples.page(0)] == [None, life.now]

    play(scene)


def test_left_accounts_that_can_not_be_noted_are_noted_later(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        life.accounts(None, "a", "b")
        life.measure(a=1, b=1)
        sampler = life.sampler()
        await sampler.round()
        life.accounts(None, "b")
        with monkeypatch.context() as broken:
            broken.setattr(life.samples, "gone", fail)
            with pytest.raises(StateError):
                await sampler.round()
        await sampler.round()
        assert [row.gone_at for row in life.samples.page(0)] == [NOW, None]
        assert life.ledger.take_gone_unjudged() == {"a@x"}  # is for others to clear

    play(scene)


# ---- jumps


def test_an_import_is_a_jump(life: Life) -> None:
    """With old and new usage and a reason; once a day however long it goes on."""

    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        sampler = life.sampler()
        await rounds(life, sampler, GIB, GIB + 5 * MIB, 3 * GIB, 5 * GIB, 7 * GIB)
        assert life.jumps() == [("a@x", GIB, 3 * GIB, "grew by 2 GiB within an hour")]
        life.pass_time(DAY)
        await rounds(life, sampler, 9 * GIB)
        assert len(life.jumps()) == 2
        newest = life.journal.read()[0]
        assert (newest.operator, newest.origin) == ("mailquota", "")

    play(scene)


def test_a_jump_is_noted_after_the_clock_was_set_back(life: Life) -> None:
    """From when on an account is watched is no matter of the clock on the wall."""

    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        sampler = life.sampler()
        await rounds(life, sampler, GIB)
        life.pass_time(-30 * DAY)
        await rounds(life, sampler, GIB + MIB, 2 * GIB, 4 * GIB)
        assert [jump[2] for jump in life.jumps()] == [4 * GIB]

    play(scene)


def test_a_loop_that_sends_small_mails_is_a_jump(life: Life) -> None:
    """By what an hour brings, though no quarter of it alone is much."""

    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        await rounds(life, life.sampler(), *(GIB + number * 260 * MIB for number in range(6)))
        ((_, old, new, _),) = life.jumps()
        assert new - old == 4 * 260 * MIB

    play(scene)


SLOW = [GIB + number * 240 * MIB for number in range(8)]


@pytest.mark.parametrize(
    ("uses", "limit"),
    [
        (SLOW, 10 * GIB),
        ([5 * GIB, GIB], 10 * GIB),
        ([0, 31 * MIB], 50 * MIB),
        ([0, 255 * MIB], None),
        ([GIB, 2 * GIB - 1], 10 * GIB),
    ],
    ids=["slow", "shrinks", "small", "without a limit", "a tenth"],
)
def test_what_is_no_jump(life: Life, uses: list[int], limit: int | None) -> None:
    async def scene() -> None:
        life.accounts(limit, "a")
        await rounds(life, life.sampler(), *uses)
        assert life.jumps() == []
        assert life.uses()[-1] == uses[-1]

    play(scene)


@pytest.mark.parametrize(("limit", "size"), [(50 * MIB, 33 * MIB), (None, 257 * MIB), (10 * GIB, GIB + 1)])
def test_what_is_one(life: Life, limit: int | None, size: int) -> None:
    async def scene() -> None:
        life.accounts(limit, "a")
        await rounds(life, life.sampler(), 0, size)
        assert len(life.jumps()) == 1

    play(scene)


def test_an_account_that_grows_much_each_day_has_no_jump(life: Life) -> None:
    """Eight days' growth within an hour is one; the reason has the usual growth."""

    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        life.now = NOW - 10 * DAY
        sampler = life.sampler()
        await rounds(life, sampler, *(number * 200 * MIB for number in range(10)), every=DAY)
        await life.trend_job().compute_trends()
        await rounds(life, sampler, 2000 * MIB, 3300 * MIB, 4900 * MIB)
        ((_, old, new, reason),) = life.jumps()
        assert (old, new) == (1800 * MIB, 4900 * MIB)
        assert reason == "grew by 3 GiB within an hour, usually 200 MiB a day"

    play(scene)


def test_what_came_while_the_engine_was_down_is_no_jump(life: Life, tmp_path: Path) -> None:
    """Nobody knows how fast it came. What comes after that is one again."""

    async def first() -> None:
        life.accounts(10 * GIB, "a")
        await rounds(life, life.sampler(), GIB, GIB + MIB)

    async def second() -> None:
        later.accounts(10 * GIB, "a")
        sampler = later.sampler()
        await rounds(later, sampler, 4 * GIB)
        assert later.jumps() == []
        await rounds(later, sampler, 6 * GIB)
        assert [jump[1:3] for jump in later.jumps()] == [(4 * GIB, 6 * GIB)]

    play(first)
    later = Life(tmp_path / "state" / "state.db", NOW + 3 * DAY)
    with closing(later.state):
        play(second)


def test_a_new_account_that_is_filled_is_no_jump_and_one_that_comes_back_neither(life: Life) -> None:
    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        sampler = life.sampler()
        await rounds(life, sampler, GIB, GIB + MIB)
        life.accounts(10 * GIB)
        await sampler.round()
        life.accounts(10 * GIB, "a")
        await rounds(life, sampler, 8 * GIB)
        assert life.jumps() == []
        assert life.uses() == [GIB, GIB + MIB, 8 * GIB]

    play(scene)


def test_a_jump_that_can_not_be_noted_is_logged_and_the_usage_stays(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        life.accounts(10 * GIB, "a")
        sampler = life.sampler()
        await rounds(life, sampler, GIB)
        monkeypatch.setattr(life.journal, "add", fail)
        await rounds(life, sampler, 5 * GIB)
        assert life.uses() == [GIB, 5 * GIB]
        assert life.entry("a").changed_at == NOW + SLOT

    play(scene)
    assert "a jump of a@x can't be noted: the disk is full" in caplog.text
