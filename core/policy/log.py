"""The newest decisions, kept as raw requests and made readable only when a console or a command shows them.

At tens of thousands of answers a second most are never shown. So adding one costs an append, and the oldest are
dropped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ..base.times import steady_time
from ..control.results import DecisionRow, Refusals
from ..mailboxes.ledger import Entry
from ..mailboxes.refusals import RefusalTally
from .decision import REFUSALS, Verdict
from .protocol import question, text_attribute

NEWEST = 500
REFUSED = 5000
_NAMED = 3  # mailboxes of one decision
_PART = 50  # decisions that are made readable at once


# making a _Raw costs five times more
_Fields = tuple[float, Verdict, bytes, Sequence[Entry], int, tuple[str, ...], bool]


KeptDecision = tuple[
    float, str, bytes, tuple[str, ...], int, tuple[str, ...], bool
]  # the same with the accounts' addresses


def _kept(raw: _Fields) -> KeptDecision:
    at, verdict, request, entries, micros, missed, shadow = raw
    return at, verdict.value, request, tuple(entry.address for entry in entries), micros, missed, shadow


class _Raw(NamedTuple):
    at: float
    verdict: Verdict
    request: bytes
    entries: Sequence[Entry]
    micros: int
    missed: tuple[str, ...]
    shadow: bool


def _row(fields: _Fields) -> DecisionRow:
    raw = _Raw(*fields)
    request = raw.request
    client = text_attribute(request, "client_name")
    if client in {"", "unknown"}:
        client = text_attribute(request, "client_address")
    return DecisionRow(
        at=raw.at,
        verdict=raw.verdict.value,
        recipient=text_attribute(request, "recipient"),
        mailbox=_mailboxes(raw.entries),
        sender=text_attribute(request, "sender"),
        client=client,
        size=question(request).size,
        micros=raw.micros,
        missed=list(raw.missed),
        shadow=raw.shadow,
    )


def _most_wanted(raws: list[_Fields], most: int) -> list[_Fields]:
    """In their order: refusals before others, newer ones before older."""
    places = sorted(range(len(raws)), key=lambda at: (bool(raws[at][5]) or raws[at][1] in REFUSALS, at))[-most:]
    return [raws[at] for at in sorted(places)]


def _mailboxes(entries: Sequence[Entry]) -> str:
    """Their addresses, at most ``_NAMED``, and how many there are more."""
    names = [entry.address for entry in entries[:_NAMED]]
    more = len(entries) - len(names)
    return ", ".join(names) + (f" +{more}" if more else "")


class DecisionLog:
    """The newest decisions, the newest refusals, and the counts of refusals. Used on the engine's loop."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: deque[_Fields] = deque(maxlen=NEWEST)
        self._refused: deque[_Fields] = deque(maxlen=REFUSED)
        self.tally = RefusalTally(steady_time(), partial(text_attribute, name="sender"))

    def add(
        self,
        verdict: Verdict,
        request: bytes,
        entries: Sequence[Entry],
        micros: int,
        missed: tuple[str, ...] = (),
        *,
        shadow: bool = False,
    ) -> None:
        """Add an answered request.

        ``entries`` are the mailboxes of its recipient, ``micros`` the microseconds until the answer, and ``missed`` the
        addresses of mailboxes that are too full for a mail which another mailbox of the same recipient accepts.
        """
        raw = (time.time(), verdict, request, entries, micros, missed, shadow)
        self.count += 1
        self._newest.append(raw)
        if missed or verdict in REFUSALS:
            self._refused.append(raw)
        if verdict in REFUSALS:
            steady = steady_time()
            for entry in entries:
                self.tally.add(entry.address, request, raw[0], steady)
            if not shadow:
                self.tally.count(request, raw[0], steady)

    def since(self, count: int, most: int) -> tuple[list[DecisionRow], int]:
        """The newest ``most`` of the decisions after the first ``count``, oldest first, and how many are left out."""
        new = self.count - count
        shown = min(new, most, len(self._newest))
        rows = [_row(raw) for raw in list(self._newest)[len(self._newest) - shown :]] if shown else []
        return rows, new - shown

    def pick(self, count: int, most: int) -> tuple[list[Callable[[], DecisionRow]], int]:
        """As ``since``, for a thread, which makes the rows; where there are more, refusals and the newest are taken."""
        new = self.count - count
        kept = list(self._newest)[max(0, len(self._newest) - new) :]
        chosen = kept if len(kept) <= most else _most_wanted(kept, most)
        return [partial(_row, raw) for raw in chosen], new - len(chosen)

    def backlog(self) -> Iterator[list[DecisionRow]]:
        """All decisions that are kept now, oldest first, in parts: all at once would hold up the loop."""
        raws = list(self._newest)
        for start in range(0, len(raws), _PART):
            yield [_row(raw) for raw in raws[start : start + _PART]]

    def known(self) -> tuple[list[KeptDecision], list[KeptDecision]]:
        """The newest decisions and the newest refusals, for the engine that takes over."""
        return [_kept(raw) for raw in self._newest], [_kept(raw) for raw in self._refused]

    def recall(
        self, newest: Iterable[KeptDecision], refused: Iterable[KeptDecision], get: Callable[[str], Entry | None]
    ) -> None:
        """Take over the decisions of another engine, before any is made here; ``get`` gives the entry of an address."""
        for kept, mine in ((newest, self._newest), (refused, self._refused)):
            for at, verdict, request, addresses, micros, missed, shadow in kept:
                entries = [entry for address in addresses if (entry := get(address)) is not None]
                mine.append((at, Verdict(verdict), request, entries, micros, missed, shadow))

    def report(self, most: int) -> Refusals:
        """The ``most`` accounts for which most mail was refused."""
        return self.tally.report(time.time(), steady_time(), most)

    def refusals(self, address: str, most: int) -> list[DecisionRow]:
        """The last refusals of one mailbox, newest first."""
        found = [raw for raw in reversed(self._refused) if any(entry.address == address for entry in raw[3])]
        return [_row(raw) for raw in found[:most]]
