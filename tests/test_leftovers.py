"""The check at the end of all tests can fail."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.core.engines import embedded, ended
from tests.core.worlds import SmallWorld
from tests.leftovers import new_mark, none_left


def test_a_detached_engine_that_is_left_is_told_and_ended(small_world: SmallWorld) -> None:
    """By its process and the test that started it."""
    pids = []
    with pytest.raises(AssertionError) as told, none_left(new_mark()), embedded(small_world) as engine:
        pids.append(engine.hand_over())
    (line,) = str(told.value).splitlines()[1:2]
    assert "test_leftovers.py::test_a_detached" in line
    assert f"left process {pids[0]}: " in line
    assert ended(pids[0])


def test_so_is_any_other_process() -> None:
    """Whatever a test had started by a program that is gone."""
    with pytest.raises(AssertionError, match=r"left process [0-9]+: sleep 600"), none_left(new_mark()):
        subprocess.run(["sh", "-c", "sleep 600 &"], check=True)


def test_who_ends_its_engines_has_nothing_to_hear(small_world: SmallWorld) -> None:
    """Nor is anything heard of the engines of others, nor does the environment remember."""
    before = dict(os.environ)
    with none_left(new_mark()), embedded(small_world):
        assert small_world.policy_socket.exists()
    assert {**os.environ, "PYTEST_CURRENT_TEST": ""} == {**before, "PYTEST_CURRENT_TEST": ""}
