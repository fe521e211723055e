"""Entries that are unclear get their outcome later, once: by the limit that the accounts database has then."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from typing import Any

import msgspec
import pytest

from mailquota.core.base.errors import DatabaseError, UnclearError
from mailquota.core.base.mysql import Target
from mailquota.core.changes.unclear import SETTLED, UnclearEntries
from mailquota.core.control.messages import SetLimit
from mailquota.core.control.results import JournalRow
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal, JournalEntry
from tests.core.changes.edits import entries, set_limits, undo
from tests.core.changes.test_unclear import WHY, Losing
from tests.core.clients import Console, until
from tests.core.engines import embedded, inner, measured, serving
from tests.core.worlds import ANNA, JOHN, LIMIT, SmallWorld

NEW = 1 << 30


def later(engine: Embedded, seconds: float = SETTLED + 1) -> UnclearEntries:
    """What looks up, as a while has passed."""
    found = inner(engine)
    found.limits.changes.clock = lambda: time.time() + seconds
    return UnclearEntries(found.journal, found.limits.changes, lambda: inner(engine).accounts.store)


def leave_unclear(engine: Embedded, *, made: bool, addresses: list[str]) -> None:
    with pytest.raises(UnclearError):
        set_limits(engine, addresses, str(NEW), store=Losing(engine, UnclearError(WHY), made=made))


def values(row: JournalRow) -> tuple[str, str, str | None, str | None]:
    return row.kind, row.address, row.old, row.new


def limit_in_database(engine: Embedded, address: str) -> int | None:
    return next(one.limit for one in inner(engine).accounts.store.read().accounts if one.address == address)


def test_a_change_that_was_made_becomes_an_edit_that_can_be_taken_back(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN, ANNA])
        assert engine.call(later(engine).round()) == 2
        found = entries(engine)
        assert [values(row) for row in found] == [
            ("limit", JOHN, str(LIMIT), str(NEW)), ("limit", ANNA, str(LIMIT), str(NEW)),
        ]  # fmt: skip
        assert found[0].reason == f"she asked; {WHY}; looked up afterwards: it was made"
        assert found[0].who.startswith("mary")
        assert {result.error for result in undo(engine)} == {None}
        assert limit_in_database(engine, JOHN) == LIMIT


def test_a_change_that_was_not_made_is_told_and_changes_nothing(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=False, addresses=[JOHN])
        assert engine.call(later(engine).round()) == 1
        (row,) = entries(engine)
        assert values(row) == ("not-made", JOHN, str(LIMIT), str(NEW))
        assert row.reason.endswith("; looked up afterwards: it was not made")
        assert limit_in_database(engine, JOHN) == LIMIT
        assert inner(engine).journal.newest_edit() == []


def test_a_limit_that_is_neither_stays_unclear_and_is_not_looked_up_again(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN])
        inner(engine).accounts.store.set_limit(JOHN, 5 << 30)
        assert [engine.call(later(engine).round()) for _ in range(2)] == [1, 0]
        (row,) = entries(engine)
        assert values(row) == ("unclear", JOHN, str(LIMIT), str(NEW))
        assert row.reason.endswith("; looked up afterwards: the limit is neither of both but 5 GiB")
        assert limit_in_database(engine, JOHN) == 5 << 30


def test_one_that_is_still_at_work_is_left_alone(small_world: SmallWorld) -> None:
    """Another engine, or a command, may wait for the answer of the database."""
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN])
        assert engine.call(later(engine, seconds=SETTLED - 30).round()) == 0
        assert [row.kind for row in entries(engine)] == ["unclear"]


def test_while_the_database_is_away_nothing_is_said_of_the_outcome(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN])
        found = inner(engine)
        away: Any = Losing(engine, DatabaseError("away"), made=False)
        later(engine)
        gone = UnclearEntries(found.journal, found.limits.changes, lambda: away)
        assert engine.call(gone.round()) == 0
        assert [row.reason for row in entries(engine)] == [f"she asked; {WHY}"]
        assert engine.call(later(engine).round()) == 1
        assert [row.kind for row in entries(engine)] == ["limit"]


def test_two_at_once_complete_it_once(small_world: SmallWorld) -> None:
    """Both find out the same; one of them writes it."""
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN, ANNA])
        one, other = later(engine), later(engine)

        async def both() -> tuple[int, int]:
            return await asyncio.gather(one.round(), other.round())

        assert sum(engine.call(both())) == 2
        assert [row.reason.count("looked up") for row in entries(engine)] == [1, 1]


def test_an_outcome_that_is_known_meanwhile_is_kept(small_world: SmallWorld) -> None:
    """The program that made the change was only slow: what it wrote counts."""
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN])
        journal = inner(engine).journal
        (read,) = journal.unclear(time.time() + 1, 10)
        known = JournalEntry(operator="mary", kind="limit", address=JOHN, old=read.old, new=read.new)
        journal.settle([read.id], [known])
        wrong = msgspec.structs.replace(read, kind="not-made", reason="it was not made")
        assert journal.complete([(read, wrong)]) == []
        assert [values(row) for row in entries(engine)] == [("limit", JOHN, str(LIMIT), str(NEW))]


def killed_after_the_intent(world: SmallWorld, *, made: bool) -> None:
    """kill -9 while the engine waits for the database, which has the change afterwards, or not."""
    journal = Journal(StateDatabase(Target("sqlite", path=world.state)))
    with closing(sqlite3.connect(world.database, isolation_level=None)) as holding:
        with serving(world) as running, Console(world.control_socket) as client:
            client.welcome()
            holding.execute("BEGIN IMMEDIATE")

            def kill() -> None:
                until(lambda: journal.unclear(time.time() + 1, 10), "the intent is in the journal")
                running.kill()

            killer = threading.Thread(target=kill)
            killer.start()
            with pytest.raises((EOFError, OSError)):
                client.ask(partial(SetLimit, addresses=[JOHN], size=str(NEW)), Any)
            killer.join()
            running.wait(10)
        holding.execute("COMMIT")
    journal.database.close()
    if made:
        world.set_limit(JOHN, NEW)


@pytest.mark.parametrize(("made", "kind"), [(True, "limit"), (False, "not-made")])
def test_a_killed_engine_leaves_nothing_unclear_for_the_next_ones(
    small_world: SmallWorld, made: bool, kind: str
) -> None:
    """The next engine looks up what the killed one had begun."""
    killed_after_the_intent(small_world, made=made)
    with embedded(small_world) as engine:
        measured(engine)
        assert [row.kind for row in entries(engine)] == ["unclear"]
        assert engine.call(later(engine).round()) == 1
        (row,) = entries(engine)
        assert values(row) == (kind, JOHN, str(LIMIT), str(NEW))
        assert limit_in_database(engine, JOHN) == (NEW if made else LIMIT)


def test_an_engine_looks_up_by_itself(small_world: SmallWorld) -> None:
    """At its start, what is old enough."""
    with embedded(small_world) as engine:
        measured(engine)
        leave_unclear(engine, made=True, addresses=[JOHN])
    with closing(sqlite3.connect(small_world.state)) as connection, connection:
        connection.execute("UPDATE journal SET at = at - 100 WHERE kind = 'unclear'")
    with embedded(small_world) as engine:
        until(lambda: [row for row in entries(engine) if row.kind == "limit"], "the entry has its outcome")
