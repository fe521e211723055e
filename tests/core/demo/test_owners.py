"""Owners of mailboxes keep the world as full as it was."""

from __future__ import annotations

import random

from mailquota.core.demo.owners import Owners
from mailquota.core.demo.people import Habit
from mailquota.core.demo.traffic import Traffic
from mailquota.core.demo.world import World
from tests.core.demo.figures import by_address, check_record, counted, messages_of
from tests.core.demo.scripted import ScriptedPolicy


def test_somebody_full_makes_room_after_a_while(world: World) -> None:
    """Not at the first refusal; then all of Trash goes, and the level is below 86 %."""
    maria = by_address(world)["maria@example.net"]
    assert maria.habit is Habit.FILLING
    assert maria.limit is not None
    owners = Owners(world.mailstore, random.Random(1))
    owners.refused(maria, maria.limit)
    assert counted(world, maria)[0] == maria.used
    for _ in range(20):
        owners.refused(maria, maria.limit)
    assert counted(world, maria)[0] < maria.limit * 0.86
    assert messages_of(f"{world.mailstore.maildir(maria.address)}/.{maria.trash_name}") == []
    check_record(world, maria)


def test_john_never_makes_room(world: World) -> None:
    """He is the one that a newcomer helps."""
    john = world.people[0]
    owners = Owners(world.mailstore, random.Random(1))
    for _ in range(100):
        owners.refused(john, john.limit)
        owners.tidy([john])
    assert counted(world, john)[0] == john.used


def test_steady_owners_keep_their_level(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Mail that comes in is deleted again, so it stays near what it was."""
    anna = by_address(world)["anna@example.org"]
    for _ in range(1500):
        traffic.step()
    assert policy.requests
    assert abs(counted(world, anna)[0] - anna.used) < anna.used * 0.08
