"""The newest decisions, kept as raw requests and made readable only for those who look.

At tens of thousands of answers a second most are never shown; so adding is one append, and the ring forgets.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from core.control.results import DecisionRow
from core.ledger import Entry
from core.policy.decision import REFUSALS, Verdict
from core.policy.protocol import question, text_attribute
from core.refusals import RefusalTally

NEWEST = 500
REFUSED = 5000
_PART = 50


class _Raw(NamedTuple):
    at: float
    verdict: Verdict
    request: bytes
    address: str
    micros: int


def _row(raw: _Raw) -> DecisionRow:
    request = raw.request
    client = text_attribute(request, "client_name")
    if client in {"", "unknown"}:
        client = text_attribute(request, "client_address")
    return DecisionRow(
        at=raw.at,
        verdict=raw.verdict.value,
        recipient=text_attribute(request, "recipient"),
        mailbox=raw.address,
        sender=text_attribute(request, "sender"),
        client=client,
        size=question(request).size,
        micros=raw.micros,
    )


class DecisionLog:
    """Written and read on the engine's loop."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: deque[_Raw] = deque(maxlen=NEWEST)
        self._refused: deque[_Raw] = deque(maxlen=REFUSED)
        self.tally = RefusalTally(time.time())

    def add(self, verdict: Verdict, request: bytes, entry: Entry | None, micros: int) -> None:
        """One answered request."""
        raw = _Raw(time.time(), verdict, request, "" if entry is None else entry.address, micros)
        self.count += 1
        self._newest.append(raw)
        if verdict in REFUSALS:
            self._refused.append(raw)
            self.tally.add(raw.address, request, raw.at)

    def since(self, count: int, most: int) -> tuple[list[DecisionRow], int]:
        """The newest ``most`` of those after the first ``count``, oldest first, and how many are left out."""
        new = self.count - count
        shown = min(new, most, len(self._newest))
        rows = [_row(raw) for raw in list(self._newest)[len(self._newest) - shown :]] if shown else []
        return rows, new - shown

    def backlog(self) -> Iterator[list[DecisionRow]]:
        """All that are kept now, oldest first, in parts: making many readable at once would hold the loop."""
        raws = list(self._newest)
        for start in range(0, len(raws), _PART):
            yield [_row(raw) for raw in raws[start : start + _PART]]

    def refusals(self, address: str, most: int) -> list[DecisionRow]:
        """The last refusals of one mailbox, newest first."""
        found = [raw for raw in reversed(self._refused) if raw.address == address]
        return [_row(raw) for raw in found[:most]]
