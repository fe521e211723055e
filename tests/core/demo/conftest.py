"""A demo world for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.demo.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """The world that a newcomer sees."""
    with World.temporary() as made:
        yield made
