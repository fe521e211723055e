"""Limits that go back by themselves: on their day, once, and never silently."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator

import pytest

from mailquota.core.base.times import local_time
from mailquota.core.control.results import SetResult
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.connection import StateError
from tests.core.changes.edits import entries, journal, mary, set_limits
from tests.core.clients import ask, until
from tests.core.engines import embedded, inner, measured, on_loop, rows
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, OVERQUOTA, SmallWorld

DAY = 86400.0


def later(engine: Embedded, days: float = 8) -> None:
    """So many days go by."""

    def shift(found: Engine) -> None:
        found.limits.changes.clock = lambda: time.time() + days * DAY
        found.limits.changes.noted.set()

    on_loop(engine, shift)


def look(engine: Embedded) -> None:
    """Have what is due ended now."""
    engine.call(inner(engine).upkeep.expiry.round())


def state(world: SmallWorld, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Something done to the state database behind the engine's back."""
    with contextlib.closing(sqlite3.connect(world.state)) as connection, connection:
        return connection.execute(sql, values).fetchall()


def running(world: SmallWorld) -> list[tuple[object, ...]]:
    """Address, limit before and limit of what has not ended."""
    return state(
        world, "SELECT address, before_bytes, limit_bytes FROM temporary_limits WHERE ended_at IS NULL ORDER BY id"
    )


def is_back(world: SmallWorld, address: str = JOHN, limit: int = LIMIT) -> Callable[[], bool]:
    return lambda: world.limit_of(address) == limit


# ---- its day


def test_it_goes_back_on_its_day_and_the_journal_says_so(engine: Embedded, small_world: SmallWorld) -> None:
    """Limit, table, next answer."""
    (done,) = set_limits(engine, [FULL], "20000", "1w")
    assert (done.error, done.new_bytes, done.then_bytes) == (None, 20_000, LIMIT)
    assert done.until is not None
    assert abs(done.until - time.time() - 7 * DAY) < 60
    assert ask(small_world.policy_socket, FULL) == "DUNNO"
    (raised,) = entries(engine)
    assert (raised.old, raised.new, raised.until, raised.undoes) == ("10000", "20000", done.until, None)
    later(engine, 6.9)
    look(engine)
    assert small_world.limit_of(FULL) == 20_000
    later(engine)
    until(is_back(small_world, FULL), "it is back")
    until(lambda: len(entries(engine)) == 2, "it is in the journal")
    assert rows(engine)[FULL].limit_bytes == LIMIT
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    ended = entries(engine)[1]
    assert (ended.operator, ended.origin, ended.kind, ended.address) == ("mailquota", "", "limit", FULL)
    assert (ended.old, ended.new, ended.until, ended.undoes) == ("20000", "10000", None, raised.id)
    assert ended.reason == (
        f"the temporary limit of 19.5 KiB until {local_time(done.until)} has ended, back to 9.8 KiB"
    )
    look(engine)
    assert len(entries(engine)) == 2


