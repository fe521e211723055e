"""Refusals that outlive an engine, in both kinds of database."""

from __future__ import annotations

import pytest

from mailquota.core.history.database import StateDatabase
from mailquota.core.history.refusals import RefusalHistory
from mailquota.core.mailboxes.refusals import RefusalCount

JOHN, MARY = "john@example.org", "mary@example.org"
NUMBER = 6_000_000


@pytest.fixture
def history(state: StateDatabase) -> RefusalHistory:
    return RefusalHistory(state, "mx1")


def test_they_add_up(history: RefusalHistory) -> None:
    """By slice and account; time and sender are those of the last one."""
    history.add([RefusalCount(NUMBER, JOHN, 2, 1.5, "a@x"), RefusalCount(NUMBER, "", 2, 1.5, "a@x")])
    history.add([RefusalCount(NUMBER, JOHN, 3, 2.5, "b@x" * 200), RefusalCount(NUMBER + 1, MARY, 1, 3.5, "")])
    found = {(one.number, one.address): one for one in history.read(NUMBER)}
    assert found[NUMBER, JOHN][2:4] == (5, 2.5)
    assert found[NUMBER, JOHN].sender.startswith("b@xb@x")
    assert found[NUMBER, ""] == RefusalCount(NUMBER, "", 2, 1.5, "a@x")
    assert found[NUMBER + 1, MARY] == RefusalCount(NUMBER + 1, MARY, 1, 3.5, "")
    assert [one.number for one in history.read(NUMBER + 1)] == [NUMBER + 1]


def test_each_engine_has_its_own(history: RefusalHistory, state: StateDatabase) -> None:
    """On a state database that several share."""
    other = RefusalHistory(state, "mx2")
    other.add([RefusalCount(NUMBER, JOHN, 7, 1.0, "")])
    history.add([RefusalCount(NUMBER, JOHN, 1, 1.0, "")])
    assert [one.times for one in history.read(0)] == [1]
    assert [one.times for one in other.read(0)] == [7]


def test_old_ones_are_forgotten(history: RefusalHistory) -> None:
    history.add([RefusalCount(NUMBER + step, JOHN, 1, 1.0, "") for step in range(3)])
    history.forget(NUMBER + 2)
    assert [one.number for one in history.read(0)] == [NUMBER + 2]


def test_where_nothing_is_nothing_is_made(history: RefusalHistory, state: StateDatabase) -> None:
    assert history.read(0) == []
