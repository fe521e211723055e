"""What administrators are told of the warnings of others: a copy of few, one digest of many.

Pure but for the one who sends. News are gathered for a moment first, as an import makes many mailboxes cross a mark
within seconds; after a digest the next one waits longer. What could not be sent is tried again with what came since.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from mailquota.core.alerts.outbox import Outbox, Sender
from mailquota.core.base.errors import MailquotaError
from mailquota.core.history.warnings import News

log = logging.getLogger(__name__)

_GATHER_SECONDS = 5.0
_SINGLY = 3  # more at once are a digest
_HOLD_SECONDS = 600.0  # after a digest, or a failure
_LOOK_SECONDS = 1.0
_TRIES = 5
_MOST = 100_000  # news that are kept while nothing can be sent


class Administrators:
    """Runs on the engine's loop. ``steady`` is a clock that never goes back."""

    def __init__(
        self, outbox: Outbox, sender: Sender, copy_to: Callable[[], tuple[str, ...]], steady: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._copy_to = copy_to
        self._steady = steady
        self._news: list[News] = []
        self._unsent: deque[tuple[str, list[News]]] = deque()
        self._first = 0.0
        self._not_before = 0.0
        self._failures = 0

    def hear(self, news: list[News]) -> None:
        """These are told, or will be."""
        if not self._copy_to():
            return
        if not self._news:
            self._first = max(self._first, self._steady())
        self._news = (self._news + news)[-_MOST:]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Tell them if it is time to."""
        now = self._steady()
        if now < self._not_before or self._outbox.is_quiet():
            return
        if self._news and now >= self._first + _GATHER_SECONDS:
            self._write(now)
        while self._unsent and self._outbox.room() > 0 and now >= self._not_before:
            await self._tell(*self._unsent[0], now)

    def _write(self, now: float) -> None:
        news, self._news = self._news, []
        mails = [[one] for one in news] if len(news) <= _SINGLY else [news]
        self._unsent.extend((to, mail) for mail in mails for to in self._copy_to())
        self._first = now + (_HOLD_SECONDS if len(news) > _SINGLY else 0.0)

    async def _tell(self, to: str, news: list[News], now: float) -> None:
        self._outbox.leaves()
        try:
            await self._sender.tell_administrators(to, news)
        except (MailquotaError, OSError) as error:
            log.error("%s could not be told of %d warnings: %s", to, len(news), error)
            self._failures += 1
            self._not_before = now + _HOLD_SECONDS
            if self._failures < _TRIES:
                return
        self._failures = 0
        self._unsent.popleft()
