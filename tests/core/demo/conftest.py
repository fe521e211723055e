"""A demo world for each test that asks, and what may go on in it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import pytest

from mailquota.core.demo.traffic import Traffic
from mailquota.core.demo.world import World
from tests.core.demo.scripted import ScriptedPolicy


@pytest.fixture
def world() -> Iterator[World]:
    """The cast and a few more."""
    with World.temporary(24) as made:
        yield made


@pytest.fixture
def policy(world: World) -> Iterator[ScriptedPolicy]:
    """A policy server for the world."""
    scripted = ScriptedPolicy()
    with scripted.listening(world.policy_socket):
        yield scripted


@pytest.fixture
def traffic(world: World) -> Iterator[Traffic]:
    """Mail that comes step by step."""
    with contextlib.closing(Traffic(world, world.policy_socket, random.Random(5))) as made:
        yield made
