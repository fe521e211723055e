"""The answer to a policy request: where its mail ends, whether that fits, counted and recorded.

Theory of operation. A request names a recipient; the aliases lead from it to mailboxes and other places. Where only
mailboxes with a limit are left, each of them is looked at (core/policy/lookup.py), judged, and the verdicts are summed
up: the mail is refused only if nobody can take it. Most requests go a shorter way: a recipient that is a plain mailbox
whose figure is fresh (core/policy/watch.py) is judged at once. Whatever happens, a request is answered within
``DEADLINE``, by then with the ``trouble`` answer. Everything here runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from mailquota.core.control.results import Explanation
from mailquota.core.mailboxes.driver import Driver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.policy.compare import QuotaStatusComparison
from mailquota.core.policy.decision import DECIDED_STATES, Rules, Verdict, judge, sum_up
from mailquota.core.policy.explanation import MailboxVerdict, explanation
from mailquota.core.policy.log import DecisionLog
from mailquota.core.policy.lookup import PendingLookup, UsageLookup
from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.protocol import Question, is_request, mail_key, question
from mailquota.core.policy.recording import CountedAnswers, missed_by
from mailquota.core.policy.routes import Route, Router
from mailquota.core.policy.server import Connection

log = logging.getLogger(__name__)

DEADLINE = 0.15  # seconds from the request read to the answer, with the tick below at most 0.2
START_DEADLINE = 2.0  # seconds that requests wait for the first read of the accounts
_TICK = 0.04
_FAULT = "a policy request could not be decided"

Sink = Connection | asyncio.Future[Verdict]  # who waits for the verdict: Postfix, or somebody who wants it explained


class PendingRequest:
    """A request that is being decided."""

    __slots__ = ("boxes", "deadline", "left", "question", "request", "sink", "started", "verdicts")

    def __init__(self, request: bytes, asked: Question, sink: Sink, deadline: float) -> None:
        self.request = request
        self.question = asked
        self.sink: Sink | None = sink  # None once it is answered
        self.deadline = deadline
        self.started = time.perf_counter_ns()
        self.boxes: list[Entry] = []  # the mailboxes that its mail ends in
        self.verdicts: dict[Entry, Verdict] = {}  # of these
        self.left = 0  # looks that are not done


class Enforcer:
    """Answers policy requests from the ledger."""

    def __init__(self, ledger: Ledger, driver: Driver, rules: Rules, metrics: Metrics, decisions: DecisionLog) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingRequest] = deque()
        self._early: list[PendingRequest] | None = []  # requests before the accounts were read; None afterwards
        self._early_until = self._loop.time() + START_DEADLINE
        self._timer: asyncio.TimerHandle | None = None
        self.asked: dict[Entry, float] = {}  # who was asked about, and when: the poller measures them first
        self.lookup = UsageLookup(ledger, driver, self._looked_up, _is_waited_for)
        self.router = Router(ledger, rules)
        self.comparison = QuotaStatusComparison(self.explain)
        self._counted_answers = CountedAnswers(ledger, metrics, decisions, self.comparison)
        self.set_rules(rules)

    def set_rules(self, rules: Rules) -> None:
        """Take new settings; the next request is judged by them."""
        self.rules = rules
        self._counted_answers.set_rules(rules)
        self.router.set_rules(rules)
        self.comparison.ask_at(rules.compare_with)

    def accounts_read(self) -> None:
        """The ledger holds the accounts: those who waited are answered."""
        early, self._early = self._early, None
        for pending in early or ():
            if pending.sink is not None:
                pending.deadline = self._loop.time() + DEADLINE
                self._begin(pending)

    # ---- a request comes

    def ask(self, request: bytes, connection: Connection) -> bytes | None:
        """The answer, or None where ``connection.complete`` gets it later. A fault in here is ``trouble``."""
        try:
            asked = question(request)
            if not asked.recipient and not is_request(request):
                connection.refuse("what it sent is no policy request")
                return None
            return self._ask_plain(request, asked) or self._ask(PendingRequest(request, asked, connection, 0.0))
        except Exception:  # an outer edge: no fault of ours may leave a request without an answer
            log.exception(_FAULT)
            return self._counted_answers.fault()

    def _ask_plain(self, request: bytes, asked: Question) -> bytes | None:
        """The answer where it needs no thought: mailboxes known by this spelling, whose figures are fresh."""
        started = time.perf_counter_ns()
        boxes = self.router.plain(asked.recipient)
        if boxes is None or asked.state not in DECIDED_STATES:
            return None
        self.lookup.watch.drain_once()
        now = self._loop.time()
        if len(boxes) > 1:
            return self._ask_several(request, asked, boxes, now, started)
        (entry,) = boxes
        known = entry.known
        if entry.limit is None:
            verdict = Verdict.ACCEPT
        elif entry.fresh_until > now and known is not None:
            verdict = self._judge(entry, known.used, request, asked, now)
        else:
            return None
        self.asked[entry] = now
        return self._counted_answers.record(verdict, request, boxes, started)

    def _ask_several(
        self, request: bytes, asked: Question, boxes: tuple[Entry, ...], now: float, started: int
    ) -> bytes | None:
        """The same for an alias of several mailboxes."""
        verdicts: dict[Entry, Verdict] = {}
        if not all(entry.limit is not None and entry.fresh_until > now and entry.known is not None for entry in boxes):
            return None
        for entry in boxes:
            assert entry.known is not None
            verdicts[entry] = self._judge(entry, entry.known.used, request, asked, now)
            self.asked[entry] = now
        verdict = sum_up(verdicts.values())
        return self._counted_answers.record(verdict, request, boxes, started, missed_by(verdict, verdicts))

    def _ask(self, pending: PendingRequest) -> bytes | None:
        now = self._loop.time()
        if self._early is None:
            pending.deadline = now + DEADLINE
            return self._start(pending)
        if now >= self._early_until:
            return self._finish(pending, Verdict.TROUBLE)
        pending.deadline = self._early_until
        self._early.append(pending)
        self._wait(pending)
        return None

    def _begin(self, pending: PendingRequest) -> None:
        """Decide something that is waited for already."""
        try:
            answered = self._start(pending)
        except Exception:  # an outer edge, as in ``ask``
            log.exception(_FAULT)
            answered = self._counted_answers.fault()
        sink, pending.sink = pending.sink, pending.sink if answered is None else None
        if answered is not None and isinstance(sink, Connection):
            sink.complete(answered)

    def _start(self, pending: PendingRequest) -> bytes | None:
        """The answer, where no mailbox must be looked at for it."""
        route = self._find(pending)
        if route.settled is not None:
            self._judge_unseen(pending)
            return self._finish(pending, route.settled)
        self._look(pending)
        return None

    def _find(self, pending: PendingRequest) -> Route:
        route = self.router.find(pending.question)
        pending.boxes = route.boxes
        now = self._loop.time()
        for entry in route.boxes:
            self.asked[entry] = now
        return route

    def leads_to(self, recipient: str) -> list[str]:
        """The mailboxes that mail for this recipient ends in."""
        return [entry.address for entry in self.router.find(_question(recipient, 0)).boxes]

    async def explain(self, recipient: str, size: int, request: bytes = b"") -> Explanation:
        """The decision on a recipient by the way of a live request, but not counted, recorded or reserved; what the
        mail of ``request`` itself has reserved does not count."""
        verdicts: asyncio.Future[Verdict] = self._loop.create_future()
        asked = _question(recipient, size)
        pending = PendingRequest(request, asked, verdicts, self._loop.time() + DEADLINE)
        route = self._find(pending)
        if route.boxes:  # also where they have no say: people want to know who will miss it
            self._look(pending)
            await verdicts
        found = {entry.address: self._mailbox_verdict(pending, entry) for entry in route.boxes}
        exempt = self.router.is_exempt_recipient(asked.recipient)
        return explanation(self.rules, recipient, size, route, found, exempt=exempt)

    def _mailbox_verdict(self, pending: PendingRequest, entry: Entry) -> MailboxVerdict:
        own = mail_key(pending.request, pending.question.recipient)
        held = entry.held.sum(self._loop.time(), own) if entry.held is not None and self.rules.reserve_seconds else 0
        verdict = pending.verdicts.get(entry, Verdict.TROUBLE)
        return MailboxVerdict(entry, verdict, held, exempt=self.router.is_exempt(entry))

    # ---- whether it fits

    def _look(self, pending: PendingRequest) -> None:
        pending.left = len(pending.boxes)
        for entry in pending.boxes:
            self.lookup.start(entry, pending)
        self._wait(pending)

    def _looked_up(self, lookup: PendingLookup, used: int | None) -> None:
        """A mailbox was looked at; ``used`` in bytes, None where that can't be told."""
        pending = lookup.asker
        assert isinstance(pending, PendingRequest)
        if pending.sink is None:
            return
        pending.left -= 1
        pending.verdicts[lookup.entry] = self._judge_pending(pending, lookup.entry, used)
        if not pending.left:
            self._answer(pending)

    def _judge_unseen(self, pending: PendingRequest) -> None:
        """By the last figures: they change nothing but the record of who will miss the mail, and what is reserved."""
        for entry in pending.boxes:
            pending.verdicts[entry] = self._judge_pending(pending, entry, entry.used)

    def _judge_pending(self, pending: PendingRequest, entry: Entry, used: int | None) -> Verdict:
        if entry.limit is None or self.router.is_exempt(entry):
            return Verdict.ACCEPT
        if used is None:
            return Verdict.TROUBLE
        return self._judge(entry, used, pending.request, pending.question, self._loop.time())

    def _judge(self, entry: Entry, used: int, request: bytes, asked: Question, now: float) -> Verdict:
        """The rule, over what is used and what is on its way; an accepted size is on its way from now on."""
        limit, size = entry.limit, asked.size
        if limit is None:
            return Verdict.ACCEPT
        grace, seconds = self.rules.grace.of(limit), self.rules.reserve_seconds
        if not seconds:
            return judge(limit, used, size, grace)
        key = mail_key(request, asked.recipient)
        held = entry.held
        verdict = judge(limit, used if held is None else used + held.sum(now, key), size, grace)
        if verdict is Verdict.ACCEPT and size and asked.state != b"END-OF-MESSAGE":
            if held is None:
                held = entry.make_reservations()
            held.add(key or object(), size, now + seconds)
        return verdict

    # ---- the end of a request

    def _answer(self, pending: PendingRequest) -> None:
        """All looks are done, or time is over: a mailbox that was not looked at is trouble."""
        sink, pending.sink = pending.sink, None
        unseen = [Verdict.TROUBLE] if pending.left or not pending.verdicts else []
        verdict = sum_up([*pending.verdicts.values(), *unseen])
        if isinstance(sink, Connection):
            try:
                answered = self._finish(pending, verdict)
            except Exception:  # an outer edge, as in ``ask``
                log.exception(_FAULT)
                answered = self._counted_answers.fault()
            sink.complete(answered)
        elif sink is not None and not sink.done():
            sink.set_result(verdict)

    def _finish(self, pending: PendingRequest, verdict: Verdict) -> bytes:
        missed = missed_by(verdict, pending.verdicts)
        return self._counted_answers.record(verdict, pending.request, pending.boxes, pending.started, missed)

    def _wait(self, pending: PendingRequest) -> None:
        self._waiting.append(pending)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._look_at_deadlines)

    def _look_at_deadlines(self) -> None:
        waiting, now = self._waiting, self._loop.time()
        try:
            while waiting and (waiting[0].sink is None or waiting[0].deadline <= now):
                if (pending := waiting.popleft()).sink is not None:
                    self._answer(pending)
        finally:  # without a timer nobody would be answered in time any more
            self._timer = self._loop.call_later(_TICK, self._look_at_deadlines) if waiting else None

    def close(self) -> None:
        """End the looks."""
        if self._timer is not None:
            self._timer.cancel()
        self.lookup.close()
        self.comparison.close()


def _is_waited_for(lookup: PendingLookup) -> bool:
    return isinstance(lookup.asker, PendingRequest) and lookup.asker.sink is not None


def _question(recipient: str, size: int) -> Question:
    return Question(b"END-OF-MESSAGE", recipient.encode("utf-8", "replace"), size)  # a state that reserves nothing
