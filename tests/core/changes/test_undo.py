"""Taking edits of limits back: which may be, what follows, and limits that were changed since."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.times import local_time
from mailquota.core.control.results import SetResult
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.connection import StateError
from mailquota.core.history.who import Operator
from tests.core.changes.edits import entries, journal, mary, set_limits, undo
from tests.core.changes.test_temporary_limits import is_back, later, locked, look, running, two_engines
from tests.core.clients import ask, until
from tests.core.engines import inner, rows
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, OVERQUOTA, SmallWorld

BOB = Operator("bob", "sudo:bob")


def limits(world: SmallWorld) -> list[object]:
    return [world.limit_of(address) for address in (JOHN, FULL, FREE)]


# ---- what is taken back


def test_the_newest_edit_is_taken_back_for_all_that_it_set(engine: Embedded, small_world: SmallWorld) -> None:
    """In the database, the table, the next answer and the journal; then the one before it is the newest."""
    set_limits(engine, [JOHN], "9000")
    set_limits(engine, [FULL, FREE], "20000")
    first, *second = entries(engine)
    assert ask(small_world.policy_socket, FULL) == "DUNNO"
    done = undo(engine, reason="a mistake", operator=BOB)
    assert [(r.address, r.old_bytes, r.new_bytes, r.error) for r in done] == [
        (FULL, 20_000, LIMIT, None),
        (FREE, 20_000, None, None),
    ]
    assert limits(small_world) == [9000, LIMIT, 0]
    assert rows(engine)[FULL].limit_bytes == LIMIT
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    taken = entries(engine)[3:]
    assert [entry.id for entry in taken] == [result.journal_id for result in done]
    assert [entry.undoes for entry in taken] == [entry.id for entry in second]
    assert journal(engine)[3] == ("bob", "sudo:bob", "limit", FULL, "20000", "10000", "a mistake")
    (result,) = undo(engine)
    assert (result.address, result.new_bytes) == (JOHN, LIMIT)
    assert entries(engine)[-1].undoes == first.id
    with pytest.raises(MailquotaError, match="no edit of limits that could be taken back"):
        undo(engine)


def test_one_entry_is_taken_back_by_its_number(engine: Embedded, small_world: SmallWorld) -> None:
    """The rest of its edit stays, and is what is newest then."""
    set_limits(engine, [JOHN, FULL], "20000")
    set_limits(engine, [FREE], "1M")
    john, full, _ = entries(engine)
    (done,) = undo(engine, john.id)
    assert (done.address, done.new_bytes) == (JOHN, LIMIT)
    assert limits(small_world) == [LIMIT, 20_000, 1024 * 1024]
    undo(engine)
    assert [result.address for result in undo(engine)] == [FULL]
    assert entries(engine)[-1].undoes == full.id


def test_two_edits_of_the_same_moment_by_two_people_are_two(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailquota.core.history.journal.time.time", lambda: 1e9)
    set_limits(engine, [JOHN], "20000")
    set_limits(engine, [FULL], "20000", operator=BOB)
    assert [result.address for result in undo(engine)] == [FULL]
    assert limits(small_world)[0] == 20_000


def test_other_changes_are_passed_over(engine: Embedded, small_world: SmallWorld) -> None:
    """A recount is no edit."""
    set_limits(engine, [JOHN], "20000")
    engine.call(inner(engine).actions.recalc([FULL], mary()))
    undo(engine)
    assert small_world.limit_of(JOHN) == LIMIT


def test_very_many_are_taken_back_at_once(engine: Embedded, small_world: SmallWorld) -> None:
    """More than the journal is read at a time."""
    addresses = [f"many{number}@example.org" for number in range(2500)]
    small_world.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499)"
        " INSERT INTO virtual_users (domain_id, email, quota) SELECT 1, 'many' || i || '@example.org', 5000 FROM n"
    )
    until(lambda: len(inner(engine).ledger) == 2505, "they are known")
    set_limits(engine, addresses, "6000")
    done = undo(engine)
    assert [result.address for result in done] == addresses
    assert {result.error for result in done} == {None}
    assert small_world.execute("SELECT DISTINCT quota FROM virtual_users WHERE email LIKE 'many%'") == [(5000,)]


# ---- what is not


def test_a_limit_that_was_changed_since_stays_and_the_operator_is_named(
    engine: Embedded, small_world: SmallWorld
) -> None:
    set_limits(engine, [JOHN, FULL, FREE], "20000")
    set_limits(engine, [JOHN], "30000", operator=BOB)
    small_world.set_limit(FULL, 7000)
    bob = entries(engine)[-1]
    john, full, free = (undo(engine, entry.id)[0] for entry in entries(engine)[:3])
    assert john.error == (
        f"the limit of {JOHN} is 29.3 KiB by now, set by bob (sudo:bob) on {local_time(bob.at)}; nothing was changed"
    )
    assert full.error == f"the limit of {FULL} is 6.8 KiB by now, changed outside mailquota; nothing was changed"
    assert (john.code, full.code, free.error) == (1, 1, None)
    assert limits(small_world) == [30_000, 7000, 0]
    assert len(entries(engine)) == 5


def test_what_can_be_is_taken_back_though_something_can_not(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN, FULL, FREE], "20000")
    small_world.set_limit(JOHN, 7000)
    small_world.remove_account(FREE)
    john, full, free = undo(engine)
    assert [(result.code, result.error is None) for result in (john, full, free)] == [(1, False), (0, True), (4, False)]
    assert free.error == f"no such account: {FREE}"
    assert limits_of(small_world, JOHN, FULL) == [7000, LIMIT]


def limits_of(world: SmallWorld, *addresses: str) -> list[object]:
    return [world.limit_of(address) for address in addresses]


def test_what_is_no_edit_of_a_limit_is_refused(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000")
    engine.call(inner(engine).actions.recalc([FULL], mary()))
    edit, recount = entries(engine)
    undo(engine, operator=BOB)
    taken = entries(engine)[-1]
    for number, why in (
        (4711, "has no entry 4711"),
        (recount.id, rf"entry {recount.id} is no edit of a limit \(recalc\)"),
        (edit.id, rf"was taken back already, by bob \(sudo:bob\) on .* \(entry {taken.id}\)"),
    ):
        with pytest.raises(MailquotaError, match=why):
            undo(engine, number)
    assert small_world.limit_of(JOHN) == LIMIT
    assert len(entries(engine)) == 3


def test_an_edit_that_was_followed_by_one_that_was_taken_back_can_be(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000")
    set_limits(engine, [JOHN], "30000")
    undo(engine)
    undo(engine)
    assert small_world.limit_of(JOHN) == LIMIT


def test_two_at_once_take_it_back_once(engine: Embedded, small_world: SmallWorld) -> None:
    """In one engine the second finds nothing."""

    async def both() -> list[list[SetResult] | BaseException]:
        found = inner(engine)
        orders = (found.limits.undo(found.accounts.store, None, mary()) for _ in range(2))
        return await asyncio.gather(*orders, return_exceptions=True)

    set_limits(engine, [JOHN], "20000")
    done, refused = engine.call(both())
    assert isinstance(done, list)
    assert isinstance(refused, MailquotaError)
    assert small_world.limit_of(JOHN) == LIMIT
    assert len(entries(engine)) == 2


def test_two_engines_take_it_back_once(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes later finds that the limit is not that of the edit any more."""
    with two_engines(small_world) as (one, other):
        set_limits(one, [JOHN], "20000")
        found = inner(other).limits
        edit = found._edit(None)
        monkeypatch.setattr(found, "_edit", lambda _number: edit)  # it has looked, and then waits
        undo(one, operator=BOB)
        (late,) = undo(other)
    assert late.code == 1
    assert "9.8 KiB by now, set by bob" in str(late.error)
    assert small_world.limit_of(JOHN) == LIMIT


