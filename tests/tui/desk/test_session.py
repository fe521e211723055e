"""What the console knows of its engine, and what changed since it last looked."""

from __future__ import annotations

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Decisions, Delta, Goodbye, Head, Snapshot, Welcome
from mailquota.core.control.results import DecisionRow
from mailquota.tui.desk.session import KEPT_DECISIONS, SILENT, Session, State
from tests.tui import world

WELCOME = Welcome(1, "fake", "mail.example.org", 1, "enforce", may_change=True)
A1, A2, B = AccountRow("a@x", 1, 1), AccountRow("a@x", 1, 2), AccountRow("b@x", 1, 1)


def state(session: Session) -> State:
    """The state now; by a call, as mypy holds what it saw of an attribute."""
    return session.state


def live() -> Session:
    """Connected, with its first snapshot drained."""
    session = Session()
    session.connected(WELCOME, 0.0)
    session.take(Snapshot([A1], 1, first=True, last=True), 0.0)
    session.drain()
    return session


def test_from_connecting_to_live() -> None:
    """Each step has its state."""
    session = Session()
    assert state(session) is State.CONNECTING
    session.connected(WELCOME, 0.0)
    assert state(session) is State.LOADING
    session.take(Snapshot([A1], 2, first=True, last=False), 0.0)
    assert (session.state, session.loaded, session.expected) == (State.LOADING, 1, 2)
    assert session.drain().snapshot is None
    session.take(Snapshot([B], 2, first=False, last=True), 0.0)
    assert state(session) is State.LIVE
    assert session.drain().snapshot == [A1, B]


def test_deltas_merge_until_they_are_drained() -> None:
    """The newest row of an account wins; gone and back again is only changed."""
    session = live()
    session.take(Delta([A1, B], []), 1.0)
    session.take(Delta([A2], ["b@x"]), 1.0)
    changes = session.drain()
    assert changes.rows == {"a@x": A2}
    assert changes.removed == {"b@x"}
    session.take(Delta([], ["a@x"]), 1.0)
    session.take(Delta([A1], []), 1.0)
    changes = session.drain()
    assert (changes.rows, changes.removed) == ({"a@x": A1}, set())


def test_a_delta_between_the_parts_of_a_snapshot_waits_for_its_end() -> None:
    """It is newer than the part that may still bring the same account."""
    session = live()
    session.take(Snapshot([B], 2, first=True, last=False), 1.0)
    session.connected(WELCOME, 1.0)
    session.take(Snapshot([B], 2, first=True, last=False), 1.0)
    session.take(Delta([A2], []), 1.0)
    assert not session.drain().rows
    session.take(Snapshot([A1], 2, first=False, last=True), 1.0)
    changes = session.drain()
    assert changes.snapshot == [B, A1]
    assert changes.rows == {"a@x": A2}


def test_a_new_snapshot_swallows_what_came_before_it() -> None:
    """Old changes must not come back on top of it."""
    session = live()
    session.take(Delta([A2], ["b@x"]), 1.0)
    session.take(Snapshot([A1], 1, first=True, last=True), 1.0)
    changes = session.drain()
    assert (changes.rows, changes.removed) == ({}, set())


def test_decisions_are_bounded() -> None:
    """However many come."""
    session = live()
    rows = [DecisionRow(float(n), "accept", "a@x", "a@x", "", "", 0, 1) for n in range(KEPT_DECISIONS + 50)]
    session.take(Decisions(rows, skipped=7), 1.0)
    assert len(session.decisions) == KEPT_DECISIONS
    assert session.decisions[-1].at == KEPT_DECISIONS + 49
    assert session.skipped == 7


def test_an_engine_that_goes_away_is_lost_with_its_reason() -> None:
    """The last good data keep their age."""
    session = live()
    session.take(Head(1.0, world.status([A1])), 1.0)
    session.take(Goodbye("shutting down"), 2.0)
    assert state(session) is State.LOST
    assert session.reason == "shutting down"
    assert session.heard_at == 1.0


def test_a_silent_engine_is_lost_and_comes_back_on_the_same_connection() -> None:
    """It hangs, or its host does."""
    session = live()
    session.check_silence(SILENT)
    assert state(session) is State.LIVE
    session.check_silence(SILENT + 1)
    assert state(session) is State.LOST
    session.take(Head(9.0, world.status([A1])), 9.0)
    assert state(session) is State.LIVE


def test_no_engine_at_all_is_still_connecting() -> None:
    """There is nothing to have lost."""
    session = Session()
    session.lost("no engine answers")
    assert state(session) is State.CONNECTING
    assert session.reason == "no engine answers"


def test_an_engine_that_hangs_before_its_first_snapshot_is_lost() -> None:
    """With the age of the silence; heard again it is loading, and live once all rows are there."""
    session = Session()
    session.connected(WELCOME, 0.0)
    session.take(Snapshot([A1], 2, first=True, last=False), 0.0)
    session.check_silence(SILENT + 1)
    assert (state(session), session.silent, session.reason) == (State.LOST, SILENT + 1, "the engine is silent")
    session.take(Delta([A2], []), 9.0)
    assert state(session) is State.LOADING
    assert not session.drain().rows
    session.check_silence(SILENT + 1)
    session.take(Snapshot([B], 2, first=False, last=True), 20.0)
    assert state(session) is State.LIVE
    changes = session.drain()
    assert (changes.snapshot, changes.rows) == ([A1, B], {"a@x": A2})
