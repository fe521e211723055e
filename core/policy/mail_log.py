"""Refusals that are only in the mail log: by other policy services, by Dovecot, or from before this engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from ..base.text import visible
from ..base.threads import in_thread
from ..control.results import DecisionRow
from ..servers.mail_log.lines import LogEvent
from ..servers.mail_log.source import LogRead, find_log
from ..servers.mail_log.subprocess_reader import read_apart
from ..settings.config import Config

log = logging.getLogger(__name__)

_REFRESH = 60.0  # seconds between two readings for the engine
_RECIPIENTS = 500  # whose events the engine keeps, those with the newest
_EACH = 50  # events of one recipient
_SAME = 2.0  # seconds between the engine's answer and its line in the log, which has whole seconds


class MailLog:
    """Adds refusals and bounces of the mail log to those of the engine. Used on the engine's loop.

    ``leads_to`` gives the mailboxes of a recipient as typed by the client. The log is read for a request of a console
    or command, by a process of its own, once a minute at most; with ``off`` never. That it can't be read is logged
    once.
    """

    def __init__(self, config: Callable[[], Config], leads_to: Callable[[str], Iterable[str]], *, off: bool) -> None:
        self._config = config
        self._leads_to = leads_to
        self._off = off
        self._reading = asyncio.Lock()
        self._due = float("-inf")  # loop time
        self._events: dict[str, list[LogEvent]] = {}
        self._told = ""

    async def refusals(self, address: str, known: list[DecisionRow], most: int) -> list[DecisionRow]:
        """The newest ``most`` refusals of one mailbox, newest first; ``known`` are the newest ones of the engine."""
        if not self._off:
            async with self._reading:
                await self._follow()
        found = [
            _row(event, address)
            for recipient, events in self._events.items()
            if address in self._leads_to(recipient)
            for event in events
        ]
        new = [row for row in found if not any(_is_same(row, ours) for ours in known)]
        return sorted([*known, *new], key=lambda row: -row.at)[:most]

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:
            return
        config = self._config()
        read = await in_thread(lambda: read_apart(find_log(config.settings.mailstore.doveadm)))
        self._due = loop.time() + _REFRESH
        self._events = _by_recipient(read)
        if read.fault and read.fault != self._told:
            log.info("refusals in the mail log are not shown: %s", read.fault)
        self._told = read.fault or self._told


def _by_recipient(read: LogRead) -> dict[str, list[LogEvent]]:
    found: dict[str, list[LogEvent]] = {}
    for event in read.events:
        recipient = event.subject.lower()
        if recipient not in found and len(found) >= _RECIPIENTS:
            continue
        events = found.setdefault(recipient, [])
        if len(events) < _EACH:
            events.append(event)
    return found


def _row(event: LogEvent, address: str) -> DecisionRow:
    verdict = "bounced" if event.kind == "bounced" else "too_large" if event.text[4:9].endswith(".3") else "over_quota"
    recipient = event.alias or event.subject
    return DecisionRow(
        at=event.at,
        verdict=verdict,
        recipient=recipient,
        mailbox=address,
        sender=event.sender,
        client=event.client,
        size=0,
        micros=0,
        origin="log",
    )


def _is_same(row: DecisionRow, ours: DecisionRow) -> bool:
    """Whether a row of the log is the engine's answer ``ours``; an answer in shadow mode refused nothing."""
    return (
        not ours.shadow
        and row.verdict != "bounced"
        and abs(row.at - ours.at) <= _SAME
        and row.recipient.lower() == visible(ours.recipient).lower()
        and row.sender.lower() == visible(ours.sender).lower()
    )
