"""The past of the demo world: something of everything that a history can show, up to what lies on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from mailquota.core.base.growth import DAY
from mailquota.core.base.model import Point
from mailquota.core.base.mysql import Target
from mailquota.core.demo.people import NEIGHBOURS, Person, Record
from mailquota.core.demo.world import World
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.history.samples import Samples


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.temporary() as made:
        yield made


@pytest.fixture(scope="module")
def state(world: World) -> Iterator[StateDatabase]:
    with closing(StateDatabase(Target("sqlite", path=world.folder / "state.db"))) as found:
        yield found


def series(state: StateDatabase, person: Person) -> list[Point]:
    return Samples(state).series(person.address, 0.0, time.time())


def test_everybody_ends_with_what_lies_on_disk(world: World, state: StateDatabase) -> None:
    """So that an engine finds no change; a mailbox that can't be measured has no history."""
    for person in world.people:
        points = series(state, person)
        if person.record is Record.BROKEN:
            assert points == []
        else:
            assert (points[-1].used_bytes, points[-1].messages) == (person.used, person.messages)
            assert points[0].at < time.time() - 80 * DAY
            assert all(point.used_bytes >= 0 for point in points)


def test_there_is_something_of_everything(world: World, state: StateDatabase) -> None:
    """Mailboxes that grow, shrink, stay the same, are idle, and whose last week is not flat."""
    rows = Samples(state).page(0)
    grows = {row.address for row in rows if row.trend is not None and row.trend.growth > 0}
    assert "sales@example.com" in grows
    assert 10 < len(grows) < 50
    idle = [row for row in rows if row.changed_at is not None and row.changed_at < time.time() - 90 * DAY]
    assert 3 < len(idle) < 30
    assert len({row.week for row in rows}) > 8
    assert all(len(row.week) == 7 for row in rows)


def test_an_import_is_in_the_journal_and_in_the_series(world: World, state: StateDatabase) -> None:
    (jump,) = [row for row in Journal(state).read() if row.kind == "jump"]
    (person,) = [person for person in world.people if person.address == jump.address]
    uses = [point.used_bytes for point in series(state, person)]
    steps = [after - before for before, after in pairwise(uses)]
    assert max(steps) > 0.9 * (int(jump.new or 0) - int(jump.old or 0)) > person.used / 4


def test_a_crowd_has_no_past(state: StateDatabase) -> None:
    """It would take longer than a newcomer waits."""
    with (
        World.temporary(NEIGHBOURS + 50) as crowd,
        closing(StateDatabase(Target("sqlite", path=crowd.folder / "state.db"))) as found,
    ):
        assert len(Samples(found).page(0)) < NEIGHBOURS
