"""A change is in the journal before it is made: whatever happens in between, old and new limit are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mailquota.core.accounts.store import LimitChange, LimitResult
from mailquota.core.base.errors import DatabaseError, UnclearError
from mailquota.core.control.results import JournalRow
from mailquota.core.engine.serve import Embedded
from tests.core.changes.edits import entries, mary, set_limits
from tests.core.engines import embedded, inner, measured
from tests.core.worlds import ANNA, JOHN, LIMIT, SmallWorld

WHY = "accounts database db:3306/mailserver: Lost connection; whether limits were changed is not known"


class Losing:
    """The accounts database, but its answer is ``error``; ``made``: it does what it is asked for."""

    def __init__(self, engine: Embedded, error: Exception, *, made: bool) -> None:
        self._engine = engine
        self._error = error
        self._made = made
        self.before: list[JournalRow] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(inner(self._engine).accounts.store, name)

    def set_limits(self, limits: Sequence[LimitChange]) -> list[LimitResult]:
        self.before = entries(self._engine)
        if self._made:
            inner(self._engine).accounts.store.set_limits(limits)
        raise self._error


@pytest.mark.parametrize("made", [True, False])
def test_a_change_whose_answer_was_lost_is_entered_as_unclear(small_world: SmallWorld, made: bool) -> None:
    """With old and new limit, and the reason of the operator; no edit that undo would take for done."""
    with embedded(small_world) as engine:
        measured(engine)
        store = Losing(engine, UnclearError(WHY), made=made)
        with pytest.raises(UnclearError):
            set_limits(engine, [JOHN, ANNA], "1G", store=store)
        found = entries(engine)
        assert [(row.kind, row.address, row.old, row.new) for row in found] == [
            ("unclear", JOHN, str(LIMIT), str(1 << 30)),
            ("unclear", ANNA, str(LIMIT), str(1 << 30)),
        ]
        assert {row.reason for row in found} == {f"she asked; {WHY}"}
        assert found[0].who.startswith("mary")
        assert inner(engine).journal.newest_edit() == []


def test_what_is_begun_is_in_the_journal_before_it_is_made(small_world: SmallWorld) -> None:
    """An engine that is killed then leaves this; one that goes on removes what was not made."""
    with embedded(small_world) as engine:
        measured(engine)
        store = Losing(engine, DatabaseError("denied"), made=False)
        with pytest.raises(DatabaseError, match="denied"):
            set_limits(engine, [JOHN], "1G", store=store)
        (begun,) = store.before
        assert (begun.kind, begun.old, begun.new) == ("unclear", str(LIMIT), str(1 << 30))
        assert begun.reason == "she asked; begun; whether it was made is not known"
        assert entries(engine) == []


def test_a_limit_of_messages_is_entered_with_its_unit(small_world: SmallWorld) -> None:
    with embedded(small_world) as engine:
        measured(engine)
        found = inner(engine)
        store: Any = Losing(engine, UnclearError(WHY), made=False)
        with pytest.raises(UnclearError):
            engine.call(found.limits.messages.set(store, [JOHN], "1000", mary(), reason="", dry_run=False))
        (row,) = entries(engine)
        assert (row.kind, row.old, row.new, row.reason) == ("unclear", "unlimited messages", "1000 messages", WHY)


def test_what_was_made_is_an_entry_as_before(small_world: SmallWorld) -> None:
    """Those of accounts that were not changed are gone."""
    with embedded(small_world) as engine:
        measured(engine)
        results = set_limits(engine, [JOHN, "nobody@example.org"], "1G")
        (row,) = entries(engine)
        assert (row.kind, row.address, row.reason, row.id) == ("limit", JOHN, "she asked", results[0].journal_id)
