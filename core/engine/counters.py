"""What an engine counted, in bytes for the engine that takes over from it: counters and refusals go on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from ..history.refusal_counts import RefusalCounts
from ..mailboxes.ledger import Ledger
from ..mailboxes.refusals import RefusalCount
from ..policy.compare import QuotaStatusComparison
from ..policy.log import DecisionLog, KeptDecision
from ..policy.metrics import Counts, Metrics

log = logging.getLogger(__name__)


class _Counted(msgspec.Struct, frozen=True):
    """The form between two engines, of different versions maybe: names of fields stay.

    ``compared``: answers that were compared with quota-status, those that differed, and those that could not be
    compared. ``refused_at``: time of the last refusal by address, in seconds since the epoch.
    """

    counts: Counts
    compared: tuple[int, int, int]
    refused_at: dict[str, float]
    refusals: list[RefusalCount]
    newest: list[KeptDecision]
    refused: list[KeptDecision]


@dataclass(frozen=True)
class Counters:
    """The parts of an engine that count."""

    metrics: Metrics
    decisions: DecisionLog
    comparison: QuotaStatusComparison
    ledger: Ledger
    refusals: RefusalCounts

    def pack(self) -> bytes:
        """All counts. Called once no request is answered any more, so that none is missing."""
        newest, refused = self.decisions.known()
        entries = self.ledger.entries.values()
        counted = _Counted(
            counts=self.metrics.counts(),
            compared=(self.comparison.compared, self.comparison.disagreed, self.comparison.skipped),
            refused_at={entry.address: entry.refused_at for entry in entries if entry.refused_at is not None},
            refusals=self.decisions.tally.known(),
            newest=newest,
            refused=refused,
        )
        return msgspec.msgpack.encode(counted)

    def unpack(self, data: bytes) -> bool:
        """Go on from the counts of another engine, before a request is answered.

        False where there are none, as from an engine of an older version, or where they can't be decoded.
        """
        if not data:
            return False
        try:
            counted = msgspec.msgpack.decode(data, type=_Counted)
            self.decisions.recall(counted.newest, counted.refused, self.ledger.get)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("what the engine before this one counted is not known: %s", error)
            return False
        self.metrics.go_on(counted.counts)
        self.comparison.compared, self.comparison.disagreed, self.comparison.skipped = counted.compared
        self.refusals.restore(counted.refusals)
        self.refusals.note_refused(counted.refused_at)
        return True
