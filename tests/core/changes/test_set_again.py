"""An edit that was taken back is set again: the undo is undone."""

from __future__ import annotations

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.engine.serve import Embedded
from tests.core.changes.edits import entries, set_limits, undo
from tests.core.changes.test_temporary_limits import later, running
from tests.core.changes.test_undo import BOB, limits
from tests.core.engines import inner
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, SmallWorld


def test_all_of_an_undo_is_set_again_by_the_number_of_one_entry(engine: Embedded, small_world: SmallWorld) -> None:
    """As an edit of its own, which says what it sets again; so it can be taken back like any other."""
    set_limits(engine, [JOHN, FULL, FREE], "20000")
    edits = entries(engine)
    undo(engine, operator=BOB)
    taken = entries(engine)[3:]
    assert limits(small_world) == [LIMIT, LIMIT, 0]
    plan = engine.call(inner(engine).limits.plan_undo(taken[0].id))
    assert [row.id for row in plan.edit] == [row.id for row in reversed(taken)]
    assert (plan.results[0].old_bytes, plan.results[0].new_bytes) == (LIMIT, 20_000)
    done = undo(engine, taken[1].id, reason="it was right")
    assert [(result.address, result.new_bytes, result.error) for result in done] == [
        (JOHN, 20_000, None), (FULL, 20_000, None), (FREE, 20_000, None),
    ]  # fmt: skip
    assert limits(small_world) == [20_000] * 3
    again = entries(engine)[6:]
    assert [entry.undoes for entry in again] == [None] * 3
    assert again[0].reason == f"it was right; again, as entry {edits[0].id} had it, which {taken[0].id} took back"
    undo(engine)
    assert limits(small_world) == [LIMIT, LIMIT, 0]


def test_a_limit_that_was_changed_since_stays(engine: Embedded, small_world: SmallWorld) -> None:
    """Also the second time: what is set again already is another limit by then."""
    set_limits(engine, [JOHN, FULL], "20000")
    undo(engine)
    taken = entries(engine)[2]
    set_limits(engine, [FULL], "7000", operator=BOB)
    (planned_john, planned_full) = engine.call(inner(engine).limits.plan_undo(taken.id)).results
    assert (planned_john.error, "set by bob" in (planned_full.error or "")) == (None, True)
    john, full = undo(engine, taken.id)
    assert (john.error, "by now, set by bob" in (full.error or "")) == (None, True)
    assert limits(small_world)[:2] == [20_000, 7000]
    john, full = undo(engine, taken.id)
    assert "by now, set by" in (john.error or "")
    assert limits(small_world)[:2] == [20_000, 7000]


def test_a_temporary_limit_is_temporary_again(engine: Embedded, small_world: SmallWorld) -> None:
    """Until the same time, and then it is what it was before."""
    set_limits(engine, [JOHN], "20000", end="7d")
    edit = entries(engine)[-1]
    undo(engine)
    assert running(small_world) == []
    (done,) = undo(engine, entries(engine)[-1].id)
    assert (done.new_bytes, done.until, done.then_bytes) == (20_000, edit.until, LIMIT)
    assert len(running(small_world)) == 1
    assert small_world.limit_of(JOHN) == 20_000


def test_a_temporary_limit_whose_time_has_passed_is_not(engine: Embedded, small_world: SmallWorld) -> None:
    """It would never end, or end at once."""
    set_limits(engine, [JOHN], "20000", end="7d")
    undo(engine)
    later(engine)
    with pytest.raises(MailquotaError, match="which has passed; nothing was changed"):
        undo(engine, entries(engine)[-1].id)
    assert small_world.limit_of(JOHN) == LIMIT
