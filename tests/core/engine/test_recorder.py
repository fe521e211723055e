"""What a real engine records: everything that a console is shown, whatever happens to the folder or the engine."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import GetStatus, Reload
from mailquota.core.control.results import Status
from mailquota.core.engine import recorder
from mailquota.core.engine.serve import Embedded
from mailquota.core.policy.decision import Verdict
from mailquota.core.policy.log import DecisionLog
from mailquota.core.recordings import writing
from mailquota.core.recordings.reading import Recording, open_folder
from mailquota.core.recordings.scene import Scene
from tests.core.clients import PolicyClient, ask, until
from tests.core.commands.command_line import CommandLine
from tests.core.engines import console, embedded, inner, measured, rows, serving
from tests.core.worlds import ANNA, FULL, JOHN, OVERQUOTA, SmallWorld

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second, and on a file system as full as that of the machine is."""
    monkeypatch.setattr(recorder, "PERIOD", 1)
    monkeypatch.setattr(recorder, "_AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(writing, "FREE_BYTES", 0)


@pytest.fixture
def folder(small_world: SmallWorld) -> Path:
    return small_world.folder / "recordings"


def read(folder: Path) -> Scene:
    """All that is recorded."""
    recording = open_folder(str(folder), 0.0, time.time())
    scene = Scene()
    for number in range(len(recording.blocks)):
        period = recording.read(number)
        scene.take(period)
        for row in period.decisions:
            scene.answer(row)
    recording.close()
    return scene


def comes(folder: Path, condition: Callable[[Scene], object]) -> Scene:
    """What is recorded, once it is so."""
    found: list[Scene] = []

    def is_there() -> bool:
        if folder.exists() and any(path.stat().st_size > 500 for path in folder.iterdir()):
            found[:] = [read(folder)]
        return bool(found and condition(found[0]))

    until(is_there, "it is recorded", PATIENCE)
    return found[0]


def alike(row: AccountRow) -> tuple[object, ...]:
    return row.address, row.limit_bytes, row.used_bytes, row.messages, row.trash_bytes


def test_all_that_a_console_is_shown(engine: Embedded, small_world: SmallWorld, folder: Path) -> None:
    """Answers, usage after a delivery, an edit, the journal, an account that came and one that went."""
    comes(folder, lambda scene: len(scene.rows) == len(rows(engine)))
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    assert ask(small_world.policy_socket, JOHN) == "DUNNO"
    assert CommandLine(small_world)("set", JOHN, "20000", "--reason", "ticket 4711").returncode == 0
    small_world.add_account("new@example.org")
    small_world.remove_account(ANNA)
    scene = comes(
        folder,
        lambda scene: "new@example.org" in scene.rows and ANNA not in scene.rows and len(scene.decisions) == 2
        and scene.rows[JOHN].limit_bytes == 20000 and any(row.kind == "limit" for row in scene.journal.values()),
    )  # fmt: skip
    assert [(row.recipient, row.verdict) for row in scene.decisions] == [(FULL, "over_quota"), (JOHN, "accept")]
    assert scene.status is not None
    assert scene.status.mode == "enforce"
    assert [row.reason for row in scene.journal.values() if row.kind == "limit"] == ["ticket 4711"]
    comes(folder, lambda scene: set(map(alike, scene.rows.values())) == set(map(alike, rows(engine).values())))


def test_the_end_is_recorded(small_world: SmallWorld, folder: Path) -> None:
    """What came since the last period, and the entry on the stop."""
    with embedded(small_world) as engine:
        measured(engine)
        comes(folder, lambda scene: scene.rows)
        ask(small_world.policy_socket, FULL)
    scene = read(folder)
    assert [row.recipient for row in scene.decisions] == [FULL]
    assert "stop" in {row.kind for row in scene.journal.values()}


def test_two_engines_write_files_of_their_own(small_world: SmallWorld, folder: Path) -> None:
    """One after the other, as in a hand-over; both are shown."""
    for recipient in (FULL, JOHN):
        with embedded(small_world) as engine:
            measured(engine)
            before = len(os.listdir(folder)) if folder.exists() else 0
            until(lambda: folder.exists() and len(os.listdir(folder)) > before, "begins", PATIENCE)  # noqa: B023
            ask(small_world.policy_socket, recipient)
    assert [row.recipient for row in read(folder).decisions] == [FULL, JOHN]


def test_killed_it_leaves_what_was_written(small_world: SmallWorld, folder: Path) -> None:
    """An engine of its own process, with kill -9."""
    with serving(small_world) as running:
        until(lambda: folder.exists() and any(path.stat().st_size > 500 for path in folder.iterdir()), "", PATIENCE)
        running.kill()
        running.wait()
    assert JOHN in read(folder).rows


# ---- switched off, and what goes wrong


def switch(engine: Embedded, world: SmallWorld, recordings: str) -> None:
    world.settings["state"]["recordings"] = recordings
    world.write_settings()
    with console(engine) as client:
        assert client.ask(Reload, str | None) is None


def test_it_is_switched_off_and_on_by_a_reload(engine: Embedded, small_world: SmallWorld, folder: Path) -> None:
    comes(folder, lambda scene: scene.rows)
    switch(engine, small_world, "0")
    until(lambda: inner(engine).recorder._writer._handle is None, "closes its file", PATIENCE)  # type: ignore[union-attr]
    ask(small_world.policy_socket, FULL)
    until(lambda: inner(engine).recorder._seen == 1, "passes it over", PATIENCE)
    switch(engine, small_world, "100M")
    until(lambda: len(list(folder.iterdir())) == 2, "begins anew", PATIENCE)
    ask(small_world.policy_socket, JOHN)
    scene = comes(folder, lambda scene: scene.decisions)
    assert [row.recipient for row in scene.decisions] == [JOHN]


@pytest.fixture
def off_world(small_world: SmallWorld) -> SmallWorld:
    small_world.settings["state"]["recordings"] = "0"
    small_world.write_settings()
    return small_world


def test_switched_off_it_makes_nothing(off_world: SmallWorld, folder: Path) -> None:
    """And keeps nothing in memory."""
    with embedded(off_world) as engine:
        measured(engine)
        ask(off_world.policy_socket, FULL)
        until(lambda: inner(engine).recorder._seen == 1, "was there", PATIENCE)
        assert (inner(engine).recorder._picked, inner(engine).recorder._changed) == ([], set())
    assert not folder.exists()


def problem(engine: Embedded) -> str:
    with console(engine) as client:
        status: Status = client.ask(GetStatus, Status)
    return status.recording_problem


def test_a_full_file_system_is_said_and_it_goes_on_afterwards(
    engine: Embedded, small_world: SmallWorld, folder: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """In the status, and once in the log; answers are given meanwhile."""
    comes(folder, lambda scene: scene.rows)
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".mqr"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    monkeypatch.setattr(os, "write", full)
    until(lambda: "No space left on device" in problem(engine), "is said", PATIENCE)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    assert "nothing can be recorded" in CommandLine(small_world)("status").stdout
    monkeypatch.undo()
    monkeypatch.setattr(recorder, "PERIOD", 1)
    until(lambda: not problem(engine), "goes on", PATIENCE)
    assert sum("nothing can be recorded" in record.message for record in caplog.records) == 1


def test_a_folder_that_can_not_be_made_is_said(small_world: SmallWorld, folder: Path) -> None:
    folder.write_text("no folder")
    with embedded(small_world) as engine:
        measured(engine)
        until(lambda: "Not a directory" in problem(engine), "is said", PATIENCE)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Writes of recordings hang until the event is set."""
    free, entered = threading.Event(), threading.Event()
    write = writing.Writer._write

    def hang(*arguments: object) -> None:
        entered.set()
        free.wait(PATIENCE)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writing.Writer, "_write", hang)
    hang.entered = entered  # type: ignore[attr-defined]
    yield entered
    free.set()


def test_a_file_system_that_hangs_holds_nobody_up(
    small_world: SmallWorld, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, and not the end; nothing piles up, and after a while it is said."""
    monkeypatch.setattr(recorder, "_SLOW_SECONDS", 0.0)
    with embedded(small_world) as engine:
        measured(engine)
        assert hanging.wait(PATIENCE)
        with PolicyClient(small_world.policy_socket) as postfix:
            for _ in range(300):
                assert postfix.ask(FULL) == OVERQUOTA
        assert "does not answer" in problem(engine)
        assert len(inner(engine).recorder._picked) <= 50
    assert not engine.running


def test_the_journal_away_the_rest_is_recorded(
    engine: Embedded, small_world: SmallWorld, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailquota.core.history.connection import StateError

    def away(*_: object, **__: object) -> None:
        raise StateError("the state database is away")

    monkeypatch.setattr(inner(engine).journal, "read", away)
    comes(folder, lambda scene: scene.rows)
    ask(small_world.policy_socket, FULL)
    assert comes(folder, lambda scene: scene.decisions).rows


# ---- which answers


def test_refusals_come_first_where_there_are_many() -> None:
    """In their order, the newest of each kind; the rest is counted."""
    log = DecisionLog()
    for number in range(200):
        verdict = Verdict.OVER_QUOTA if number % 40 == 0 else Verdict.ACCEPT
        log.add(verdict, b"\nrecipient=%d@x\n" % number, (), 60)
    makers, skipped = log.pick(0, 20)
    found = [make() for make in makers]
    assert skipped == 180
    assert [row.recipient for row in found if row.verdict == "over_quota"] == ["0@x", "40@x", "80@x", "120@x", "160@x"]
    assert [row.recipient for row in found][-1] == "199@x"
    assert [row.at for row in found] == sorted(row.at for row in found)
    assert log.pick(200, 20) == ([], 0)


def test_more_than_are_kept_are_counted() -> None:
    log = DecisionLog()
    for _ in range(1200):
        log.add(Verdict.ACCEPT, b"\nrecipient=a@x\n", (), 60)
    makers, skipped = log.pick(100, 50)
    assert (len(makers), skipped) == (50, 1050)


def test_a_recording_has_places(engine: Embedded, folder: Path) -> None:
    """Periods follow each other without a gap."""
    comes(folder, lambda scene: scene.rows)
    recording: Recording = open_folder(str(folder), 0.0, time.time())
    starts = [block.header.start for block in recording.blocks]
    ends = [block.header.end for block in recording.blocks]
    recording.close()
    assert starts[1:] == ends[:-1]
