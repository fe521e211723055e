"""Limits: what is set, for good or until a day, what is taken back, and what stands in the journal."""

from __future__ import annotations

from typing import cast

import pytest

from mailquota.core.accounts.store import ANY, AccountStore, LimitChange, LimitResult
from mailquota.core.base.errors import DatabaseError, MailquotaError, UsageError
from mailquota.core.base.model import Level
from mailquota.core.control.results import SetResult
from mailquota.core.engine.serve import Embedded
from tests.core.changes.edits import entries, journal, set_limits, undo
from tests.core.clients import PolicyClient, ask, until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, OVERQUOTA, SmallWorld


def test_a_new_limit_holds_at_once(engine: Embedded, small_world: SmallWorld) -> None:
    """In the database, in the next answer, in the table and in the journal."""
    with PolicyClient(small_world.policy_socket) as postfix:
        assert postfix.ask(FULL) == OVERQUOTA
        (done,) = set_limits(engine, [FULL], "20000")
        assert postfix.ask(FULL) == "DUNNO"
    assert done == SetResult(
        address=FULL, old_bytes=LIMIT, new_bytes=20_000, used_bytes=10_000, journal_id=entries(engine)[0].id
    )
    assert small_world.limit_of(FULL) == 20_000
    assert rows(engine)[FULL].limit_bytes == 20_000
    assert journal(engine) == [("mary", "ssh:10.0.0.9", "limit", FULL, "10000", "20000", "she asked")]


def test_unlimited_is_zero_in_the_database_and_a_word_in_the_journal(engine: Embedded, small_world: SmallWorld) -> None:
    set_limits(engine, [FULL], "unlimited")
    set_limits(engine, [FREE], "3K")
    assert (small_world.limit_of(FULL), small_world.limit_of(FREE)) == (0, 3072)
    assert [(entry.old, entry.new) for entry in entries(engine)] == [("10000", "unlimited"), ("unlimited", "3072")]
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


def test_the_usage_is_measured_before_a_limit_is_computed_from_it(engine: Embedded, small_world: SmallWorld) -> None:
    small_world.deliver(JOHN, 1000)
    (done,) = set_limits(engine, [JOHN], "used*2")
    assert (done.used_bytes, done.new_bytes) == (5000, 10_000)


def test_a_relative_size_does_not_overwrite_an_edit_made_elsewhere(small_world: SmallWorld) -> None:
    """A size that was computed from the old limit is refused; an absolute one is not."""
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
    numbers = [entry.id for entry in entries(engine)]
    assert [(result.address, result.new_bytes, result.code, result.journal_id) for result in done] == [
        (JOHN, 11_000, 0, numbers[0]),
        ("x@y", None, 4, None),
        (FREE, None, 2, None),
        (FULL, 11_000, 0, numbers[1]),
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
    assert [entry.address for entry in entries(engine)] == [FULL]


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


# ---- what is no limit


@pytest.mark.parametrize(
    ("value", "limit", "words"),
    [(-5, -5, "is -5, and Dovecot loads no user with a limit below 0"), ("5 GB", -1, "is '5 GB', which is no number")],
)
def test_a_limit_that_is_none(small_world: SmallWorld, value: object, limit: int, words: str) -> None:
    """It is not unlimited: unknown, with the reason, trouble for Postfix, until it gets one."""
    small_world.settings["policy"]["trouble"] = "DEFER_IF_PERMIT trouble"
    small_world.write_settings()
    small_world.execute("UPDATE virtual_users SET quota = ? WHERE email = ?", value, JOHN)
    with embedded(small_world) as engine:
        measured(engine)
        row = rows(engine)[JOHN]
        assert (row.limit_bytes, row.used_bytes, row.level, row.percent) == (limit, None, Level.UNKNOWN, None)
        assert words in row.why
        granted = inner(engine).ledger.totals.granted
        assert ask(small_world.policy_socket, JOHN) == "DEFER_IF_PERMIT trouble"
        said = engine.call(inner(engine).enforcer.explain(JOHN, 500))
        assert (said.verdict, said.action) == ("trouble", "DEFER_IF_PERMIT trouble")
        assert words in said.why
        for size in ("+1G", "x2"):
            with pytest.raises(UsageError, match="the one in the database is not valid"):
                set_limits(engine, [JOHN], size)
        with pytest.raises(UsageError, match="nothing to go back to"):
            set_limits(engine, [JOHN], "20000", "3d")
        (done,) = set_limits(engine, [JOHN], "20000")
        assert (done.error, done.old_bytes, done.new_bytes) == (None, limit, 20_000)
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        row = rows(engine)[JOHN]
        assert (row.limit_bytes, row.used_bytes, row.level, row.why) == (20_000, 4000, Level.OK, "")
        assert inner(engine).ledger.totals.granted == granted + 20_000


def test_a_limit_that_becomes_none(engine: Embedded, small_world: SmallWorld) -> None:
    """By an edit elsewhere; what was known of its use goes. It can't be given back by us."""
    set_limits(engine, [JOHN], "20000")
    number = entries(engine)[-1].id
    small_world.set_limit(JOHN, -5)
    until(lambda: rows(engine)[JOHN].level is Level.UNKNOWN, "it is noticed")
    assert rows(engine)[JOHN].used_bytes is None
    small_world.set_limit(JOHN, 20_000)
    until(lambda: rows(engine)[JOHN].used_bytes == 4000, "it is measured again")
    small_world.set_limit(JOHN, -5)
    until(lambda: rows(engine)[JOHN].level is Level.UNKNOWN, "it is noticed")
    (done,) = undo(engine, number)
    assert "invalid by now" in str(done.error)
