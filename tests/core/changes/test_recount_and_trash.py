"""Changes to mailboxes: what is done, what is answered, and what stands in the journal."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.control.results import RecalcResult, TrashResult
from mailquota.core.engine.serve import Embedded
from mailquota.core.mailboxes.measure import recorded
from mailquota.core.mailboxes.recount import rewrite
from tests.core.changes.edits import entries, journal, mary, set_limits
from tests.core.clients import ask, until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.worlds import FULL, JOHN, OVERQUOTA, TRASH, SmallWorld


def recalc(engine: Embedded, *addresses: str) -> list[RecalcResult]:
    return engine.call(inner(engine).actions.recalc(list(addresses), mary()))


def empty(
    engine: Embedded, *addresses: str, older_than: float | None = None, dry_run: bool = False
) -> list[TrashResult]:
    return engine.call(inner(engine).actions.empty_trash(list(addresses), older_than, mary(), dry_run=dry_run))


# ---- recounts, without doveadm


def test_a_recount_corrects_what_is_recorded(engine: Embedded, small_world: SmallWorld) -> None:
    """Before is what the file said, after what lies there; the next answer follows."""
    path = small_world.maildir(FULL) / "maildirsize"
    next(iter((small_world.maildir(FULL) / "cur").iterdir())).unlink()
    small_world.settle(FULL)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    (done,) = recalc(engine, FULL)
    assert done == RecalcResult(
        address=FULL, before_bytes=10_000, after_bytes=5000, before_messages=2, after_messages=1, method="rewrite"
    )
    assert path.read_text() == "10000S\n5000 1\n"
    assert ask(small_world.policy_socket, FULL) == "DUNNO"
    assert rows(engine)[FULL].used_bytes == 5000
    assert journal(engine) == [("mary", "ssh:10.0.0.9", "recalc", FULL, "10000", "5000", "")]


def test_a_recount_while_mail_comes_in_leaves_no_file(engine: Embedded, small_world: SmallWorld) -> None:
    """The usage is right all the same."""
    small_world.deliver(JOHN, 500)
    (done,) = recalc(engine, JOHN)
    assert (done.before_bytes, done.after_bytes, done.method) == (4500, 4500, "unlink")
    assert not (small_world.maildir(JOHN) / "maildirsize").exists()


def test_recounts_of_unknown_accounts_are_named(engine: Embedded) -> None:
    done = recalc(engine, "x@y", JOHN)
    assert [(result.code, result.error) for result in done] == [(4, "no such account: x@y"), (0, None)]
    assert [entry.address for entry in entries(engine)] == [JOHN]


def test_a_mailbox_that_can_not_be_read_fails_alone(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its path, also where that is no text."""

    def refuse(*arguments: Any) -> str:
        if arguments[1] == str(small_world.maildir(JOHN)):
            raise PermissionError(13, "Permission denied", b"/mail/\xff")
        return rewrite(*arguments)

    monkeypatch.setattr("mailquota.core.mailboxes.driver.rewrite", refuse)
    done = recalc(engine, JOHN, FULL)
    assert [(result.error, result.code) for result in done] == [
        ("/mail/\\udcff: Permission denied", 1),
        (None, 0),
    ]


