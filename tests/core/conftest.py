"""Fixtures for the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailquota.core.engine.serve import Embedded
from tests.core.engines import embedded, measured
from tests.core.worlds import SmallWorld


@pytest.fixture
def engine(small_world: SmallWorld) -> Iterator[Embedded]:
    """An engine over the small world, in a thread."""
    with embedded(small_world) as running:
        yield measured(running)
