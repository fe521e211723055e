"""``mailquota warn``: a warning because somebody says so, Dovecot's quota-warning service or an operator.

Theory of operation. What Dovecot sees at the moment of crossing and what we find by the state of a mailbox are the same
thing, so both go through one memory and one queue, and nobody gets two mails: a word of Dovecot's is merged with what
was told of this or a higher mark and still holds; that of a person only with what was told just now, unless it is to
be sent again in any case. Where the state database can't be used the mail is sent without being remembered.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from mailquota.core.alerts.outbox import Outbox, Sender
from mailquota.core.alerts.rules import BELOW, holds, reached
from mailquota.core.alerts.thresholds import ThresholdWatch
from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UsageError, error_code, error_text
from mailquota.core.base.model import LastWarning, percent_of
from mailquota.core.base.text import shown
from mailquota.core.base.threads import in_thread
from mailquota.core.base.times import format_age
from mailquota.core.control.results import WarnResult
from mailquota.core.history.connection import StateError
from mailquota.core.history.warnings import Change, News, WarningLog
from mailquota.core.mailboxes.ledger import Entry, Ledger

log = logging.getLogger(__name__)

MERGE_SECONDS = 600.0  # what a person orders within this time of the same is no second mail
_MEASURE_SECONDS = 3.0
_MARK = re.compile(r"([0-9]{1,3})%?")


class Measurer(Protocol):
    """Measures mailboxes now."""

    async def measure_now(self, entries: list[Entry]) -> None:
        """Until that is done."""


def parse_mark(text: str) -> str:
    """``95``, ``95%`` or ``below`` as the name of a mark; "" stays. Raises UsageError."""
    match = _MARK.fullmatch(text.strip())
    if match and int(match[1]) > 0:
        return f"{int(match[1])}%"
    if text.strip().lower() in {BELOW, ""}:
        return text.strip().lower()
    raise UsageError(f"{shown(text)} is no mark; accepted: a percentage like 95, or below")


class WarnNow:
    """Runs on the engine's loop."""

    def __init__(
        self,
        ledger: Ledger,
        measurer: Measurer,
        *,
        thresholds: ThresholdWatch,
        outbox: Outbox,
        book: WarningLog,
        sender: Sender,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._measurer = measurer
        self._thresholds = thresholds
        self._outbox = outbox
        self._book = book
        self._sender = sender
        self._clock = clock

    async def warn(self, address: str, mark: str, source: str) -> WarnResult:
        """Tell the owner of this mailbox. Never raises for one that can't be told."""
        try:
            return await self._warn(address, parse_mark(mark), source)
        except (MailquotaError, OSError) as error:
            return WarnResult(address, mark, "failed", error=error_text(error), code=error_code(error))

    async def _warn(self, address: str, mark: str, source: str) -> WarnResult:
        entry = self._ledger.get(address)
        if entry is None or not entry.mailbox:
            raise NoSuchAccountError(address, odd=entry is not None)
        await self._measure(entry)
        news = self.news(entry, mark)
        try:
            return await self._remembered(news, source)
        except StateError as error:
            log.warning("the warning for %s is not remembered: %s", address, error)
            method = await self._sender.deliver(0, self._clock(), news)
            return WarnResult(address, news.mark, "sent", method, remark=f"sent, but not remembered: {error}")

    async def _measure(self, entry: Entry) -> None:
        """What is told should be the figures of now; a mailbox that hangs must not keep the mail back."""
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                await self._measurer.measure_now([entry])
        except TimeoutError:
            log.warning("%s could not be measured for its warning", entry.address)

    def news(self, entry: Entry, mark: str) -> News:
        """What there is to tell of an account now."""
        used, limit = entry.used, entry.limit
        return News(entry.address, mark or self.present_mark(entry.address), percent_of(used, limit), used, limit)

    def present_mark(self, address: str) -> str:
        """The highest mark that an account is at, else its percentage; "" where neither is known."""
        entry = self._ledger.get(address)
        used, limit = (entry.used, entry.limit) if entry is not None else (None, None)
        found, percent = self._reached(used, limit), percent_of(used, limit)
        if found is not None:
            return found[0]
        return "" if percent is None else f"{int(percent)}%"

    def _reached(self, used: int | None, limit: int | None) -> tuple[str, float] | None:
        return reached(used, limit, self._thresholds.settings.policy.marks) if used is not None and limit else None

    async def _remembered(self, news: News, source: str) -> WarnResult:
        address, now = news.address, self._clock()
        before = await in_thread(lambda: self._book.told_of(address))
        if source != "again" and (told := await self._told_already(news, before, source, now)):
            return WarnResult(address, news.mark, "merged", remark=told)
        change = Change(address, before, self._after(news, before, now), news)
        if not await self._thresholds.remember(change, "operator" if source == "again" else source):
            return WarnResult(address, news.mark, "merged", remark="told just now")
        self._outbox.ring()
        if source == "dovecot" and self._outbox.is_quiet():
            return WarnResult(address, news.mark, "queued", remark="kept back, as these are quiet hours")
        said, what = await self._outbox.send_now(address)
        if said == "sent":
            return WarnResult(address, news.mark, "sent", what)
        if said == "queued":
            return WarnResult(address, news.mark, "queued", remark=f"will be tried again: {what}")
        return WarnResult(address, news.mark, "merged", remark="it is being told")

    async def _told_already(self, news: News, before: LastWarning | None, source: str, now: float) -> str:
        """In words, what makes another mail one too many; "" for nothing."""
        asked = _percent(news.mark, news.percent)
        recent = await in_thread(lambda: self._book.recent(news.address, now, MERGE_SECONDS))
        for mark, percent, _state, at in recent:
            if (mark == BELOW) != (news.mark == BELOW):
                break  # it has been full, or empty, in between
            if _percent(mark, percent) >= asked:
                return f"told {format_age(max(0.0, now - at))} ago"
        marks = self._thresholds.settings.policy.marks
        if source == "dovecot" and marks and before is not None and news.mark != BELOW and before.percent >= asked:
            return f"told {format_age(max(0.0, now - before.at))} ago, and not below it since"
        return ""

    def _after(self, news: News, before: LastWarning | None, now: float) -> LastWarning | None:
        """What is remembered afterwards; a word that our own figures do not bear out is passed on, not remembered."""
        if news.mark == BELOW:
            return None if before is None else msgspec.structs.replace(before, room=False)
        found = self._reached(news.used, news.limit)
        asked = _percent(news.mark, news.percent)
        if found is None or news.percent is None or not holds(news.percent, asked):
            return before
        over = news.used is not None and news.limit is not None and news.used >= news.limit
        return LastWarning(max(asked, found[1]), now, over)


def _percent(mark: str, percent: float | None) -> float:
    """The percentage that a mark stands for; of a size left, that of the use."""
    if mark == BELOW:
        return 0.0
    return float(mark.removesuffix("%")) if mark.endswith("%") else percent or 0.0