def test_the_engine_wakes_for_it(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the next of its regular looks."""
    monkeypatch.setattr("mailquota.core.changes.expiry._REST_SECONDS", 3600.0)
    with embedded(small_world) as engine:
        set_limits(measured(engine), [JOHN], "20000", "1s")
        assert small_world.limit_of(JOHN) == 20_000
        until(is_back(small_world), "it is back")


def test_it_goes_back_at_the_start_when_the_engine_was_down(small_world: SmallWorld) -> None:
    """Unlimited, too, and a limit that was lower for a while."""
    with embedded(small_world) as engine:
        set_limits(measured(engine), [JOHN, FREE], "20000", "1w")
    state(small_world, "UPDATE temporary_limits SET until = 1e9")
    assert small_world.limit_of(JOHN) == 20_000
    with embedded(small_world) as engine:
        until(is_back(small_world), "it is back")
        until(is_back(small_world, FREE, 0), "it is unlimited again")
        until(lambda: len(entries(engine)) == 4, "both are in the journal")
        assert [(entry.address, entry.new) for entry in entries(engine)[2:]] == [(JOHN, "10000"), (FREE, "unlimited")]


def test_an_account_over_its_old_limit_is_reported(
    engine: Embedded, small_world: SmallWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """In the journal and as a warning in the log, with the usage of now; others are no warning."""
    set_limits(engine, [FULL, JOHN], "1M", "1w")
    small_world.deliver(FULL, 5 * 1024)
    with caplog.at_level(logging.INFO, "mailquota.core.changes.expiry"):
        later(engine)
        until(lambda: len(told(caplog)) == 2, "both have ended")
    full, john = entries(engine)[2:]
    assert full.reason.endswith("has ended, back to 9.8 KiB; the account is 5 KiB over it now")
    assert john.reason.endswith("has ended, back to 9.8 KiB")
    assert sorted(told(caplog)) == [f"INFO {JOHN}: {john.reason}", f"WARNING {FULL}: {full.reason}"]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log has of ends."""
    found = [record for record in caplog.records if record.name == "mailquota.core.changes.expiry"]
    return [f"{record.levelname} {record.getMessage()}" for record in found]


def test_an_unknown_use_is_said_to_be_unknown(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "1M", "1w")
    maildir = small_world.maildir(JOHN)
    maildir.rename(maildir.with_name("away"))
    maildir.write_text("no folder")
    later(engine)
    until(lambda: len(entries(engine)) == 2, "it has ended")
    assert entries(engine)[1].reason.endswith("back to 9.8 KiB; its usage is not known")


# ---- somebody else


def test_a_limit_that_was_changed_since_stays(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    small_world.set_limit(JOHN, 7777)
    later(engine)
    until(lambda: len(entries(engine)) == 2, "it has ended")
    assert small_world.limit_of(JOHN) == 7777
    raised, ended = entries(engine)
    assert (ended.operator, ended.old, ended.new, ended.undoes) == ("mailquota", "7777", "7777", raised.id)
    assert ended.reason.endswith("has ended; the limit stays 7.6 KiB, changed outside mailquota")
    assert running(small_world) == []


def test_an_account_that_is_gone_is_noted(engine: Embedded, small_world: SmallWorld) -> None:
    """And the others go on."""
    set_limits(engine, [JOHN, FULL], "20000", "1w")
    small_world.remove_account(JOHN)
    later(engine)
    until(is_back(small_world, FULL), "the other one is back")
    until(lambda: len(entries(engine)) == 4, "both are in the journal")
    gone = entries(engine)[2]
    assert (gone.address, gone.old, gone.new) == (JOHN, "20000", None)
    assert gone.reason.endswith("has ended, and the account is gone")
    assert running(small_world) == []


def test_a_lasting_edit_ends_it(engine: Embedded, small_world: SmallWorld) -> None:
    """And says so; its day is a day like any other."""
    set_limits(engine, [JOHN], "20000", "1w")
    raised = entries(engine)[0]
    set_limits(engine, [JOHN, FULL], "+1000")
    reasons = [entry.reason for entry in entries(engine)[1:]]
    assert raised.until is not None
    assert reasons == [f"she asked; ends the temporary limit until {local_time(raised.until)}", "she asked"]
    assert running(small_world) == []
    later(engine)
    look(engine)
    assert small_world.limit_of(JOHN) == 21_000
    assert len(entries(engine)) == 3


def test_it_is_made_lasting_by_setting_it_for_good(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    set_limits(engine, [JOHN], "20000")
    later(engine)
    look(engine)
    assert small_world.limit_of(JOHN) == 20_000


@pytest.mark.parametrize("size", ["30000", "20000", "+10000"])
def test_a_temporary_one_replaces_another_and_goes_back_to_the_lasting(
    engine: Embedded, small_world: SmallWorld, size: str
) -> None:
    """Higher, computed from it, or the same for longer."""
    set_limits(engine, [JOHN], "20000", "1w")
    (done,) = set_limits(engine, [JOHN], size, "3w")
    assert (done.old_bytes, done.then_bytes) == (20_000, LIMIT)
    assert "replaces the temporary limit until" in entries(engine)[1].reason
    assert running(small_world) == [(JOHN, LIMIT, done.new_bytes)]
    later(engine, 8)
    look(engine)
    assert small_world.limit_of(JOHN) == done.new_bytes
    later(engine, 22)
    until(is_back(small_world), "it is back")
    until(lambda: len(entries(engine)) == 3, "it is in the journal")
    assert entries(engine)[2].undoes == entries(engine)[1].id


def test_after_an_edit_elsewhere_that_one_is_the_lasting_limit(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    small_world.set_limit(JOHN, 7000)
    until(lambda: rows(engine)[JOHN].limit_bytes == 7000, "the edit is known")
    (done,) = set_limits(engine, [JOHN], "30000", "2w")
    assert done.then_bytes == 7000
    assert running(small_world) == [(JOHN, 7000, 30_000)]


# ---- trouble


def test_what_can_not_be_remembered_is_refused(small_world: SmallWorld) -> None:
    """Without its note a temporary limit would never end."""
    small_world.state.mkdir()
    with embedded(small_world) as engine:
        measured(engine)
        for dry_run in (True, False):
            with pytest.raises(StateError, match="nothing was changed, as a temporary limit could not be remembered"):
                set_limits(engine, [JOHN], "20000", "1w", dry_run=dry_run)
    assert small_world.limit_of(JOHN) == LIMIT


def test_what_is_not_set_is_not_remembered(engine: Embedded, small_world: SmallWorld) -> None:
    """Because it was changed meanwhile, or there is no such account."""
    small_world.set_limit(FULL, 5000)
    (lost, done, missing) = set_limits(engine, [FULL, JOHN, "x@y"], "20000", "1w")
    assert "changed meanwhile" in str(lost.error)
    assert (done.error, missing.code) == (None, 4)
    assert running(small_world) == [(JOHN, LIMIT, 20_000)]
    assert [entry.address for entry in entries(engine)] == [JOHN]


def test_a_dry_run_says_when_and_what_then(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    (plan,) = set_limits(engine, [JOHN], "30000", "2w", dry_run=True)
    assert (plan.old_bytes, plan.new_bytes, plan.then_bytes) == (20_000, 30_000, LIMIT)
    assert plan.until is not None
    assert small_world.limit_of(JOHN) == 20_000
    assert running(small_world) == [(JOHN, LIMIT, 20_000)]


def test_an_accounts_database_that_is_away_is_asked_again(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Gently, and the log has it once."""
    monkeypatch.setattr("mailquota.core.changes.expiry._REST_SECONDS", 0.01)
    set_limits(engine, [JOHN], "20000", "1w")
    away = small_world.database.with_name("away")
    small_world.database.rename(away)
    looks = count_looks(engine, monkeypatch)
    later(engine)
    until(lambda: len(looks) > 3, "it is tried more than once")
    away.rename(small_world.database)
    until(is_back(small_world), "it is back")
    until(lambda: len(entries(engine)) == 2, "it is in the journal")
    assert caplog.text.count("temporary limits can't be ended now: accounts database") == 1


def count_looks(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with each look."""
    expiry = inner(engine).upkeep.expiry
    end_due, looks = expiry.end_due, list[None]()

    async def counted(now: float) -> int:
        looks.append(None)
        return await end_due(now)

    monkeypatch.setattr(expiry, "end_due", counted)
    return looks


@contextlib.contextmanager
def locked(world: SmallWorld) -> Iterator[None]:
    """Nobody else can write to the state database for the length of the block."""
    with contextlib.closing(sqlite3.connect(world.state, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.rollback()


def test_a_note_that_can_not_be_made_is_made_later(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is back on its day; the journal gets one entry, when it can be written."""
    monkeypatch.setattr("mailquota.core.history.sqlite._BUSY_SECONDS", 0.01)
    monkeypatch.setattr("mailquota.core.changes.expiry._REST_SECONDS", 0.01)
    with embedded(small_world) as engine:
        measured(engine)
        set_limits(engine, [JOHN], "20000", "1w")
        with locked(small_world):
            later(engine)
            until(is_back(small_world), "it is back")
            look(engine)
        until(lambda: len(entries(engine)) == 2, "it is in the journal")
        look(engine)
        assert [(entry.old, entry.new) for entry in entries(engine)[1:]] == [("20000", "10000")]


def test_a_lasting_edit_without_a_journal_says_what_it_could_not_end(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where that would matter."""
    monkeypatch.setattr("mailquota.core.history.sqlite._BUSY_SECONDS", 0.01)
    with embedded(small_world) as engine:
        measured(engine)
        set_limits(engine, [JOHN], "20000", "1w")
        with locked(small_world):
            (same,) = set_limits(engine, [JOHN], "20000")
            (other,) = set_limits(engine, [JOHN], "30000")
    assert str(same.remark).startswith("done, but not in the journal")
    assert str(same.remark).endswith("; its temporary limit still ends on its day")
    assert "still ends" not in str(other.remark)


# ---- killed in between


def begin(engine: Embedded, before: int, limit: int) -> None:
    """A temporary limit that is noted before it is set, by a process that is then killed."""
    temporary = inner(engine).limits.changes.temporary
    temporary.begin([(JOHN, before, limit, time.time() + 7 * DAY)])


def test_a_raise_whose_entry_is_missing_ends_all_the_same(engine: Embedded, small_world: SmallWorld) -> None:
    """And then the journal has both."""
    begin(engine, LIMIT, 20_000)
    small_world.set_limit(JOHN, 20_000)
    later(engine)
    until(is_back(small_world), "it is back")
    until(lambda: len(entries(engine)) == 2, "it is in the journal")
    raised, ended = entries(engine)
    assert (raised.old, raised.new, raised.reason) == (
        "10000",
        "20000",
        "operator not known: stopped before this entry was written",
    )
    assert (ended.old, ended.new, ended.undoes) == ("20000", "10000", raised.id)


@pytest.mark.parametrize("before", [LIMIT, 5000])
def test_a_raise_that_was_never_made_leaves_no_trace(engine: Embedded, small_world: SmallWorld, before: int) -> None:
    """Whether the limit is that of before, or was changed since."""
    begin(engine, before, 20_000)
    later(engine)
    until(lambda: running(small_world) == [], "it has ended")
    assert small_world.limit_of(JOHN) == LIMIT
    assert journal(engine) == []


def test_killed_while_it_was_made_longer(engine: Embedded, small_world: SmallWorld) -> None:
    """Whoever wanted it longer does not get it shorter: the limit is the same, and the later day counts."""
    set_limits(engine, [JOHN], "20000", "1d")
    begin(engine, LIMIT, 20_000)
    later(engine, 2)
    look(engine)
    assert small_world.limit_of(JOHN) == 20_000
    later(engine, 8)
    until(is_back(small_world), "it is back")
    until(lambda: running(small_world) == [], "both have ended")


def test_killed_between_going_back_and_the_note(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    small_world.set_limit(JOHN, LIMIT)
    later(engine)
    until(lambda: len(entries(engine)) == 2, "it is in the journal")
    ended = entries(engine)[1]
    assert (ended.old, ended.new) == ("20000", "10000")
    assert ended.reason.endswith("back to 9.8 KiB")


# ---- two engines


@contextlib.contextmanager
def two_engines(world: SmallWorld) -> Iterator[tuple[Embedded, Embedded]]:
    """On the same databases, with sockets of their own."""
    with embedded(world) as one:
        sockets = world.policy_socket, world.control_socket
        world.settings["policy"]["listen"] = [f"unix:{world.folder}/other.sock"]
        world.settings["control"]["socket"] = f"{world.folder}/other-control.sock"
        world.write_settings()
        world.policy_socket, world.control_socket = world.folder / "other.sock", world.folder / "other-control.sock"
        with embedded(world) as other:
            yield measured(one), measured(other)
        world.policy_socket, world.control_socket = sockets


def test_of_two_engines_one_ends_it(small_world: SmallWorld) -> None:
    """Both see that it is due."""
    addresses = [f"many{number}@example.org" for number in range(30)]
    for address in addresses:
        small_world.add_account(address)
    with two_engines(small_world) as (one, other):
        set_limits(one, addresses, "20000", "1w")
        later(one)
        later(other)
        until(lambda: running(small_world) == [], "all have ended")
        ended = entries(one)[len(addresses) :]
    assert sorted(entry.address for entry in ended) == sorted(addresses)
    assert {(entry.old, entry.new) for entry in ended} == {("20000", "10000")}
    assert {small_world.limit_of(address) for address in addresses} == {LIMIT}


def test_an_edit_and_an_end_do_not_meet(engine: Embedded, small_world: SmallWorld) -> None:
    """Whichever comes first: an edit that was ordered is not taken back by an end that was under way."""

    async def both() -> list[SetResult]:
        found = inner(engine)
        found.limits.changes.clock = lambda: time.time() + 8 * DAY
        edit = found.limits.set(found.accounts.store, [JOHN], "20000", mary())
        results, _ = await asyncio.gather(edit, found.upkeep.expiry.end_due(found.limits.changes.clock()))
        return results

    set_limits(engine, [JOHN], "20000", "1w")
    engine.call(both())
    assert small_world.limit_of(JOHN) == 20_000
