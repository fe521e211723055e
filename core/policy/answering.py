"""Answers policy requests: finds the mailboxes of the recipient, and decides whether the mail fits.

Theory of operation. A request names a recipient, which resolves to mailboxes and other destinations. If one destination
is elsewhere, unlimited or exempt, the mail is accepted. Else the usage of each mailbox is looked up
(core/policy/lookup.py) and judged, and the verdicts are summed up: the mail is refused only if every mailbox refuses
it.

Most requests take a shorter path, ``_ask_plain``: where the same recipient was asked for before, and the usage of its
mailboxes is fresh (core/policy/watch.py), the answer is made at once. That path is kept short, as it decides how many
answers a second one core gives.

Where a map of Postfix has to be asked to resolve a recipient (core/policy/map_answers.py), the request waits for
that ``MAP_PATIENCE`` at most; then it is judged by what is known.

A request is answered within ``DEADLINE`` (until the accounts are first read: within ``START_DEADLINE``), because
Postfix waits for it, and an SMTP client for Postfix. A mailbox without a result by then counts as trouble; the mail is
still accepted if another mailbox accepts it. Everything here runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable

from ..control.results import Explanation
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Entry, Ledger
from .compare import QuotaStatusComparison
from .decision import ACCEPT, DECIDED_STATES, REFUSALS, Rules, Verdict, is_made_unreadable, judge_mailbox, sum_up
from .explanation import MailboxVerdict, explanation, with_copies
from .log import DecisionLog
from .lookup import PendingLookup, UsageLookup
from .metrics import Metrics
from .protocol import Question, is_request, mail_key, question
from .recording import CountedAnswers, missed_by
from .routes import Route, Router
from .server import Connection

log = logging.getLogger(__name__)

DEADLINE = 0.15  # seconds from the request read to the answer, with the tick below at most 0.2
MAP_PATIENCE = 0.08  # seconds of them for maps of Postfix
EXPLAIN_PATIENCE = 1.0  # seconds for them where no mail waits
START_DEADLINE = 2.0  # seconds that requests wait for the first read of the accounts
_TICK = 0.04
_FAULT = "a policy request could not be decided"

Sink = Connection | asyncio.Future[Verdict]  # where the verdict goes: to Postfix, or to ``explain``


class PendingRequest:
    """A request that is being decided."""

    __slots__ = ("boxes", "deadline", "left", "maps_until", "question", "request", "sink", "started", "verdicts")

    def __init__(self, request: bytes, asked: Question, sink: Sink, deadline: float) -> None:
        self.request = request
        self.question = asked
        self.sink: Sink | None = sink  # None once it is answered
        self.deadline = deadline
        self.started = time.perf_counter_ns()
        self.boxes: list[Entry] = []  # the mailboxes that its mail ends in
        self.verdicts: dict[Entry, Verdict] = {}  # of those mailboxes, as they come
        self.left = 0  # lookups that are not done
        self.maps_until = 0.0  # until when it waits for maps; 0.0: it does not


class Enforcer:
    """Answers policy requests from the ledger."""

    def __init__(self, ledger: Ledger, driver: Driver, rules: Rules, metrics: Metrics, decisions: DecisionLog) -> None:
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[PendingRequest] = deque()
        self._for_maps: deque[PendingRequest] = deque()  # those that wait for maps
        self._early: list[PendingRequest] | None = []  # requests before the accounts were read; None afterwards
        self._early_until = self._loop.time() + START_DEADLINE
        self._timer: asyncio.TimerHandle | None = None
        self.asked: dict[Entry, float] = {}  # accounts of recent requests, and when: the poller measures them first
        self.lookup = UsageLookup(ledger, driver, self._looked_up, _is_waited_for)
        self.router = Router(ledger, rules)
        self.comparison = QuotaStatusComparison(self.explain)
        self._counted_answers = CountedAnswers(ledger, metrics, decisions, self.comparison)
        self.set_rules(rules)

    def set_rules(self, rules: Rules) -> None:
        """Take new settings, from the next request on."""
        self.rules = rules
        self._counted_answers.set_rules(rules)
        self.router.set_rules(rules)
        self.comparison.ask_at(rules.compare_with)

    def accounts_read(self) -> None:
        """To be called once the ledger has the accounts: answers the requests that came before."""
        early, self._early = self._early, None
        for pending in early or ():
            if pending.sink is not None:
                pending.deadline = self._loop.time() + DEADLINE
                self._begin(pending)

    # ---- a request comes

    def ask(self, request: bytes, connection: Connection) -> bytes | None:
        """The answer in bytes; None where ``connection.complete`` gets it later. Never raises.

        An error in here is logged, and the answer is the one for trouble.
        """
        try:
            asked = question(request)
            if not asked.recipient and not is_request(request):
                connection.refuse("what it sent is no policy request")
                return None
            return self._ask_plain(request, asked) or self._ask(PendingRequest(request, asked, connection, 0.0))
        except Exception:  # an outer edge: a fault of this program must not leave a request without an answer
            log.exception(_FAULT)
            return self._counted_answers.fault()

    def _ask_plain(self, request: bytes, asked: Question) -> bytes | None:
        """The answer at once, if the recipient was asked for before and the usage of its mailboxes is fresh; else None.

        Events are drained first: a delivery that ended before this request has then ended the freshness of its mailbox.
        """
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
        if entry.limit is None and entry.limit_messages is None:
            verdict = Verdict.TOO_LARGE if self.rules.is_too_large(asked.size) else Verdict.ACCEPT
        elif entry.fresh_until > now and known is not None:
            verdict = self._judge(entry, known.used, request, asked, now)
        else:
            return None
        self.asked[entry] = now
        return self._counted_answers.record(verdict, request, boxes, started)

    def _ask_several(
        self, request: bytes, asked: Question, boxes: tuple[Entry, ...], now: float, started: int
    ) -> bytes | None:
        """The short path for several mailboxes. Nothing is judged, and so reserved, unless all of them are fresh."""
        verdicts: dict[Entry, Verdict] = {}
        if not all(entry.limited and entry.fresh_until > now and entry.known is not None for entry in boxes):
            return None
        for entry in boxes:
            assert entry.known is not None
            verdicts[entry] = self._judge(entry, entry.known.used, request, asked, now)
            self.asked[entry] = now
        verdict = sum_up(verdicts.values())
        return self._counted_answers.record(verdict, request, boxes, started, missed_by(verdict, verdicts))

    def _ask(self, pending: PendingRequest) -> bytes | None:
        """The long path. Before the accounts are read, requests wait up to ``START_DEADLINE`` from the start."""
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
        """Decide a request that came before the accounts were read."""
        self._decide_later(pending, lambda: self._start(pending))

    def _decide_later(self, pending: PendingRequest, decide: Callable[[], bytes | None]) -> None:
        """Decide a request that waits; where ``decide`` gives no answer yet it goes on waiting."""
        try:
            answered = decide()
        except Exception:  # an outer edge, as in ``ask``
            log.exception(_FAULT)
            answered = self._counted_answers.fault()
        sink, pending.sink = pending.sink, pending.sink if answered is None else None
        if answered is not None and isinstance(sink, Connection):
            sink.complete(answered)

    def _start(self, pending: PendingRequest) -> bytes | None:
        """The answer where usage does not decide; else start the lookups and return None."""
        route = self._find(pending, late=False)
        if route.missing:
            pending.maps_until = self._loop.time() + MAP_PATIENCE
            self._for_maps.append(pending)
            self._wait(pending)
            self._ask_maps(pending, route)
            return None
        if (answered := self._settle(pending, route)) is None:
            self._wait(pending)
        return answered

    def _settle(self, pending: PendingRequest, route: Route) -> bytes | None:
        if route.settled is not None:
            self._judge_by_last_usage(pending)
            return self._finish(pending, route.settled)
        self._look_up(pending)
        return None

    def _ask_maps(self, pending: PendingRequest, route: Route) -> None:
        if not self.router.answers.ask(route.missing, lambda: self._go_on(pending, late=False)):
            self._loop.call_soon(lambda: self._go_on(pending, late=True))

    def _go_on(self, pending: PendingRequest, *, late: bool) -> None:
        """Maps were asked, or are ``late``: go on, unless that was done before."""
        if pending.sink is not None and pending.maps_until:
            self._decide_later(pending, lambda: self._follow(pending, late=late))

    def _follow(self, pending: PendingRequest, *, late: bool) -> bytes | None:
        route = self._find(pending, late=late)
        if route.missing:  # of its next step
            self._ask_maps(pending, route)
            return None
        pending.maps_until = 0.0
        return self._settle(pending, route)

    def _find(self, pending: PendingRequest, *, late: bool) -> Route:
        route = self.router.find(pending.question, late=late)
        pending.boxes = route.boxes
        now = self._loop.time()
        for entry in route.boxes:
            self.asked[entry] = now
        return route

    def leads_to(self, recipient: str) -> list[str]:
        """The addresses of the mailboxes that this recipient resolves to."""
        return self.router.mailboxes(recipient)

    async def explain(self, recipient: str, size: int, request: bytes = b"") -> Explanation:
        """The decision on a recipient, made as for a request, but not counted, recorded or reserved.

        ``size`` is in bytes. Where ``request`` is given, what its own mail has reserved is not counted as used.
        """
        verdicts: asyncio.Future[Verdict] = self._loop.create_future()
        asked = _question(recipient, size)
        pending = PendingRequest(request, asked, verdicts, self._loop.time() + DEADLINE)
        route = await self._find_by_maps(pending)
        if route.boxes:  # also where usage does not decide, to tell which of them are too full for the mail
            pending.deadline = self._loop.time() + DEADLINE
            self._look_up(pending)
            self._wait(pending)
            await verdicts
        found = {entry.address: self._mailbox_verdict(pending, entry) for entry in route.boxes}
        exempt = self.router.is_exempt_recipient(asked.recipient)
        unreadable = is_made_unreadable(pending.verdicts, route.boxes, self._ledger.unreadable)
        made = explanation(self.rules, recipient, size, route, found, exempt=exempt, unreadable=unreadable)
        return made if request else with_copies(made, await self._full_copies(recipient, size))

    async def _find_by_maps(self, pending: PendingRequest) -> Route:
        """As a request is resolved, but with more time for maps."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXPLAIN_PATIENCE):
                while (route := self._find(pending, late=False)).missing and await self.router.known(route.missing):
                    pass
                if not route.missing:
                    return route
        return self._find(pending, late=True)

    async def _full_copies(self, recipient: str, size: int) -> list[str]:
        """The mailboxes that Postfix sends a copy of the mail to, and which can't take it by their last usage."""
        full = []
        for end in await self.router.copies(recipient, EXPLAIN_PATIENCE):
            entry = self._ledger.get(end.address)
            if entry is None or entry.known is None:
                continue
            if judge_mailbox(self.rules, entry, entry.known.used, entry.known.messages, size) in REFUSALS:
                full.append(entry.address)
        return list(dict.fromkeys(full))

    def _mailbox_verdict(self, pending: PendingRequest, entry: Entry) -> MailboxVerdict:
        own = mail_key(pending.request, pending.question.recipient)
        verdict, exempt = pending.verdicts.get(entry, Verdict.TROUBLE), self.router.is_exempt(entry)
        if entry.held is None or not self.rules.reserve_seconds:
            return MailboxVerdict(entry, verdict, 0, 0, exempt=exempt)
        now = self._loop.time()
        return MailboxVerdict(entry, verdict, entry.held.sum(now, own), entry.held.mails(now, own), exempt=exempt)

    # ---- whether it fits

    def _look_up(self, pending: PendingRequest) -> None:
        pending.left = len(pending.boxes)
        for entry in pending.boxes:
            self.lookup.start(entry, pending)

    def _looked_up(self, lookup: PendingLookup, used: int | None) -> None:
        """A lookup is done; ``used`` in bytes, None where the usage is not known."""
        pending = lookup.request
        assert isinstance(pending, PendingRequest)
        if pending.sink is None:  # answered at its deadline
            return
        pending.left -= 1
        pending.verdicts[lookup.entry] = self._judge_pending(pending, lookup.entry, used)
        if not pending.left:
            self._answer(pending)

    def _judge_by_last_usage(self, pending: PendingRequest) -> None:
        """Judge where usage does not decide: the verdicts tell which mailboxes miss the mail, and sizes are reserved.

        The last usage is good enough for that, so Postfix need not wait for a lookup.
        """
        for entry in pending.boxes:
            pending.verdicts[entry] = self._judge_pending(pending, entry, entry.used)

    def _judge_pending(self, pending: PendingRequest, entry: Entry, used: int | None) -> Verdict:
        if self.router.is_exempt(entry):
            return Verdict.ACCEPT
        if self.rules.is_too_large(pending.question.size):
            return Verdict.TOO_LARGE
        if not entry.limited:
            return Verdict.ACCEPT
        if used is None:
            return Verdict.TROUBLE
        return self._judge(entry, used, pending.request, pending.question, self._loop.time())

    def _judge(self, entry: Entry, used: int, request: bytes, asked: Question, now: float) -> Verdict:
        """The rule, over usage and reservations; the size of an accepted mail is reserved.

        At END-OF-MESSAGE nothing is reserved, as the delivery follows at once.
        """
        size, seconds = asked.size, self.rules.reserve_seconds
        # Nearly no mailbox has a limit of messages; for the others they are not looked up, as that takes a while.
        by_messages = entry.limit_messages is not None or entry.inbox is not None
        messages = entry.messages if by_messages else None
        if not seconds:
            return judge_mailbox(self.rules, entry, used, messages, size)
        key = mail_key(request, asked.recipient)
        if (held := entry.held) is not None:
            used += held.sum(now, key)
            if messages is not None:
                messages += held.mails(now, key)
        verdict = judge_mailbox(self.rules, entry, used, messages, size)
        if verdict is ACCEPT and (size or by_messages) and asked.state != b"END-OF-MESSAGE":
            if held is None:
                held = entry.make_reservations()
            held.add(key or object(), size, now + seconds)
        return verdict

    # ---- the end of a request

    def _answer(self, pending: PendingRequest) -> None:
        """Answer when all lookups are done, or at the deadline: then a mailbox without a result counts as trouble."""
        sink, pending.sink = pending.sink, None
        unknown = [Verdict.TROUBLE] if pending.left or not pending.verdicts else []
        verdict = sum_up([*pending.verdicts.values(), *unknown])
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
        boxes, verdicts = pending.boxes, pending.verdicts
        return self._counted_answers.record(verdict, pending.request, boxes, pending.started, missed, verdicts=verdicts)

    def _wait(self, pending: PendingRequest) -> None:
        # One timer serves all, as a timer for each request would cost more than its answer. All wait equally long, so
        # the first in the queue is the first that is due.
        self._waiting.append(pending)
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._check_deadlines)

    def _check_deadlines(self) -> None:
        waiting, now = self._waiting, self._loop.time()
        try:
            while self._for_maps and (self._for_maps[0].sink is None or self._for_maps[0].maps_until <= now):
                self._go_on(self._for_maps.popleft(), late=True)
            while waiting and (waiting[0].sink is None or waiting[0].deadline <= now):
                if (pending := waiting.popleft()).sink is not None:
                    self._answer(pending)
        finally:  # without a timer no further deadline would be kept
            self._timer = self._loop.call_later(_TICK, self._check_deadlines) if waiting else None

    def close(self) -> None:
        """Stop the timer, and end lookups and the comparison with quota-status."""
        if self._timer is not None:
            self._timer.cancel()
        self.lookup.close()
        self.comparison.close()
        self.router.close()


def _is_waited_for(lookup: PendingLookup) -> bool:
    return isinstance(lookup.request, PendingRequest) and lookup.request.sink is not None


def _question(recipient: str, size: int) -> Question:
    return Question(b"END-OF-MESSAGE", recipient.encode("utf-8", "replace"), size)  # a state that reserves nothing