# ---- temporary limits


def test_a_temporary_limit_is_over_when_it_is_taken_back(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    raised = entries(engine)[0]
    undo(engine)
    assert small_world.limit_of(JOHN) == LIMIT
    assert running(small_world) == []
    taken = entries(engine)[1]
    assert raised.until is not None
    assert taken.reason == f"ends the temporary limit until {local_time(raised.until)}"
    later(engine)
    look(engine)
    assert len(entries(engine)) == 2


def test_what_has_ended_by_itself_is_taken_back_already(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    later(engine)
    until(lambda: len(entries(engine)) == 2, "it has ended")
    with pytest.raises(MailquotaError, match="was taken back already, by mailquota on"):
        undo(engine, entries(engine)[0].id)
    with pytest.raises(MailquotaError, match="no edit of limits"):
        undo(engine)


@pytest.mark.parametrize("size", ["30000", "20000"])
def test_it_runs_again_when_the_edit_that_ended_it_is_taken_back(
    engine: Embedded, small_world: SmallWorld, size: str
) -> None:
    """Also where that had only made it lasting. Without its note a temporary limit would never end."""
    set_limits(engine, [JOHN], "20000", "1w")
    set_limits(engine, [JOHN], size)
    (done,) = undo(engine)
    raised, _, taken = entries(engine)
    assert (done.new_bytes, done.until, done.then_bytes) == (20_000, raised.until, LIMIT)
    assert taken.until == raised.until
    assert running(small_world) == [(JOHN, LIMIT, 20_000)]
    later(engine)
    until(is_back(small_world), "it is back")
    until(lambda: len(entries(engine)) == 4, "it is in the journal")
    assert entries(engine)[3].undoes == raised.id


def test_it_goes_back_at_once_where_its_day_is_over(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    set_limits(engine, [JOHN], "30000")
    later(engine)
    (done,) = undo(engine)
    raised, _, taken = entries(engine)
    assert (done.new_bytes, done.until) == (LIMIT, None)
    assert raised.until is not None
    assert taken.reason == f"the temporary limit before it was until {local_time(raised.until)}"
    assert small_world.limit_of(JOHN) == LIMIT
    assert running(small_world) == []


def test_a_longer_one_is_taken_back_to_the_shorter(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000", "1w")
    set_limits(engine, [JOHN], "20000", "3w")
    undo(engine)
    later(engine, 8)
    until(is_back(small_world), "it is back")


# ---- trouble


def test_without_a_journal_nothing_is_taken_back(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [JOHN], "20000")
    engine.call(put_folder_in_its_place(engine, small_world))
    with pytest.raises(StateError):
        undo(engine)
    assert small_world.limit_of(JOHN) == 20_000


def test_a_journal_that_fails_in_the_middle_holds_up_nothing(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who changed one limit can't be said then; the other one is taken back all the same."""

    def fail(*_: object) -> None:
        raise StateError("gone")

    set_limits(engine, [JOHN, FULL], "20000")
    small_world.set_limit(JOHN, 7000)
    monkeypatch.setattr(inner(engine).journal, "later", fail)
    john, full = undo(engine)
    assert john.error == f"the limit of {JOHN} is 6.8 KiB by now; nothing was changed"
    assert (full.error, full.journal_id) == (None, entries(engine)[-1].id)
    assert limits_of(small_world, JOHN, FULL) == [7000, LIMIT]


async def put_folder_in_its_place(engine: Embedded, small_world: SmallWorld) -> None:
    """The state database is lost, and can't be made anew. A sample may be written at any moment of this."""
    while not small_world.state.is_dir():
        inner(engine).history.state.close()
        for ending in ("", "-wal", "-shm"):
            small_world.state.with_name(small_world.state.name + ending).unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            small_world.state.mkdir()
    inner(engine).history.state.close()


async def close_state(engine: Embedded) -> None:
    inner(engine).history.state.close()


def test_a_journal_that_can_only_be_read(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is set, and the result names the missing entry; a temporary limit does not run again."""
    monkeypatch.setattr("mailquota.core.history.sqlite._BUSY_SECONDS", 0.01)
    engine.call(close_state(engine))
    set_limits(engine, [FULL], "20000", "1w")
    set_limits(engine, [FULL], "30000")
    set_limits(engine, [JOHN], "20000")
    with locked(small_world):
        (done,) = undo(engine)
        assert (done.error, done.journal_id) == (None, None)
        assert str(done.remark).startswith("done, but not in the journal")
        with pytest.raises(StateError, match="nothing was changed, as a temporary limit could not be remembered"):
            undo(engine, entries(engine)[1].id)
    assert limits_of(small_world, JOHN, FULL) == [LIMIT, 30_000]
