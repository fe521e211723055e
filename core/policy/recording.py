"""The end of a request: counts and records its verdict, has it compared with quota-status, and gives the answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ..mailboxes.ledger import Entry, Ledger
from ..settings.actions import PROBE
from .compare import QuotaStatusComparison
from .decision import REFUSALS, TROUBLE, Rules, Verdict, VerdictActions, is_made_unreadable
from .log import DecisionLog
from .metrics import Metrics
from .protocol import answer

_NONE: Mapping[Entry, Verdict] = {}
_PROBED = b"\n" + PROBE[:-1]  # as RequestReader returns it


class CountedAnswers:
    """The answer in bytes for each verdict; each one that is given is counted and recorded.

    The request by which commands check that the engine answers (``PROBE``) is neither counted nor recorded. Used on the
    engine's loop.
    """

    def __init__(
        self, ledger: Ledger, metrics: Metrics, decisions: DecisionLog, comparison: QuotaStatusComparison
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._decisions = decisions
        self._comparison = comparison
        self._shadow = False
        self._answers: dict[Verdict, bytes] = {}
        self._unreadable = b""  # the answer for trouble where owners made their mailboxes unreadable

    def set_rules(self, rules: Rules) -> None:
        """Take new settings, from the next answer on."""
        self._shadow = rules.shadow
        actions = VerdictActions.shadow() if rules.shadow else rules.actions
        self._answers = {verdict: answer(actions.action(verdict)) for verdict in Verdict}
        self._unreadable = answer(actions.action(TROUBLE, unreadable=True))

    def record(
        self,
        verdict: Verdict,
        request: bytes,
        entries: Sequence[Entry],
        started: int,
        missed: tuple[str, ...] = (),
        *,
        verdicts: Mapping[Entry, Verdict] = _NONE,
    ) -> bytes:
        """Count and record an answer; its bytes.

        ``started`` is when the request came, in nanoseconds of perf_counter; ``missed`` is as in ``missed_by``;
        ``verdicts`` are those of the mailboxes, which tell apart the answers for trouble.
        """
        if not entries and request == _PROBED:
            return self._answers[verdict]
        metrics = self._metrics
        micros = (time.perf_counter_ns() - started) // 1000
        metrics.answered(micros)
        if verdict in REFUSALS:
            if self._shadow:
                metrics.would_refuse += 1
            else:
                metrics.refused += 1
            now = time.time()
            for entry in entries:
                self._ledger.note_refusal(entry, now)
        elif verdict is TROUBLE:
            metrics.note_trouble()
        self._decisions.add(verdict, request, entries, micros, missed, shadow=self._shadow)
        if self._comparison.wanted:
            self._comparison.put(request, verdict)
        if verdict is TROUBLE and is_made_unreadable(verdicts, entries, self._ledger.unreadable):
            return self._unreadable
        return self._answers[verdict]

    def fault(self) -> bytes:
        """The answer for trouble, counted, where deciding or recording failed by a fault of this program."""
        self._metrics.note_trouble()
        self._metrics.answered(0)
        return self._answers[Verdict.TROUBLE]


def missed_by(verdict: Verdict, verdicts: dict[Entry, Verdict]) -> tuple[str, ...]:
    """The addresses of mailboxes that are too full for a mail which another mailbox of its recipient accepts."""
    if verdict in REFUSALS or len(verdicts) < 2:
        return ()
    return tuple(entry.address for entry, one in verdicts.items() if one in REFUSALS)
