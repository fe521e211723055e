"""Mails to administrators (setting ``warnings.copy_to``) about warnings: copies of a few, one digest of many.

Warnings are collected for _GATHER_SECONDS first, as an import makes many mailboxes cross a threshold within seconds.
After a digest the next mail waits for _HOLD_SECONDS. A mail that could not be sent is tried again after that time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from ..base.errors import MailquotaError
from ..history.warnings import DueWarning
from .outbox import Outbox, Sender

log = logging.getLogger(__name__)

_GATHER_SECONDS = 5.0
_SINGLY = 3  # more warnings at once are a digest
_HOLD_SECONDS = 600.0  # after a digest, or a failure
_ROUND_SECONDS = 1.0
_TRIES = 5
_MOST = 100_000  # warnings that are kept while nothing can be sent


class AdministratorMails:
    """Runs on the engine's loop. ``steady`` is a clock that never goes back; ``copy_to`` gives the addresses."""

    def __init__(
        self, outbox: Outbox, sender: Sender, copy_to: Callable[[], tuple[str, ...]], steady: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._copy_to = copy_to
        self._steady = steady
        self._collected: list[DueWarning] = []
        self._unsent: deque[tuple[str, list[DueWarning]]] = deque()
        self._first = 0.0  # when collecting began, or the earliest time at which it may
        self._not_before = 0.0
        self._failures = 0

    def add(self, warnings: list[DueWarning]) -> None:
        """Collect warnings that were sent or queued; dropped where the settings name no administrator."""
        if not self._copy_to():
            return
        if not self._collected:
            self._first = max(self._first, self._steady())
        self._collected = (self._collected + warnings)[-_MOST:]

    async def run(self) -> None:
        """Send what is due each second until cancelled."""
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            await self.round()

    async def round(self) -> None:
        """Send the mails that may be sent now: not in quiet hours, and within max_per_minute."""
        now = self._steady()
        if now < self._not_before or self._outbox.is_quiet():
            return
        if self._collected and now >= self._first + _GATHER_SECONDS:
            self._make_mails(now)
        while self._unsent and self._outbox.allowance() > 0 and now >= self._not_before:
            await self._send(*self._unsent[0], now)

    def _make_mails(self, now: float) -> None:
        warnings, self._collected = self._collected, []
        mails = [[one] for one in warnings] if len(warnings) <= _SINGLY else [warnings]
        self._unsent.extend((to, mail) for mail in mails for to in self._copy_to())
        self._first = now + (_HOLD_SECONDS if len(warnings) > _SINGLY else 0.0)

    async def _send(self, to: str, warnings: list[DueWarning], now: float) -> None:
        self._outbox.count_sent()
        try:
            await self._sender.send_to_administrator(to, warnings)
        except (MailquotaError, OSError) as error:
            log.error("the mail about %d warnings could not be sent to %s: %s", len(warnings), to, error)
            self._failures += 1
            self._not_before = now + _HOLD_SECONDS
            if self._failures < _TRIES:
                return  # it stays the first of the queue
        self._failures = 0  # sent, or given up: one address that never works must not hold up the others
        self._unsent.popleft()
