"""Takes warnings from the queue and has them delivered, at the pace that the settings allow.

Theory of operation. Mails wait in the state database (core/history/warnings.py), in the quiet hours too, and where
max_per_minute mails were sent already. An engine or command marks a mail as its own for a while, sends it, and writes
down what became of it. A mail that failed is tried again after longer and longer pauses, then it is given up; both are
shown by ``mailquota status`` and on the screen Warnings.

A mail may be in the mailbox although it failed, or although the engine that sent it was killed: before the next attempt
it is searched for there, by its Message-ID, which is the same for each attempt. So a mailbox owner gets no warning
twice. Where the mailbox can't be searched (a delivery by sendmail, an error), the mail may come twice.

Administrators (``copy_to``) get their mails from core/alerts/administrators.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

from ..base import restarts
from ..base.errors import MailquotaError, error_text
from ..base.threads import in_thread
from ..history.connection import StateError
from ..history.journal import Journal, JournalEntry
from ..history.warnings import Claimed, DueWarning, WarningLog
from ..settings.config import Config
from .pace import RETRIES, Pace, is_quiet, next_try

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
_PARALLEL = 4  # deliveries at the same time
_TIDY_SECONDS = 3600.0
_RETRY_SECONDS = 5.0  # while the state database can't be used
_RECENT_SECONDS = 3 * 86400.0  # a mail is given up at most a day after it became due, and counted for some days then


class NoLongerDueError(MailquotaError):
    """The mail is not to be sent any more, as its account is gone."""


class Sender(Protocol):
    """Makes a mail and delivers it. ``number`` is its id in the queue, ``at`` when it became due."""

    async def deliver(self, number: int, at: float, warning: DueWarning) -> str:
        """Deliver it to its owner; the method. Raises NoLongerDueError and other MailquotaErrors."""

    async def was_delivered(self, number: int, at: float, warning: DueWarning) -> bool:
        """Whether it is in the mailbox already; False also where that can't be found out."""

    async def send_to_administrator(self, to: str, warnings: list[DueWarning]) -> None:
        """Send one mail about these. Raises MailquotaError."""


