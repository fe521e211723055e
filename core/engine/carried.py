"""What an engine knows of its own doings, handed over to the engine after it: counters and refusals go on."""

from __future__ import annotations

import logging

import msgspec

from mailquota.core.engine.parts import EngineParts
from mailquota.core.mailboxes.refusals import Refused
from mailquota.core.policy.log import Kept
from mailquota.core.policy.metrics import Counts

log = logging.getLogger(__name__)


class Carried(msgspec.Struct, frozen=True):
    """``compared`` are answers compared with quota-status, those that differ, and those that were not compared.

    ``refused_at`` has seconds since the epoch by address.
    """

    counts: Counts
    compared: tuple[int, int, int]
    refused_at: dict[str, float]
    refusals: list[Refused]
    newest: list[Kept]
    refused: list[Kept]


def pack(engine: EngineParts) -> bytes:
    """Once nothing is answered any more."""
    decisions, second = engine.decisions, engine.enforcer.second
    newest, refused = decisions.known()
    entries = engine.ledger.entries.values()
    carried = Carried(
        engine.metrics.counts(),
        (second.compared, second.disagreed, second.skipped),
        {entry.address: entry.refused_at for entry in entries if entry.refused_at is not None},
        decisions.tally.known(),
        newest,
        refused,
    )
    return msgspec.msgpack.encode(carried)


def unpack(engine: EngineParts, data: bytes) -> bool:
    """Before anything is answered. False where there is nothing, as from an older engine."""
    if not data:
        return False
    try:
        carried = msgspec.msgpack.decode(data, type=Carried)
        engine.decisions.recall(carried.newest, carried.refused, engine.ledger.get)
    except (msgspec.DecodeError, ValueError) as error:
        log.warning("what the engine before this one counted is not known: %s", error)
        return False
    second = engine.enforcer.second
    engine.metrics.go_on(carried.counts)
    second.compared, second.disagreed, second.skipped = carried.compared
    engine.history.refusals.restore(carried.refusals)
    engine.history.refusals.note_refused(carried.refused_at)
    return True
