"""The past of the demo world: something of everything that a history can show, up to what lies on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from mailquota.core.alerts.rules import judge
from mailquota.core.alerts.thresholds import Settings
from mailquota.core.base.growth import DAY
from mailquota.core.base.model import Point
from mailquota.core.base.mysql import Target
from mailquota.core.changes.temporary import TemporaryLimits
from mailquota.core.demo.people import NEIGHBOURS, Person, Record
from mailquota.core.demo.world import World
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.history.samples import Samples
from mailquota.core.history.warnings import WarningLog
from mailquota.core.settings.config import load


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


def test_what_operators_did_fits_to_the_accounts(world: World, state: StateDatabase) -> None:
    """Edits, one of them taken back, a raise that still runs, an emptied Trash; in the order of their times."""
    rows = Journal(state).read()
    assert [row.at for row in rows] == sorted((row.at for row in rows), reverse=True)
    assert {row.kind for row in rows} == {"limit", "trash", "warning", "jump"}
    limits = {person.address: str(person.limit or "unlimited") for person in world.people}
    newest = {row.address: row for row in reversed(rows) if row.kind == "limit"}
    assert len(newest) > 4
    assert all(row.new == limits[row.address] for row in newest.values())
    (back,) = [row for row in rows if row.undoes is not None]
    assert [row.kind for row in rows if row.id == back.undoes] == ["limit"]
    (raised,) = [row for row in rows if row.until is not None]
    running = TemporaryLimits(state).running()[raised.address]
    assert [(one.entry, str(one.before), one.until) for one in running] == [(raised.id, raised.old, raised.until)]


def test_an_engine_finds_nobody_to_warn_but_two(world: World, state: StateDatabase) -> None:
    """By its own rule: the mails of the first minutes would bury everything else."""
    settings, log = Settings.of(load(world.config_path, {})), WarningLog(state)
    told, now = log.last_warnings(), time.time()
    due = {
        person.address
        for person in world.people
        if judge(told.get(person.address), person.used, person.limit, settings.policy, now).due
        and person.record is not Record.BROKEN
    }
    assert due == {"info@example.net", "newsletter@example.org"}
    assert log.counts(now, DAY) == (0, 0)
    assert len(log.newest()) == len(told) > 10
