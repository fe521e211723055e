"""Changes: what is done, what is answered, and what stands in the journal."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from core.accounts.store import ANY, AccountStore, LimitChange, LimitResult
from core.actions import Operator
from core.control.results import RecalcResult, SetResult, TrashResult
from core.errors import DatabaseError, MailquotaError, UsageError
from core.serve import Embedded
from core.usage.measure import recorded
from core.usage.recalc import rewrite
from tests.core.clients import PolicyClient, ask, until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, OVERQUOTA, TRASH, SmallWorld


def mary() -> Operator:
    return Operator("mary", "ssh:10.0.0.9")


def set_limits(engine: Embedded, addresses: list[str], size: str, **more: Any) -> list[SetResult]:
    """As an order does it."""
    found = inner(engine)
    store = more.pop("store", found.sync.store)
    dry_run = more.pop("dry_run", False)
    return engine.call(found.actions.set_limits(store, addresses, size, "she asked", mary(), dry_run=dry_run))


def recalc(engine: Embedded, *addresses: str) -> list[RecalcResult]:
    return engine.call(inner(engine).actions.recalc(list(addresses), mary()))


def empty(
    engine: Embedded, *addresses: str, older_than: float | None = None, dry_run: bool = False
) -> list[TrashResult]:
    return engine.call(inner(engine).actions.empty_trash(list(addresses), older_than, mary(), dry_run=dry_run))


def journal(engine: Embedded) -> list[tuple[Any, ...]]:
    """operator, origin, kind, address, old, new, reason of each entry, oldest first."""
    return [row[2:9] for row in reversed(inner(engine).journal.read())]


# ---- limits


def test_a_new_limit_holds_at_once(engine: Embedded, small_world: SmallWorld) -> None:
    """In the database, in the next answer, in the table and in the journal."""
    with PolicyClient(small_world.policy_socket) as postfix:
        assert postfix.ask(FULL) == OVERQUOTA
        (done,) = set_limits(engine, [FULL], "20000")
        assert postfix.ask(FULL) == "DUNNO"
    assert done == SetResult(FULL, LIMIT, 20_000, 10_000, journal_id=1)
    assert small_world.limit_of(FULL) == 20_000
    assert rows(engine)[FULL].limit_bytes == 20_000
    assert journal(engine) == [("mary", "ssh:10.0.0.9", "limit", FULL, "10000", "20000", "she asked")]


def test_unlimited_is_zero_in_the_database_and_a_word_in_the_journal(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [FULL], "unlimited")
    set_limits(engine, [FREE], "3K")
    assert (small_world.limit_of(FULL), small_world.limit_of(FREE)) == (0, 3072)
    assert [entry[4:6] for entry in journal(engine)] == [("10000", "unlimited"), ("unlimited", "3072")]
    assert ask(small_world.policy_socket, FULL) == "DUNNO"


@pytest.mark.parametrize(
    ("size", "expected"),
    [("+500", 10_500), ("-1000", 9000), ("x2", 20_000), ("+20%", 12_000), ("used+1K", 5024), ("used*1.5", 6000)],
)
def test_relative_sizes_start_from_the_limit_or_the_use(
    engine: Embedded, small_world: SmallWorld, size: str, expected: int
) -> None:
    (done,) = set_limits(engine, [JOHN], size)
    assert (done.error, done.old_bytes, done.new_bytes) == (None, LIMIT, expected)
    assert small_world.limit_of(JOHN) == expected


def test_the_use_is_measured_before_it_is_reckoned_from(engine: Embedded, small_world: SmallWorld) -> None:
    small_world.deliver(JOHN, 1000)
    (done,) = set_limits(engine, [JOHN], "used*2")
    assert (done.used_bytes, done.new_bytes) == (5000, 10_000)


def test_a_relative_size_does_not_overwrite_an_edit_made_elsewhere(small_world: SmallWorld) -> None:
    """What was reckoned from the old limit is refused; an absolute size says what it wants and is not."""
    small_world.settings["accounts"]["refresh"] = "1h"
    small_world.write_settings()
    with embedded(small_world) as engine:
        measured(engine)
        small_world.set_limit(JOHN, 50_000)
        (done,) = set_limits(engine, [JOHN], "+1000")
        assert done.error is not None
        assert "was changed meanwhile, it is 50000 bytes now" in done.error
        assert (done.code, done.journal_id) == (1, None)
        assert small_world.limit_of(JOHN) == 50_000
        assert journal(engine) == []
        (done,) = set_limits(engine, [JOHN], "2000")
        assert (done.old_bytes, done.new_bytes, done.error) == (50_000, 2000, None)
        assert journal(engine)[0][4:6] == ("50000", "2000")


def test_many_limits_are_set_and_each_failure_is_named(engine: Embedded, small_world: SmallWorld) -> None:
    """In the order in which they were named."""
    done = set_limits(engine, [JOHN, "x@y", FREE, FULL], "+1000")
    assert [(result.address, result.new_bytes, result.code, result.journal_id) for result in done] == [
        (JOHN, 11_000, 0, 1),
        ("x@y", None, 4, None),
        (FREE, None, 2, None),
        (FULL, 11_000, 0, 2),
    ]
    assert done[1].error == "no such account: x@y"
    assert "unlimited" in str(done[2].error)
    assert small_world.limit_of(FREE) == 0


def test_an_account_named_twice_is_changed_once(engine: Embedded, small_world: SmallWorld) -> None:
    done = set_limits(engine, [JOHN, JOHN], "+1000")
    assert [result.new_bytes for result in done] == [11_000, 11_000]
    assert small_world.limit_of(JOHN) == 11_000
    assert len(journal(engine)) == 1


@pytest.mark.parametrize("size", ["banana", "", "-1G", "+1", "9E"])
def test_a_size_that_makes_no_sense_changes_nothing(engine: Embedded, small_world: SmallWorld, size: str) -> None:
    """For one account it is the caller's mistake as a whole."""
    with pytest.raises(UsageError):
        set_limits(engine, [FREE if size == "+1" else JOHN], size)
    assert small_world.limit_of(JOHN) == LIMIT
    assert journal(engine) == []