def test_two_recounts_of_one_mailbox_do_not_meet(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others go on meanwhile."""
    go_on = threading.Event()
    inside: list[str] = []
    most: list[int] = []

    def slow(*arguments: Any) -> str:
        inside.append(arguments[1])
        most.append(inside.count(arguments[1]))
        go_on.wait(10)
        inside.remove(arguments[1])
        return rewrite(*arguments)

    monkeypatch.setattr("mailquota.core.mailboxes.driver.rewrite", slow)

    async def both() -> None:
        actions = inner(engine).actions
        await asyncio.gather(*(actions.recalc([address], mary()) for address in (JOHN, JOHN, FULL)))

    running = threading.Thread(target=lambda: engine.call(both()))
    running.start()
    until(lambda: len(inside) == 2, "one of each is being recounted")
    go_on.set()
    running.join(10)
    assert most == [1, 1, 1]
    assert len(journal(engine)) == 3


# ---- Trash, without doveadm


def trash_of(world: SmallWorld) -> list[Path]:
    return sorted((world.maildir(TRASH) / ".Trash/cur").iterdir())


def test_a_look_into_trash_removes_nothing(engine: Embedded, small_world: SmallWorld) -> None:
    before = trash_of(small_world)
    (found,) = empty(engine, TRASH, dry_run=True)
    assert (found.messages, found.bytes, found.folders, found.method) == (3, 3000, ["Trash"], "unlink")
    assert found.oldest is not None
    assert found.newest is not None
    assert found.oldest <= found.newest
    assert trash_of(small_world) == before
    assert journal(engine) == []


def test_emptying_trash_makes_room_at_once(engine: Embedded, small_world: SmallWorld) -> None:
    """In the mailbox, in maildirsize, in the next answer, in the table; and the journal has it."""
    assert ask(small_world.policy_socket, TRASH, 3500) == OVERQUOTA
    (done,) = empty(engine, TRASH)
    assert (done.messages, done.bytes, done.error) == (3, 3000, None)
    assert ask(small_world.policy_socket, TRASH, 3500) == "DUNNO"
    assert not trash_of(small_world)
    assert recorded(str(small_world.maildir(TRASH))) == (6000, 3)
    row = rows(engine)[TRASH]
    assert (row.used_bytes, row.trash_bytes, row.messages) == (6000, 0, 3)
    assert journal(engine) == [("mary", "ssh:10.0.0.9", "trash", TRASH, None, "-3000", "")]


def test_young_messages_stay(engine: Embedded, small_world: SmallWorld) -> None:
    """Nothing that was removed is nothing to write down."""
    (done,) = empty(engine, TRASH, older_than=3600.0)
    assert (done.messages, done.bytes, done.oldest) == (0, 0, None)
    assert len(trash_of(small_world)) == 3
    assert journal(engine) == []


def test_two_that_empty_one_trash_report_each_message_once(engine: Embedded, small_world: SmallWorld) -> None:
    """And the file counts each once."""

    async def both() -> list[list[TrashResult]]:
        actions = inner(engine).actions
        return await asyncio.gather(*(actions.empty_trash([TRASH], None, mary(), dry_run=False) for _ in range(2)))

    done = [result for results in engine.call(both()) for result in results]
    assert sorted(result.messages for result in done) == [0, 3]
    assert recorded(str(small_world.maildir(TRASH))) == (6000, 3)
    assert len(journal(engine)) == 1


def test_what_went_before_a_fault_is_reported_recorded_and_in_the_journal(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = os.unlink

    def fail_late(path: str, dir_fd: int | None = None) -> None:
        if len(trash_of(small_world)) == 1 and dir_fd is not None:
            raise PermissionError(13, "Permission denied", path)
        unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr("mailquota.core.mailboxes.trash.os.unlink", fail_late)
    (done,) = empty(engine, TRASH)
    monkeypatch.undo()
    assert (done.messages, done.bytes, done.code) == (2, 2000, 1)
    assert "Permission denied" in str(done.error)
    assert rows(engine)[TRASH].used_bytes == 7000
    assert journal(engine)[0][5] == "-2000"


def test_trash_of_several_accounts_reports_its_progress(engine: Embedded) -> None:
    told: list[tuple[int, int, str]] = []
    operator = mary()
    operator.progress = lambda *progress: told.append(progress)
    engine.call(inner(engine).actions.empty_trash([TRASH, "x@y", JOHN], None, operator, dry_run=False))
    assert told == [(1, 3, TRASH), (2, 3, "x@y"), (3, 3, JOHN)]


# ---- the journal


@pytest.mark.parametrize("spoil", ["folder", "under a file"])
def test_without_a_journal_the_change_stands_and_is_said_to_be_missing_there(
    small_world: SmallWorld, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    if spoil == "folder":
        small_world.state.mkdir()
    else:
        small_world.settings["state"]["database"] = f"sqlite:///{small_world.config}/state.db"
        small_world.write_settings()
    with embedded(small_world) as engine:
        measured(engine)
        (done,) = set_limits(engine, [JOHN], "20000")
        assert (done.new_bytes, done.error, done.journal_id) == (20_000, None, None)
        (recounted,) = recalc(engine, FULL)
        (emptied,) = empty(engine, TRASH)
        assert emptied.messages == 3
        for result in (done, recounted, emptied):
            assert result.error is None
            assert "done, but not in the journal: state database" in (result.remark or "")
        assert inner(engine).status().unrecorded == 3
    assert small_world.limit_of(JOHN) == 20_000
    assert caplog.text.count("done, but not in the journal") == 3
