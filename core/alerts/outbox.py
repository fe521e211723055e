"""Takes warnings from the queue and has them delivered, at the pace that the settings allow.

Theory of operation. Mails wait in the state database; who claims one sends it, and says what became of it. A failure is
tried again later and later, then given up; both are shown. A mail that may have arrived, as it failed or was being sent
when an engine was killed, is looked for in the mailbox first. Administrators (``copy_to``) hear of what is due: by a
copy, or where many mailboxes cross a mark at once, by one digest (core/alerts/administrators.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol

from mailquota.core.alerts.pace import RETRIES, Pace, is_quiet, next_try
from mailquota.core.base import restarts
from mailquota.core.base.errors import MailquotaError, error_text
from mailquota.core.base.threads import in_thread
from mailquota.core.history.connection import StateError
from mailquota.core.history.journal import Journal, JournalEntry
from mailquota.core.history.warnings import Claimed, News, WarningLog
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_LANES = 4  # deliveries at the same time
_TIDY_SECONDS = 3600.0
_RETRY_SECONDS = 5.0
_LATELY = 3 * 86400.0  # seconds; what is given up had become due up to a day before


class MootError(MailquotaError):
    """There is nobody, or nothing, to tell any more."""


class Sender(Protocol):
    """Makes a mail and delivers it."""

    async def deliver(self, number: int, at: float, news: News) -> str:
        """The method that it was delivered with. Raises MootError and other MailquotaErrors."""

    async def was_delivered(self, number: int, at: float, news: News) -> bool:
        """Whether it is in the mailbox already, as far as that can be told."""

    async def tell_administrators(self, to: str, news: list[News]) -> None:
        """One mail about these. Raises MailquotaError."""


class Outbox:
    """Runs on the engine's loop. ``waiting`` and ``failed`` (lately) are counts for the status."""

    def __init__(
        self,
        book: WarningLog,
        sender: Sender,
        journal: Journal,
        config: Callable[[], Config],
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = self.failed = 0
        self._book = book
        self._sender = sender
        self._journal = journal
        self._config = config
        self._clock = clock
        self._steady = steady
        self._pace = Pace(1)
        self._bell = asyncio.Event()
        self._busy: set[asyncio.Task[tuple[str, str]]] = set()
        self._tidied_at = 0.0
        self._remembered = False

    def ring(self) -> None:
        """There is something new in the queue."""
        self._bell.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = LOOK_SECONDS
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
                    await self._bell.wait()
            self._bell.clear()

    async def finish(self, seconds: float) -> None:
        """Let mails that are on their way arrive; what does not is looked for after the next start."""
        if self._busy:
            await asyncio.wait(self._busy, timeout=seconds)

    async def round(self) -> None:
        """Send what may leave now. Raises StateError."""
        await self._remember_pace()
        now = self._clock()
        if not 0 <= now - self._tidied_at < _TIDY_SECONDS:
            keep = self._config().settings.state.keep_seconds
            await in_thread(lambda: self._book.tidy(now - keep))
            self._tidied_at = now
        self.waiting, self.failed = await in_thread(lambda: self._book.counts(now, _LATELY))
        most = 0 if self.is_quiet() else min(self.room(), _LANES - len(self._busy))
        if self.waiting and most > 0:  # a claim writes; an empty queue is not worth a lock each second
            for claimed in await in_thread(lambda: self._book.claim(now, most, pauses=RETRIES)):
                self._start(claimed)

    async def _remember_pace(self) -> None:
        """A restart is no way around the pace."""
        if not self._remembered:
            now, steady = self._clock(), self._steady()
            sent = await in_thread(lambda: self._book.sent_since(now - 60))
            self._pace.remember(steady - max(0.0, now - at) for at in sent)
            self._remembered = True

    def is_quiet(self) -> bool:
        """Whether these are quiet hours."""
        return is_quiet(self._clock(), self._config().settings.warnings.quiet_span)

    def room(self) -> int:
        """How many mails may leave now."""
        self._pace.most = self._config().settings.warnings.max_per_minute
        return self._pace.room(self._steady())

    def leaves(self) -> None:
        """A mail leaves that is not in the queue."""
        self._pace.sent(self._steady())

    async def send_now(self, address: str) -> tuple[str, str]:
        """Send what is queued for an account: "sent" and the method, "queued" and why, or "" for nothing there."""
        if self.room() == 0:
            return "queued", "as many as may leave in a minute have left"
        claimed = await in_thread(lambda: self._book.claim(self._clock(), 1, address))
        if not claimed:
            return "", ""
        return await self._start(claimed[0])

    def _start(self, claimed: Claimed) -> asyncio.Task[tuple[str, str]]:
        self.leaves()
        task = asyncio.get_running_loop().create_task(self._send(claimed))
        self._busy.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[tuple[str, str]]) -> None:
        self._busy.discard(task)
        self._bell.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a warning could not be sent", exc_info=error)

    async def _send(self, claimed: Claimed) -> tuple[str, str]:
        """As ``send_now``."""
        number, news, book = claimed.id, claimed.news, self._book
        try:
            may_be_there = claimed.interrupted or claimed.attempts > 0
            if may_be_there and await self._sender.was_delivered(number, claimed.at, news):
                method = "found in the mailbox"
            else:
                method = await self._sender.deliver(number, claimed.at, news)
        except MootError as error:
            why = str(error)
            await in_thread(lambda: book.dropped(number, why))
            return "queued", why
        except (MailquotaError, OSError) as error:
            return await self._failed(claimed, error_text(error))
        await in_thread(lambda: book.done(number, self._clock(), method))
        await self._note(news, method)
        return "sent", method

    async def _failed(self, claimed: Claimed, why: str) -> tuple[str, str]:
        attempts = claimed.attempts + 1
        again = next_try(attempts, self._clock())
        log.log(
            logging.WARNING if again else logging.ERROR,
            "the warning for %s (%s) could not be delivered%s: %s",
            claimed.news.address,
            claimed.news.mark,
            "" if again else ", and is given up",
            why,
        )
        await in_thread(lambda: self._book.failed(claimed.id, attempts, why, again))
        if again is None:
            await self._note(claimed.news, f"not delivered: {why}")
        return "queued", why

    async def _note(self, news: News, reason: str) -> None:
        entry = JournalEntry(operator="mailquota", kind="warning", address=news.address, new=news.mark, reason=reason)
        with contextlib.suppress(StateError):  # counted by the journal itself
            await in_thread(lambda: self._journal.add([entry]))
