"""Starts and stops of engines in the journal: whose, why, and never at the cost of the start or the stop."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import astuple

from mailquota.core.base.mysql import Target
from mailquota.core.base.version import version
from mailquota.core.control.results import JournalRow
from mailquota.core.engine.start_and_stop_entries import _was_killed
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from tests.core.changes.edits import started
from tests.core.clients import Console, until
from tests.core.engines import embedded, ended, inner, is_answering, process, serving
from tests.core.worlds import SmallWorld

ME = pwd.getpwuid(os.geteuid()).pw_name


def runs(world: SmallWorld) -> list[JournalRow]:
    """Starts and stops, oldest first."""
    with closing(StateDatabase(Target("sqlite", path=world.state))) as state:
        return Journal(state).runs(100)[::-1]


def test_a_start_and_a_stop_are_noted(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an engine in a console; with the operator as commands have him, version and mode."""
    monkeypatch.setenv("SUDO_USER", "mary")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    with embedded(small_world) as engine:
        started(engine)
    start, stop = runs(small_world)
    name = f"process {os.getpid()} on {socket.gethostname()}"
    assert astuple(start)[2:] == (
        ME, "sudo:mary", "start", "", None, name, f"version {version()}, mode enforce, in a console", None, None
    )  # fmt: skip
    assert astuple(stop)[2:] == (ME, "sudo:mary", "stop", "", name, None, "stopped", None, None)


def test_a_service_is_noted_and_one_that_was_killed_is_missed(small_world: SmallWorld) -> None:
    """By the next one. Who stopped by himself is not."""
    small_world.settings["policy"]["mode"] = "shadow"
    small_world.write_settings()
    with serving(small_world) as first:
        until(lambda: runs(small_world), "the start is in the journal")
        first.kill()
        first.wait()
        with serving(small_world) as second:
            until(lambda: len(runs(small_world)) == 2, "the next start is in the journal")
            second.send_signal(signal.SIGTERM)
            second.wait(10)
    with serving(small_world):
        until(lambda: len(runs(small_world)) == 4, "the third start is in the journal")
    found = runs(small_world)
    begun = f"version {version()}, mode shadow"
    assert [(row.kind, row.reason) for row in found] == [
        ("start", begun),
        ("start", f"{begun}; the engine before did not stop by itself"),
        ("stop", "stopped"),
        ("start", begun),
    ]
    assert (found[2].old, found[2].new) == (found[1].new, None)


def test_a_hand_over_is_noted_by_both(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        started(engine)
        pid = engine.hand_over()
    try:
        until(lambda: len(runs(small_world)) == 3, "both have written")
        stop = next(row for row in runs(small_world) if row.kind == "stop")
        assert stop.reason == f"handed over to pid {pid}"
        start = next(row for row in runs(small_world) if row.new == f"process {pid} on {socket.gethostname()}")
        assert start.reason.endswith("mode enforce; took over from the engine before")
    finally:
        os.kill(pid, signal.SIGTERM)
        assert ended(pid)


def test_a_command_is_no_engine(small_world: SmallWorld) -> None:
    """It reads the accounts and that is all."""
    with embedded(small_world) as engine:
        started(engine)
        with Console(engine.connect()):
            pass
        assert len(runs(small_world)) == 1


@pytest.mark.parametrize("hold", ["locked", "folder"])
def test_neither_waits_for_the_state_database(
    small_world: SmallWorld, hold: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are answered and the engine ends while the database is locked for long; the log says what is missing."""
    monkeypatch.setattr("mailquota.core.history.sqlite._BUSY_SECONDS", 600.0)
    with contextlib.ExitStack() as stack:
        if hold == "folder":
            small_world.state.mkdir()
        else:
            with closing(StateDatabase(Target("sqlite", path=small_world.state))) as state:
                state.write(lambda sql: sql.rows("SELECT 1"))
            other = stack.enter_context(closing(sqlite3.connect(small_world.state, isolation_level=None)))
            other.execute("BEGIN IMMEDIATE")
        with embedded(small_world) as engine:
            assert is_answering(small_world)
        assert not engine._thread.is_alive()
    assert "of this engine is not in the journal" in caplog.text


def test_an_internal_error_keeps_no_engine_from_ending(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The entry fails; the parts that end after it end all the same."""
    monkeypatch.setattr("mailquota.core.engine.start_and_stop_entries._was_killed", lambda *_args: 1 / 0)
    with embedded(small_world) as engine:
        until(lambda: "the start of this engine is not in the journal" in caplog.text, "it is told")
        sampled = inner(engine).history
    assert not engine._thread.is_alive()
    assert engine._error is None
    assert sampled.state._connection is None


def test_a_start_that_fails_is_none(small_world: SmallWorld) -> None:
    """Nor is what it found running."""
    with embedded(small_world) as engine:
        started(engine)
        with process(small_world) as second:
            assert second.wait(20) == 1
        assert [row.kind for row in runs(small_world)] == ["start"]


# ---- who was killed


def row(kind: str, name: str, at: float = 1000.0) -> JournalRow:
    old, new = (None, name) if kind == "start" else (name, None)
    return JournalRow(
        id=1,
        at=at,
        operator="root",
        origin="",
        kind=kind,
        address="",
        old=old,
        new=new,
        reason="",
        until=None,
        undoes=None,
    )


HERE = f"process {os.getpid()} on here"


@pytest.mark.parametrize(
    ("rows", "killed"),
    [
        ([], False),
        ([row("start", "process 999999999 on here")], True),
        ([row("start", "process 999999999 on there")], False),
        ([row("start", "process 5 on there"), row("start", "process 999999999 on here")], True),
        ([row("stop", "process 5 on here"), row("start", "process 5 on here")], False),
        ([row("stop", "process 4 on here"), row("start", "process 5 on here")], True),  # a hand-over, then killed
        ([row("start", "process 5 on here"), row("stop", "process 5 on here")], True),  # the number came again
        ([row("start", HERE, time.time() + 1000)], False),  # it runs, beside this one
        ([row("start", HERE, 1000.0)], True),  # the number of one that was killed is ours now
        ([row("start", "something else")], False),
    ],
)
def test_who_left_without_a_word(rows: Sequence[Any], killed: bool) -> None:
    assert _was_killed(rows, "here") is killed
