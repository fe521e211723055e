"""The answer to a policy request: the ledger's record, checked against the disk, judged, counted, recorded.

Theory of operation. Most requests need the disk: has the mailbox changed since its figure was taken? That look is one
stat in the *probe* lane; where it says that folders must be counted, the *count* lane does it. Both are threads that
may hang without harm (see core.lanes). Whatever happens, a request is answered within ``DEADLINE``, by then with the
``trouble`` answer. A count that took longer is not lost: it lands in the ledger for the next request.

Everything here but the work of the lanes runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from core.control.results import Explanation
from core.decisions import DecisionLog
from core.explanation import explanation
from core.lanes import Lane
from core.ledger import Entry, Ledger
from core.policy.decision import DECIDED_STATES, REFUSALS, Answers, Rules, Verdict, judge
from core.policy.metrics import Metrics
from core.policy.protocol import Question, answer, question
from core.policy.recipient import user_name
from core.policy.server import Connection
from core.usage.mailstore import Mailstore
from core.usage.measure import Known, Need, count_inbox, probe

log = logging.getLogger(__name__)

DEADLINE = 0.15  # seconds from the request read to the answer, with the tick below at most 0.2
START_DEADLINE = 2.0  # seconds that requests wait for the first read of the accounts
_TICK = 0.04
_PROBE_PATIENCE = 0.06
_COUNT_PATIENCE = 5.0


Sink = Connection | asyncio.Future[Verdict]  # who waits for the verdict: Postfix, or somebody who wants it explained


class Pending:
    """A request that is being decided."""

    __slots__ = ("base", "deadline", "entry", "question", "request", "sink", "started")

    def __init__(self, request: bytes, asked: Question, sink: Sink, deadline: float) -> None:
        self.request = request
        self.question = asked
        self.sink: Sink | None = sink  # None once it is answered
        self.deadline = deadline
        self.started = time.perf_counter_ns()
        self.entry: Entry | None = None
        self.base: Known | None = None  # what was known when the work on it began


class Enforcer:
    """Answers policy requests from the ledger."""

    def __init__(
        self, ledger: Ledger, store: Mailstore, rules: Rules, metrics: Metrics, decisions: DecisionLog
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._metrics = metrics
        self._decisions = decisions
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Pending] = deque()
        self._early: list[Pending] | None = []  # requests before the accounts were read; None afterwards
        self._early_until = self._loop.time() + START_DEADLINE
        self._timer: asyncio.TimerHandle | None = None
        self.asked: dict[Entry, float] = {}  # who was asked about, and when: the poller measures them first
        self._probes: Lane[Pending, Known | Need] = Lane(
            "probe", self._probe, self._probed, stuck=self._hangs, key=_key, patience=_PROBE_PATIENCE
        )
        self._counts: Lane[Pending, Known] = Lane(
            "count", self._count, self._counted, stuck=self._hangs, key=_key, patience=_COUNT_PATIENCE
        )
        self.set_rules(rules)

    def set_rules(self, rules: Rules) -> None:
        """Take new settings; the next request is judged by them."""
        self.rules = rules
        answers = Answers.shadow() if rules.shadow else rules.answers
        self._answers = {verdict: answer(answers.action(verdict)) for verdict in Verdict}

    def accounts_read(self) -> None:
        """The ledger holds the accounts: those who waited are answered."""
        early, self._early = self._early, None
        for pending in early or ():
            self._decide_later(pending)

    @property
    def hanging(self) -> int:
        """Threads that wait for a file system which does not answer."""
        return self._probes.stuck + self._counts.stuck

    def ask(self, request: bytes, connection: Connection) -> bytes | None:
        """The answer, or None where ``connection.complete`` gets it later. A fault in here is ``trouble``."""
        try:
            return self._ask(request, connection)
        except Exception:  # an outer edge: no fault of ours may leave a request without an answer
            log.exception("a policy request could not be decided")
            self._metrics.trouble += 1
            self._metrics.answered(0)
            return self._answers[Verdict.TROUBLE]

    def _ask(self, request: bytes, connection: Connection) -> bytes | None:
        pending = Pending(request, question(request), connection, self._loop.time() + DEADLINE)
        if self._early is not None:
            return self._ask_early(pending)
        verdict = self._look_up(pending)
        if verdict is not None:
            return self._finish(pending, verdict)
        self._submit(pending)
        return None

    def _ask_early(self, pending: Pending) -> bytes | None:
        if self._loop.time() >= self._early_until:
            return self._finish(pending, Verdict.TROUBLE)
        pending.deadline = self._early_until
        assert self._early is not None
        self._early.append(pending)
        self._wait(pending)
        return None

    def _decide_later(self, pending: Pending) -> None:
        if pending.sink is None:
            return
        pending.deadline = self._loop.time() + DEADLINE
        verdict = self._look_up(pending)
        if verdict is not None:
            self._answer(pending, verdict)
        else:
            self._submit(pending)

    def _look_up(self, pending: Pending) -> Verdict | None:
        """The verdict where it needs no look at the disk; else ``pending.entry`` is the mailbox to look at."""
        asked = pending.question
        if asked.state not in DECIDED_STATES or not asked.recipient:
            return Verdict.OTHER
        name = user_name(asked.recipient, self.rules.delimiters)
        if name is None:
            return Verdict.OTHER
        entry = self._ledger.get(name)
        if entry is None or not entry.mailbox or not entry.enabled:
            return Verdict.UNKNOWN
        pending.entry = entry
        self.asked[entry] = pending.deadline
        return Verdict.ACCEPT if entry.limit is None or name in self.rules.exempt else None

    async def explain(self, recipient: str, size: int) -> Explanation:
        """The decision on a recipient by the way of a live request; not counted, not recorded."""
        asked = Question(None, recipient.encode("utf-8", "replace"), size)
        verdicts: asyncio.Future[Verdict] = self._loop.create_future()
        pending = Pending(b"", asked, verdicts, self._loop.time() + DEADLINE)
        verdict = self._look_up(pending)
        if verdict is None:
            self._submit(pending)
            verdict = await verdicts
        return explanation(self.rules, recipient, size, pending.entry, verdict)

    # ---- the look at the disk

    def _submit(self, pending: Pending) -> None:
        if self._probes.usable(pending):
            self._wait(pending)
            self._probes.submit(pending)
        else:
            self._loop.call_soon(self._hangs, pending)

    def _probe(self, pending: Pending) -> Known | Need:
        """In the probe lane's thread."""
        entry = pending.entry
        assert entry is not None
        pending.base = entry.known
        return probe(self._store.maildir(entry.address), entry.limit, pending.base, time.time())

    def _probed(self, pending: Pending, result: Known | Need | Exception) -> None:
        if result is Need.COUNT and self._counts.usable(pending):
            self._counts.submit(pending)
        elif isinstance(result, Known):
            self._take(pending, result)
        elif result is Need.NOTHING and pending.base is not None:
            self._take(pending, pending.base)
        else:
            self._unmeasurable(pending, result)

    def _count(self, pending: Pending) -> Known:
        """In the count lane's thread."""
        entry = pending.entry
        assert entry is not None
        pending.base = entry.known
        return count_inbox(self._store, self._store.maildir(entry.address), pending.base)

    def _counted(self, pending: Pending, result: Known | Exception) -> None:
        if isinstance(result, Known):
            self._take(pending, result)
        else:
            self._unmeasurable(pending, result)

    def _unmeasurable(self, pending: Pending, result: object) -> None:
        entry = pending.entry
        assert entry is not None
        if isinstance(result, Exception):
            if entry.trouble is None:
                log.warning("%s can't be measured: %s", entry.address, result)
            self._ledger.set_trouble(entry, str(result))
        self._answer(pending, Verdict.TROUBLE)

    def _hangs(self, pending: Pending) -> None:
        self._answer(pending, Verdict.TROUBLE)

    def _take(self, pending: Pending, known: Known) -> None:
        """A figure that holds now: remember it, judge by it."""
        entry = pending.entry
        assert entry is not None
        self._ledger.set_known(entry, pending.base, known, time.time())
        limit = entry.limit
        grace = self.rules.grace.of(limit) if limit is not None else 0
        self._answer(pending, judge(limit, known.used, pending.question.size, grace))

    # ---- the end of a request

    def _answer(self, pending: Pending, verdict: Verdict) -> None:
        sink, pending.sink = pending.sink, None
        if isinstance(sink, Connection):
            sink.complete(self._finish(pending, verdict))
        elif sink is not None and not sink.done():
            sink.set_result(verdict)

    def _finish(self, pending: Pending, verdict: Verdict) -> bytes:
        """Count and record the verdict; the bytes of its answer."""
        metrics = self._metrics
        micros = (time.perf_counter_ns() - pending.started) // 1000
        metrics.answered(micros)
        entry = pending.entry
        if verdict in REFUSALS:
            if self.rules.shadow:
                metrics.would_refuse += 1
            else:
                metrics.refused += 1
            if entry is not None:
                entry.refused_at = time.time()
                self._ledger.touch(entry)
        elif verdict is Verdict.TROUBLE:
            metrics.trouble += 1
        self._decisions.add(verdict, pending.request, entry, micros)
        return self._answers[verdict]

    def _wait(self, pending: Pending) -> None:
        self._waiting.append(pending)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        waiting, now = self._waiting, self._loop.time()
        while waiting and (waiting[0].sink is None or waiting[0].deadline <= now):
            self._answer(waiting.popleft(), Verdict.TROUBLE)
        self._timer = self._loop.call_later(_TICK, self._look_at_deadlines) if waiting else None

    def close(self) -> None:
        """End the lanes."""
        if self._timer is not None:
            self._timer.cancel()
        self._probes.close()
        self._counts.close()


def _key(pending: Pending) -> object:
    return pending.entry.address if pending.entry is not None else None
