"""Changes as orders make them, and what the journal has of them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from mailquota.core.base.times import parse_until
from mailquota.core.control.results import JournalRow, SetResult
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.who import Operator
from tests.core.clients import until
from tests.core.engines import inner


def mary() -> Operator:
    return Operator("mary", "ssh:10.0.0.9")


def set_limits(engine: Embedded, addresses: list[str], size: str, end: str = "", **more: Any) -> list[SetResult]:
    """For good, or until the date ``end``."""
    found = inner(engine)
    store = more.pop("store", found.accounts.store)
    moment = parse_until(end, time.time()) if end else None
    more = {"reason": "she asked", "until": moment} | more
    return engine.call(found.limits.set(store, addresses, size, more.pop("operator", mary()), **more))


def undo(engine: Embedded, number: int | None = None, **more: Any) -> list[SetResult]:
    found = inner(engine)
    return engine.call(found.limits.undo(found.accounts.store, number, more.pop("operator", mary()), **more))


def entries(engine: Embedded) -> list[JournalRow]:
    """What was done to accounts, oldest first."""
    return [row for row in reversed(inner(engine).journal.read()) if row.address]


def journal(engine: Embedded) -> list[tuple[Any, ...]]:
    """operator, origin, kind, address, old, new, reason of each, oldest first."""
    return [msgspec.structs.astuple(row)[2:9] for row in entries(engine)]


def started(engine: Embedded) -> Embedded:
    """The same once it is in the journal that it started."""
    until(inner(engine).journal.read, "the start is in the journal")
    return engine
