"""``mailquota warn``: a warning that Dovecot's quota-warning service or an operator orders.

Theory of operation. Dovecot sees a threshold when a mail crosses it, the engine by the state of a mailbox. Both use the
same last warnings and the same queue, so an owner does not get two mails about the same. A warning that Dovecot orders
is merged (no mail is sent) while the owner's last warning, of this threshold or a higher one, holds. One that an
operator orders is merged only with a mail of the last MERGE_SECONDS; with ``--again`` it is sent in any case. While the
state database can't be used the mail is sent, and nothing is stored.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from ..base.errors import MailquotaError, NoSuchAccountError, UsageError, error_code, error_text
from ..base.model import LastWarning, percent_of
from ..base.text import shown
from ..base.threads import in_thread
from ..base.times import format_age
from ..control.results import WarnResult
from ..history.connection import StateError
from ..history.warnings import Change, DueWarning, WarningLog
from ..mailboxes.ledger import Entry, Ledger
from .outbox import Outbox, Sender
from .rules import BELOW, holds, reached
from .thresholds import ThresholdWatch, due_warning

log = logging.getLogger(__name__)

MERGE_SECONDS = 600.0
_MEASURE_SECONDS = 3.0
_PERCENT = re.compile(r"([0-9]{1,3})%?")


class Measurer(Protocol):
    """Measures mailboxes now."""

    async def measure_now(self, entries: list[Entry]) -> None:
        """Return when the usage of these accounts in the ledger is that of now."""


def parse_threshold(text: str) -> str:
    """``95``, ``95%`` or ``below`` as the name of a threshold; "" stays "". Raises UsageError."""
    match = _PERCENT.fullmatch(text.strip())
    if match and int(match[1]) > 0:
        return f"{int(match[1])}%"
    if text.strip().lower() in {BELOW, ""}:
        return text.strip().lower()
    raise UsageError(f"{shown(text)} is no threshold; accepted: a percentage like 95, or below")


class WarnNow:
    """Runs on the engine's loop. ``clock`` gives seconds since the epoch.

    ``away`` says why the file system of an account's mailbox is not there.
    """

    def __init__(
        self,
        ledger: Ledger,
        measurer: Measurer,
        *,
        thresholds: ThresholdWatch,
        outbox: Outbox,
        warning_log: WarningLog,
        sender: Sender,
        clock: Callable[[], float] = time.time,
        away: Callable[[str], str] = lambda _address: "",
    ) -> None:
        self._away = away
        self._ledger = ledger
        self._measurer = measurer
        self._thresholds = thresholds
        self._outbox = outbox
        self._log = warning_log
        self._sender = sender
        self._clock = clock

    async def warn(self, address: str, threshold: str, source: str) -> WarnResult:
        """Warn the owner of a mailbox; ``source`` as in the order Warn. An error is in the result, never raised."""
        try:
            return await self._warn(address, parse_threshold(threshold), source)
        except (MailquotaError, OSError) as error:
            return WarnResult(
                address=address, mark=threshold, state="failed", error=error_text(error), code=error_code(error)
            )

    async def _warn(self, address: str, threshold: str, source: str) -> WarnResult:
        entry = self._ledger.get(address)
        if entry is None or not entry.mailbox:
            raise NoSuchAccountError(address, odd=entry is not None)
        await self._measure(entry)
        if reason := await in_thread(lambda: self._away(address)):
            if source != "dovecot":
                raise MailquotaError(reason)
            # Dovecot's figure is that of a new mailbox, in the place of the one that is not there.
            return WarnResult(address=address, mark=threshold, state="merged", remark=reason)
        warning = self.due_warning(entry, threshold)
        try:
            return await self._send_or_merge(warning, source)
        except StateError as error:
            log.warning("the warning for %s is not in the state database: %s", address, error)
            method = await self._sender.deliver(0, self._clock(), warning)
            remark = f"sent, but not remembered: {error}"
            return WarnResult(address=address, mark=warning.threshold, state="sent", method=method, remark=remark)

    async def _measure(self, entry: Entry) -> None:
        """The mail should have the usage of now; but a file system that hangs must not keep it back."""
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                await self._measurer.measure_now([entry])
        except TimeoutError:
            log.warning("%s could not be measured for its warning", entry.address)

    def due_warning(self, entry: Entry, threshold: str) -> DueWarning:
        """The mail to the owner of an account now; with "" for a threshold it is about the present one."""
        return due_warning(entry, threshold or self.present_threshold(entry.address))

    def present_threshold(self, address: str) -> str:
        """The highest threshold that an account has reached, else its usage in percent; "" where that is not known."""
        entry = self._ledger.get(address)
        used, limit = (entry.used, entry.limit) if entry is not None else (None, None)
        found, percent = self._reached(used, limit), percent_of(used, limit)
        if found is not None:
            return found[0]
        return "" if percent is None else f"{int(percent)}%"

    def _reached(self, used: int | None, limit: int | None) -> tuple[str, float] | None:
        return reached(used, limit, self._thresholds.settings.policy.thresholds) if used is not None and limit else None

    async def _send_or_merge(self, warning: DueWarning, source: str) -> WarnResult:
        address, now = warning.address, self._clock()
        before = await in_thread(lambda: self._log.last_warning(address))
        if source != "again" and (remark := await self._already_warned(warning, before, source, now)):
            return WarnResult(address=address, mark=warning.threshold, state="merged", remark=remark)
        change = Change(address=address, before=before, after=self._after(warning, before, now), warning=warning)
        if not await self._thresholds.apply(change, "operator" if source == "again" else source):
            return WarnResult(address=address, mark=warning.threshold, state="merged", remark="warned just now")
        self._outbox.wake()
        if source == "dovecot" and self._outbox.is_quiet():
            return WarnResult(
                address=address, mark=warning.threshold, state="queued", remark="kept back, as these are quiet hours"
            )
        state, detail = await self._outbox.send_now(address)
        if state == "sent":
            return WarnResult(address=address, mark=warning.threshold, state="sent", method=detail)
        if state == "queued":
            return WarnResult(
                address=address, mark=warning.threshold, state="queued", remark=f"will be tried again: {detail}"
            )
        return WarnResult(address=address, mark=warning.threshold, state="merged", remark="the warning is being sent")

    async def _already_warned(self, warning: DueWarning, before: LastWarning | None, source: str, now: float) -> str:
        """Why another mail would be one too many, as a remark; "" where it would not."""
        wanted = _percent(warning.threshold, warning.percent)
        recent = await in_thread(lambda: self._log.recent(warning.address, now, MERGE_SECONDS))
        for threshold, percent, _state, at in recent:
            if (threshold == BELOW) != (warning.threshold == BELOW):
                break  # the newest mail says the opposite: older ones no longer count
            if _percent(threshold, percent) >= wanted:
                return f"warned {format_age(max(0.0, now - at))} ago"
        if source != "dovecot" or before is None or warning.threshold == BELOW:
            return ""
        if self._thresholds.settings.policy.thresholds and before.percent >= wanted:
            return f"warned {format_age(max(0.0, now - before.at))} ago, and not below the threshold since"
        return ""

    def _after(self, warning: DueWarning, before: LastWarning | None, now: float) -> LastWarning | None:
        """The last warning after this one.

        Where the usage in the ledger does not confirm a threshold that Dovecot reports, the mail is sent all the same,
        and the last warning stays: stored, it would be taken back at once, by a "room again" mail.
        """
        if warning.threshold == BELOW:
            return None if before is None else msgspec.structs.replace(before, room_again_due=False)
        found = self._reached(warning.used, warning.limit)
        wanted = _percent(warning.threshold, warning.percent)
        if found is None or warning.percent is None or not holds(warning.percent, wanted):
            return before
        full = warning.used is not None and warning.limit is not None and warning.used >= warning.limit
        return LastWarning(percent=max(wanted, found[1]), at=now, was_full=full)


def _percent(threshold: str, percent: float | None) -> float:
    """A threshold in percent of the limit; for one that is space left, the usage that the mail tells (``percent``)."""
    if threshold == BELOW:
        return 0.0
    return float(threshold.removesuffix("%")) if threshold.endswith("%") else percent or 0.0