class Outbox:
    """Runs on the engine's loop. For the status: ``waiting`` mails, and those that ``failed`` in the last days.

    ``clock`` gives seconds since the epoch, ``steady`` those of a clock that never goes back.
    """

    def __init__(
        self,
        warning_log: WarningLog,
        sender: Sender,
        journal: Journal,
        config: Callable[[], Config],
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = self.failed = 0
        self._log = warning_log
        self._sender = sender
        self._journal = journal
        self._config = config
        self._clock = clock
        self._steady = steady
        self._pace = Pace(1)
        self._wake = asyncio.Event()
        self._busy: set[asyncio.Task[tuple[str, str]]] = set()
        self._tidied_at = 0.0
        self._pace_is_known = False

    def wake(self) -> None:
        """Look at the queue at once, as a mail was added."""
        self._wake.set()

    async def run(self) -> None:
        """Send what is due each second, and after ``wake``, until cancelled. Obeys quiet hours and max_per_minute."""
        while True:
            pause = ROUND_SECONDS
            try:
                await self.round()
            except StateError as error:
                log.debug("the queue of warnings can't be read: %s", error)  # the status says so already
                pause = _RETRY_SECONDS
            except Exception as error:  # noqa: BLE001 - an outer edge: one mail must not end the others
                restarts.count("delivery", error)
                pause = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()

    async def finish(self, seconds: float) -> None:
        """Wait for deliveries that have begun. After the next start those that did not end are searched for."""
        if self._busy:
            await asyncio.wait(self._busy, timeout=seconds)

    async def round(self) -> None:
        """Begin to send what may be sent now. Raises StateError."""
        await self._read_pace()
        now = self._clock()
        if not 0 <= now - self._tidied_at < _TIDY_SECONDS:
            keep = self._config().settings.state.keep_seconds
            await in_thread(lambda: self._log.tidy(now - keep))
            self._tidied_at = now
        self.waiting, self.failed = await in_thread(lambda: self._log.counts(now, _RECENT_SECONDS))
        most = 0 if self.is_quiet() else min(self.allowance(), _PARALLEL - len(self._busy))
        if self.waiting and most > 0:  # a claim locks the database: not each second for an empty queue
            for claimed in await in_thread(lambda: self._log.claim(now, most, pauses=RETRIES)):
                self._start(claimed)

    async def _read_pace(self) -> None:
        """Count the mails of the last minute before this engine, or each restart would allow max_per_minute anew."""
        if not self._pace_is_known:
            now, steady = self._clock(), self._steady()
            sent = await in_thread(lambda: self._log.sent_since(now - 60))
            self._pace.remember(steady - max(0.0, now - at) for at in sent)
            self._pace_is_known = True

    def is_quiet(self) -> bool:
        """Whether it is within the quiet hours of the settings."""
        return is_quiet(self._clock(), self._config().settings.warnings.quiet_span)

    def allowance(self) -> int:
        """How many mails max_per_minute allows now."""
        self._pace.most = self._config().settings.warnings.max_per_minute
        return self._pace.allowance(self._steady())

    def count_sent(self) -> None:
        """Count a mail that was sent outside the queue against max_per_minute."""
        self._pace.sent(self._steady())

    async def send_now(self, address: str) -> tuple[str, str]:
        """Send the queued mail of an account, also in quiet hours and before its next try.

        Returns "sent" and the method, "queued" and why it could not be sent, or "" twice where none was queued or
        another engine is sending it. Raises StateError.
        """
        if self.allowance() == 0:
            return "queued", "max_per_minute mails have been sent within the last minute"
        claimed = await in_thread(lambda: self._log.claim(self._clock(), 1, address))
        if not claimed:
            return "", ""
        return await self._start(claimed[0])

    def _start(self, claimed: Claimed) -> asyncio.Task[tuple[str, str]]:
        self.count_sent()  # also where it fails then: the mail server has had the work
        task = asyncio.get_running_loop().create_task(self._send(claimed))
        self._busy.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[tuple[str, str]]) -> None:
        self._busy.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a warning could not be sent", exc_info=error)

    async def _send(self, claimed: Claimed) -> tuple[str, str]:
        """Returns what ``send_now`` does.

        What became of the mail is written last. If this engine is killed, or the state database fails before that, the
        claim expires, and the mail is searched for in the mailbox before it is sent again.
        """
        number, warning, warning_log = claimed.id, claimed.warning, self._log
        try:
            may_be_there = claimed.interrupted or claimed.attempts > 0
            if may_be_there and await self._sender.was_delivered(number, claimed.at, warning):
                method = "found in the mailbox"
            else:
                method = await self._sender.deliver(number, claimed.at, warning)
        except NoLongerDueError as error:
            why = str(error)
            await in_thread(lambda: warning_log.dropped(number, why))
            return "queued", why
        except (MailquotaError, OSError) as error:
            return await self._failed(claimed, error_text(error))
        await in_thread(lambda: warning_log.done(number, self._clock(), method))
        await self._write_journal(warning, method)
        return "sent", method

    async def _failed(self, claimed: Claimed, why: str) -> tuple[str, str]:
        attempts = claimed.attempts + 1
        again = next_try(attempts, self._clock())
        log.log(
            logging.WARNING if again else logging.ERROR,
            "the warning for %s (%s) could not be delivered%s: %s",
            claimed.warning.address,
            claimed.warning.threshold,
            "" if again else ", and is given up",
            why,
        )
        await in_thread(lambda: self._log.failed(claimed.id, attempts, why, again))
        if again is None:
            await self._write_journal(claimed.warning, f"not delivered: {why}")
        return "queued", why

    async def _write_journal(self, warning: DueWarning, reason: str) -> None:
        entry = JournalEntry(
            operator="mailquota", kind="warning", address=warning.address, new=warning.threshold, reason=reason
        )
        with contextlib.suppress(StateError):  # counted by the journal itself
            await in_thread(lambda: self._journal.add([entry]))