def test_a_dry_run_plans_by_the_same_rules_and_changes_nothing(engine: Embedded, small_world: SmallWorld) -> None:
    plan = set_limits(engine, [FULL, "x@y"], "1K", dry_run=True)
    assert [(result.new_bytes, result.used_bytes, result.code) for result in plan] == [
        (1024, 10_000, 0),
        (None, None, 4),
    ]
    assert small_world.limit_of(FULL) == LIMIT
    assert journal(engine) == []


class NarrowStore:
    """A database that takes no limit above 2 GiB, or none at all."""

    def __init__(self, error: MailquotaError | None = None) -> None:
        self.error = error
        self.asked: list[LimitChange] = []

    def set_limits(self, limits: list[LimitChange]) -> list[LimitResult]:
        if self.error is not None:
            raise self.error
        self.asked += limits
        full = MailquotaError("does not fit: virtual_users.quota is int")
        return [LimitResult(c.address, 1, full if c.address == JOHN else None) for c in limits]


def test_a_limit_that_the_column_can_not_hold_fails_alone(engine: Embedded) -> None:
    """Nothing else believes in it: neither answers nor table nor journal."""
    store = cast("AccountStore", NarrowStore())
    done = set_limits(engine, [JOHN, FULL], "5G", store=store)
    assert [(result.code, result.new_bytes) for result in done] == [(1, LIMIT), (0, 5 * 2**30)]
    assert "quota is int" in str(done[0].error)
    assert rows(engine)[JOHN].limit_bytes == LIMIT
    assert [entry[3] for entry in journal(engine)] == [FULL]


def test_relative_sizes_say_what_they_expect_and_absolute_ones_do_not(engine: Embedded) -> None:
    store = NarrowStore()
    for size in ("+1K", " x2", "-10", "20000", "used+1", "unlimited"):
        set_limits(engine, [FULL], size, store=cast("AccountStore", store))
    assert [change.expect is ANY for change in store.asked] == [False, False, False, True, True, True]
    assert store.asked[0].expect == LIMIT


def test_a_database_that_is_gone_fails_the_whole_order(engine: Embedded) -> None:
    store = cast("AccountStore", NarrowStore(DatabaseError("gone away")))
    with pytest.raises(DatabaseError, match="gone away"):
        set_limits(engine, [JOHN, FULL], "5G", store=store)
    assert rows(engine)[JOHN].limit_bytes == LIMIT


# ---- recounts, without doveadm


def test_a_recount_corrects_what_is_recorded(engine: Embedded, small_world: SmallWorld) -> None:
    """Before is what the file said, after what lies there; the next answer follows."""
    path = small_world.maildir(FULL) / "maildirsize"
    next(iter((small_world.maildir(FULL) / "cur").iterdir())).unlink()
    small_world.settle(FULL)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    (done,) = recalc(engine, FULL)
    assert done == RecalcResult(FULL, 10_000, 5000, 2, 1, "rewrite")
    assert path.read_text() == "10000S\n5000 1\n"
    assert ask(small_world.policy_socket, FULL) == "DUNNO"
    assert rows(engine)[FULL].used_bytes == 5000
    assert journal(engine) == [("mary", "ssh:10.0.0.9", "recalc", FULL, "10000", "5000", "")]


def test_a_recount_while_mail_comes_in_leaves_no_file(engine: Embedded, small_world: SmallWorld) -> None:
    """The figure is right all the same."""
    small_world.deliver(JOHN, 500)
    (done,) = recalc(engine, JOHN)
    assert (done.before_bytes, done.after_bytes, done.method) == (4500, 4500, "unlink")
    assert not (small_world.maildir(JOHN) / "maildirsize").exists()


def test_recounts_of_unknown_accounts_are_named(engine: Embedded) -> None:
    done = recalc(engine, "x@y", JOHN)
    assert [(result.code, result.error) for result in done] == [(4, "no such account: x@y"), (0, None)]
    assert [entry[3] for entry in journal(engine)] == [JOHN]


def test_a_mailbox_that_can_not_be_read_fails_alone(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its path, also where that is no text."""

    def refuse(*arguments: Any) -> str:
        if arguments[1] == str(small_world.maildir(JOHN)):
            raise PermissionError(13, "Permission denied", b"/mail/\xff")
        return rewrite(*arguments)

    monkeypatch.setattr("core.usage.driver.rewrite", refuse)
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

    monkeypatch.setattr("core.usage.driver.rewrite", slow)

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

    monkeypatch.setattr("core.usage.empty.os.unlink", fail_late)
    (done,) = empty(engine, TRASH)
    monkeypatch.undo()
    assert (done.messages, done.bytes, done.code) == (2, 2000, 1)
    assert "Permission denied" in str(done.error)
    assert rows(engine)[TRASH].used_bytes == 7000
    assert journal(engine)[0][5] == "-2000"


def test_trash_of_several_accounts_tells_of_its_progress(engine: Embedded) -> None:
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
