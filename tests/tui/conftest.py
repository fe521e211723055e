"""A command line that may leave an engine behind; the console's places, for tests that hold in each."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from mailquota.tui import command
from tests.core.commands.command_line import SECONDS, CommandLine
from tests.core.commands.test_serving import engine_pid
from tests.core.engines import ended
from tests.core.worlds import SmallWorld
from tests.mailserver.process import wait_until
from tests.tui.places import Place


@pytest.fixture(params=["embedded", "attached"])
def place(
    request: pytest.FixtureRequest, small_world: SmallWorld, patient: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A console with its own engine; then one that is attached to an engine of another process."""
    for name in ("log_detached", "log_nowhere"):  # they would take the log away from pytest
        monkeypatch.setattr(command, name, lambda *_: None)
    attached = request.param == "attached"
    with CommandLine(small_world).engine() if attached else contextlib.nullcontext():
        yield Place(small_world, attached, monkeypatch)


@pytest.fixture
def line(small_world: SmallWorld) -> CommandLine:
    """A command line over a small world in which no engine runs."""
    return CommandLine(small_world)


@pytest.fixture
def handing_over(line: CommandLine) -> Iterator[CommandLine]:
    """A command line; an engine that it leaves running is ended afterwards."""
    yield line
    if line("status").returncode == 0:
        pid = engine_pid(line)
        os.kill(pid, signal.SIGTERM)
        assert ended(pid)
    assert wait_until(lambda: not line.world.control_socket.exists(), SECONDS)
