"""The command line over a small world, in both ways that it works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import SmallWorld


@pytest.fixture
def alone(small_world: SmallWorld) -> CommandLine:
    """A command line where no engine runs."""
    return CommandLine(small_world)


@pytest.fixture
def beside(small_world: SmallWorld) -> Iterator[CommandLine]:
    """A command line beside a running engine."""
    line = CommandLine(small_world)
    with line.engine():
        yield line


@pytest.fixture(params=["alone", "beside"])
def mailquota(request: pytest.FixtureRequest, small_world: SmallWorld) -> Iterator[CommandLine]:
    """Both ways, one after the other."""
    line = CommandLine(small_world)
    if request.param == "alone":
        yield line
        return
    with line.engine():
        yield line
