"""Dovecot as the witness: its own usage and limit of each account beside ours, and what follows from a difference.

Theory of operation. Each account is asked about when it is first seen, after an edit of its limit and after a recount,
and then at least each ``every`` seconds. Dovecot is asked about a slice of accounts by one call, in a thread that may
hang; our own measurements are made just before and just after it, in a lane. So a mail that is delivered meanwhile is
no difference. An account that differs is *doubted*: no warning and no sample of the history goes by its usage. It is
asked about again ``again`` seconds later. The same difference twice is confirmed: from then on the account goes by
Dovecot (core/mailboxes/witnessed_driver.py), and by its limit. Where nearly all accounts with mail differ, all go by
Dovecot. An account that agrees again goes back.

A new account is doubted from the start, but not for longer than ``HOLD``: where Dovecot is slow or away, all goes on as
without a witness.

What is urgent takes ``FIRST_SHARE`` of a core at most, routine ``SHARE``: after each slice it rests in proportion to
the time that doveadm took and the CPU time of our own measurements. Runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable

from ..base.errors import MailquotaError
from ..base.threads import in_thread
from ..control.results import WitnessStatus
from ..servers.dovecot.doveadm import DoveadmFigures, QuotaAnswers
from ..servers.dovecot.quota_rows import Quota
from .dovecot_driver import Figure
from .ledger import Entry, Ledger
from .mailstore import Names
from .measure import Measurement
from .witness_looks import Look, OwnLooks
from .witness_queue import WitnessQueue
from .witness_rules import (
    NO_HINTS,
    Hints,
    Sight,
    Verdict,
    all_alike,
    compare_usage,
    difference_text,
    distance,
    likely_cause,
    limits_of,
    same_limit,
)
from .witnessed_driver import WitnessedDriver

log = logging.getLogger(__name__)

SHARE = 0.01
FIRST_SHARE = 0.8
SLICE = 256  # accounts of one call of doveadm
AGAIN = 5.0  # seconds between the two comparisons of an account that differs, at least
MOST_AGAIN = 30.0  # at most, where edits of the accounts database are seen late
_LOGGED = 20  # accounts that differ in the log, at most
_SHOWN = 5  # accounts that differ in the answer to the doctor
HOLD = 20.0  # that a new account is doubted at most
RECHECK = 600.0  # between two comparisons of an account that differs, or that could not be compared
_BEGIN = 10.0  # that the first slice waits for the first round at most
_TRIES = 4  # comparisons of a mailbox that changes all the time; then it is left for later
_PATIENCE = 30.0  # a count of a million messages by stat is slow, not hanging
_TICK = 0.5
_RETRY, _RETRY_MOST = 5.0, 300.0  # seconds until Dovecot is asked again after it did not answer
_SPREAD = (0.5, 0.9)  # of ``every``: so that not all accounts come due at once


_Limits = tuple[int | None, int | None]  # of bytes and messages
_Difference = tuple[tuple[int, int] | None, object]  # of the usage, and Dovecot's limits where one differs


class Witness:
    """Asks ``tool`` about all accounts, by their ``names``.

    ``clock`` in seconds never goes back; ``hints`` may block, for a thread.

    ``away`` says why the mailstore of an account is not there, "" where it is (see OwnLooks).
    """

    def __init__(
        self,
        ledger: Ledger,
        driver: WitnessedDriver,
        tool: DoveadmFigures,
        *,
        names: Names,
        every: float,
        again: float = AGAIN,
        clock: Callable[[], float] = time.monotonic,
        hints: Callable[[], Hints] = lambda: NO_HINTS,
        away: Callable[[str], str] = lambda _address: "",
    ) -> None:
        self._ledger = ledger
        self._driver = driver
        self._tool = tool
        self._names = names
        self._every = every
        self._again = again
        self._clock = clock
        self._ask_hints = hints
        self._hints: Hints | None = None
        self._queue = WitnessQueue()
        self._held: deque[tuple[float, Entry]] = deque()  # new accounts, and until when they are doubted
        self._seen: dict[str, _Difference] = {}  # differences that are to be confirmed
        self._tries: dict[str, int] = {}
        self._with_mail: set[str] = set()  # accounts whose usage was compared
        self._different: set[str] = set()  # of them
        self._differing: dict[str, None] = {}  # accounts with a verdict
        self._silent: dict[str, str] = {}  # accounts of which Dovecot gives no usage, and why
        self._looks = OwnLooks(driver, away)
        self._most = SLICE
        self._failures = 0
        self._answered_at: float | None = None
        self._away = "Dovecot has not answered yet"
        self._idle_until = float("-inf")  # for routine
        self._asleep_until = float("-inf")  # for all, after Dovecot did not answer
        ledger.set_witnessed(witnessed=True)

    # ---- what is told of it

    @property
    def status(self) -> WitnessStatus:
        """The state, for ``status`` and metrics."""
        totals = self._ledger.totals
        age = None if self._answered_at is None else round(self._clock() - self._answered_at, 1)
        state = "away" if self._away else "differs" if totals.differing else "agrees"
        return WitnessStatus(state, totals.verified, totals.differing, age)

    @property
    def remark(self) -> str:
        """Why Dovecot can't be asked, or about which accounts it gives no answer; "" where it answers about all."""
        if self._away:
            return self._away
        if self._driver.all_by_dovecot and self._driver.fast.name != self._driver.name:
            return f'nearly all accounts differ, so all go by Dovecot instead of the driver "{self._driver.fast.name}"'
        if not self._silent:
            return ""
        address, why = next(iter(self._silent.items()))
        return f"Dovecot gives no usage of {len(self._silent):,} accounts, as {address}: {why}"

    @property
    def examples(self) -> dict[str, str]:
        """Some accounts that differ, and how."""
        found = {}
        for address in self._differing:
            entry = self._ledger.get(address)
            if entry is not None and entry.verdict is not None:
                found[address] = difference_text(entry.verdict, *_limits(entry))
            if len(found) == _SHOWN:
                break
        return found

    # ---- the work

    async def run(self, begin: asyncio.Event) -> None:
        """Verify accounts until cancelled; begins when ``begin`` is set, or a few seconds later."""
        try:
            async with asyncio.timeout(_BEGIN):
                await begin.wait()
        except TimeoutError:
            log.debug("the first round takes long; Dovecot is asked meanwhile")
        try:
            rest = 0.0
            while True:
                await asyncio.sleep(rest)
                rest = await self.step()
        finally:
            self.close()

    def close(self) -> None:
        """End the thread of our own measurements."""
        self._looks.close()

    def start_anew(self) -> None:
        """All is measured in another way now, so nothing that was compared counts. The ledger has all accounts due."""
        self._driver.leave_all()
        for one in (self._seen, self._tries, self._with_mail, self._different, self._differing):
            one.clear()

    async def step(self) -> float:
        """Verify one slice of accounts, if some are due; the seconds to rest."""
        self._collect()
        now = self._clock()
        if now < self._asleep_until:
            return _TICK
        entries, share = self._present(self._queue.take(now, self._most, urgent=True)), FIRST_SHARE
        if not entries and now >= self._idle_until:
            entries, share = self._present(self._queue.take(now, self._most, urgent=False)), SHARE
        if not entries:
            return _TICK
        cost = await self._verify(entries)
        rest = cost / share - cost
        if share == SHARE:
            self._idle_until = self._clock() + rest
            return 0.0
        return rest

    def _present(self, addresses: list[str]) -> list[Entry]:
        entries = filter(None, map(self._ledger.get, addresses))
        return [entry for entry in entries if entry.mailbox and not entry.fault]

    def _collect(self) -> None:
        """Take new and changed accounts into the queue, and end the doubt of those that waited for too long."""
        now = self._clock()
        for entry in self._ledger.take_unverified().values():
            self._queue.put(entry.address, now, urgent=True)
            self._seen.pop(entry.address, None)
            self._tries.pop(entry.address, None)
            if entry.doubted:
                self._held.append((now + HOLD, entry))
        while self._held and (self._held[0][0] <= now or self._failures):
            entry = self._held.popleft()[1]
            if entry.address not in self._seen:
                self._ledger.end_doubt(entry)

    async def _verify(self, entries: list[Entry]) -> float:
        """Compare these accounts; what that cost in seconds."""
        cpu = self._looks.cpu_seconds
        limits = [_limits(entry) for entry in entries]
        before = await self._looks.look_at(entries)
        started = self._clock()
        users = [self._names.in_path(entry.address) for entry in entries]
        told = await in_thread(lambda: self._tool.quotas_of(users))
        took = self._clock() - started
        after = await self._looks.look_at(entries)
        self._note_answer(told)
        missing: list[Entry] = []
        for entry, limit, one, two in zip(entries, limits, before, after, strict=True):
            reply = told.found.get(entry.address)
            if reply is None:
                missing.append(entry)
            elif isinstance(reply, MailquotaError):
                self._no_usage(entry, str(reply))
            else:
                await self._take(entry, limit, reply, (one, two), started)
        self._put_back(missing, told)
        self._judge_all()
        return took + self._looks.cpu_seconds - cpu

    def _note_answer(self, told: QuotaAnswers) -> None:
        if told.found:
            self._failures, self._most = 0, SLICE
            self._away, self._answered_at = "", self._clock()
            return
        self._failures += 1
        if not self._away or self._failures == 1:
            log.warning("Dovecot can't be asked about accounts: %s", told.fault)
        self._away = str(told.fault)
        self._most = max(1, self._most // 8)
        pause = min(_RETRY * 2 ** (self._failures - 1), _RETRY_MOST)
        self._asleep_until = self._clock() + pause
        for address in list(self._seen):
            self._undecided(address)

    def _put_back(self, missing: list[Entry], told: QuotaAnswers) -> None:
        """Those that got no reply. The first of them may be the one at which Dovecot hangs: it comes again later."""
        now = self._clock()
        for number, entry in enumerate(missing):
            if number == 0 and (told.found or len(missing) == 1):
                self._no_usage(entry, str(told.fault or "no answer"))
            else:
                self._queue.put(entry.address, now, urgent=entry.verified_at is None)

    # ---- one account

    def _no_usage(self, entry: Entry, why: str) -> None:
        self._silent[entry.address] = why
        self._undecided(entry.address)

    def _undecided(self, address: str) -> None:
        """It could not be compared: all stays as it is, until it is asked about again."""
        self._seen.pop(address, None)
        self._tries.pop(address, None)
        self._queue.put(address, self._clock() + min(RECHECK, self._every), urgent=False)
        if (entry := self._ledger.get(address)) is not None:
            self._ledger.end_doubt(entry)

    async def _take(self, entry: Entry, limits: _Limits, told: Quota, looks: tuple[Look, Look], asked: float) -> None:
        """Judge the reply about one account; ``limits`` are those of the database when Dovecot was asked."""
        if self._ledger.get(entry.address) is not entry:
            return
        self._silent.pop(entry.address, None)
        if _limits(entry) != limits:  # edited meanwhile
            self._queue.put(entry.address, self._clock() + self._again, urgent=True)
            return
        sight = self._sight(told, looks)
        ours = looks[1].found
        if sight is Sight.UNKNOWN:
            self._undecided(entry.address)
            return
        other_limit = None if same_limit(*limits, told) else told.limits
        if sight is Sight.AGREES and other_limit is None:
            self._agrees(entry, told, ours)
            return
        found: _Difference = (distance(told, ours) if sight is Sight.DIFFERS else None, other_limit)
        if sight is not Sight.MOVING and self._seen.get(entry.address) == found:
            await self._differs(entry, told, ours, asked, found)
        else:
            self._ask_again(entry, found)

    def _sight(self, told: Quota, looks: tuple[Look, Look]) -> Sight:
        before, after = looks
        if self._driver.is_only_dovecot:  # it is Dovecot's usage already
            return Sight.AGREES
        if not (before.made and after.made):
            return Sight.UNKNOWN
        return compare_usage(before.found, told, after.found)

    def _ask_again(self, entry: Entry, found: _Difference) -> None:
        tries = self._tries[entry.address] = self._tries.get(entry.address, 0) + 1
        if tries >= _TRIES:
            self._undecided(entry.address)
            return
        self._seen[entry.address] = found
        self._ledger.doubt(entry)
        self._queue.put(entry.address, self._clock() + self._again, urgent=True)

    def _agrees(self, entry: Entry, told: Quota, ours: Measurement | None) -> None:
        address = entry.address
        self._forget(address)
        self._different.discard(address)
        if told.messages:
            self._with_mail.add(address)
        if entry.verdict is not None:
            log.info("%s: mailquota's own way agrees with Dovecot again", address)
        if entry.verdict is not None and entry.verdict.usage:
            self._driver.leave(address)
            if ours is not None and not self._driver.all_by_dovecot:
                self._ledger.set_known(entry, entry.known, ours, time.time())
        self._ledger.set_verified(entry, None, time.time())
        self._differing.pop(address, None)
        self._queue.put(address, self._clock() + self._every * random.uniform(*_SPREAD), urgent=False)

    async def _differs(
        self, entry: Entry, told: Quota, ours: Measurement | None, asked: float, found: _Difference
    ) -> None:
        address, usage, limit = entry.address, found[0] is not None, found[1] is not None
        cause = ""
        if usage:
            cause = likely_cause(self._driver.fast.name, ours, told, await self._found_hints())
            if self._ledger.get(address) is not entry:
                return
        self._forget(address)
        self._with_mail.add(address)
        (self._different.add if usage else self._different.discard)(address)
        verdict = Verdict(told, ours, usage, limit, cause)
        if entry.verdict is None:  # where all of 10,000 accounts differ, some lines of log will do
            level = logging.WARNING if len(self._differing) < _LOGGED else logging.DEBUG
            log.log(level, "%s: %s", address, difference_text(verdict, *_limits(entry)))
        known = None
        if usage:
            self._driver.follow(address, Figure(told, at=time.time(), asked=asked))
            known = self._driver.dovecot.measurement(address, limits_of(verdict, *_limits(entry))[0], None)
        elif not self._driver.all_by_dovecot:
            known = ours if self._driver.is_by_dovecot(address) else None
            self._driver.leave(address)
        if known is not None:
            entry.end_freshness()
            self._ledger.set_known(entry, entry.known, known, time.time())
        self._ledger.set_verified(entry, verdict, time.time())
        self._differing[address] = None
        self._queue.put(address, self._clock() + min(RECHECK, self._every), urgent=False)

    def _forget(self, address: str) -> None:
        self._seen.pop(address, None)
        self._tries.pop(address, None)

    async def _found_hints(self) -> Hints:
        if self._hints is None:
            self._hints = await in_thread(self._ask_hints)
        return self._hints

    # ---- all accounts

    def _judge_all(self) -> None:
        """Let all accounts go by Dovecot once nearly all of those with mail differ; back, once most agree."""
        driver = self._driver
        if not self._queue.is_urgent_empty() or driver.is_only_dovecot:
            return
        compared, differing = len(self._with_mail), len(self._different)
        if not driver.all_by_dovecot and all_alike(compared, differing):
            log.warning("%d of %d accounts differ from Dovecot: all go by Dovecot from now on", differing, compared)
            driver.set_all(by_dovecot=True)
        elif driver.all_by_dovecot and differing * 2 < compared:
            log.warning("most accounts agree with Dovecot again: the driver %s is used again", driver.fast.name)
            driver.set_all(by_dovecot=False)


def _limits(entry: Entry) -> _Limits:
    """The limits of the accounts database, and of what Dovecot is known to set."""
    return entry.database_limit, entry.given_messages
