"""Changes to mailboxes, recounts and the emptying of Trash, for keys, commands and the control protocol alike.

An action runs on the engine's loop, its blocking parts in threads. Each mailbox is changed by one action at a time.
Before the action ends, a changed mailbox is measured again, so that its result, the table and the next policy answer
agree; and the journal gets an entry. If the journal can't be written the change stays, and result and log say so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

import msgspec

from ..base.errors import MailquotaError, NoSuchAccountError, UnreachableError, error_code, error_text
from ..base.helper_calls import HelperAwayError
from ..base.threads import in_thread
from ..control.results import RecalcResult, TrashResult
from ..history.journal import Journal
from ..history.who import Operator, write_journal
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Entry, Ledger
from ..mailboxes.rounds import Poller
from .mailbox_work import MailboxWork
from .results import number_text

log = logging.getLogger(__name__)

T = TypeVar("T")


class Actions:
    """Recounts and Trash, by ``work``.

    ``insist``: the settings name a doveadm, so an error of it is raised instead of doing the work without it. ``away``
    says why the file system of a mailbox is not there: Dovecot would make a new mailbox in its place.
    """

    def __init__(
        self,
        ledger: Ledger,
        driver: Driver,
        poller: Poller,
        journal: Journal,
        *,
        work: MailboxWork,
        insist: bool,
        away: Callable[[str], str] = lambda _address: "",
    ) -> None:
        self._away = away
        self._ledger = ledger
        self._driver = driver
        self._poller = poller
        self._journal = journal
        self._work = work
        self._insist = insist
        self._working: list[Operator] = []
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def by_doveadm(self) -> bool:
        """Whether there is a doveadm that recounts."""
        return self._work.has_doveadm

    # ---- recount

    async def recalc(self, addresses: list[str], operator: Operator) -> list[RecalcResult]:
        """Recount these mailboxes, one after the other; errors are in the results."""
        return await self._one_by_one(addresses, operator, lambda address: self._recalc(address, operator))

    async def _recalc(self, address: str, operator: Operator) -> RecalcResult:
        try:
            entry = await self._mailbox(address)
            async with self._lock(address):
                return await self._recalc_entry(entry, operator)
        except (MailquotaError, OSError) as error:
            return RecalcResult(
                address=address,
                before_bytes=None,
                after_bytes=None,
                before_messages=None,
                after_messages=None,
                method=None,
                error=error_text(error),
                code=error_code(error),
            )

    async def _recalc_entry(self, entry: Entry, operator: Operator) -> RecalcResult:
        address, driver = entry.address, self._driver
        if entry.known is None:
            await self._measure([entry])
        known = entry.known
        before = await in_thread(lambda: driver.recorded(address)) or (
            (known.used, known.messages) if known else (None, None)
        )
        method = await self._by_doveadm(lambda: self._recalc_by_doveadm(address))
        if method is None:
            method = await in_thread(lambda: driver.recount(address, entry.limit))
        await self._measure([entry])
        self._ledger.verify_again(entry)
        self._ledger.forget_drift(entry)  # a delivery may have come in between: the background check counts again
        after = (entry.known.used, entry.known.messages) if entry.known else (None, None)
        change = operator.entry("recalc", address=address, old=number_text(before[0]), new=number_text(after[0]))
        _, remark = await write_journal(self._journal, [change])
        return RecalcResult(
            address=address,
            before_bytes=before[0],
            after_bytes=after[0],
            before_messages=before[1],
            after_messages=after[1],
            method=method,
            remark=remark,
        )

    def _recalc_by_doveadm(self, address: str) -> str:
        self._work.recount_by_doveadm(address, maildir=self._driver.name == "maildir")
        return "doveadm"

    # ---- Trash

    async def empty_trash(
        self, addresses: list[str], older_than: float | None, operator: Operator, *, dry_run: bool
    ) -> list[TrashResult]:
        """Delete the messages that came into Trash over ``older_than`` seconds ago (None: all).

        ``dry_run`` only finds them. Errors are in the results.
        """
        before = None if older_than is None else time.time() - older_than
        return await self._one_by_one(
            addresses, operator, lambda address: self._empty(address, before, operator, dry_run=dry_run)
        )

    async def _empty(self, address: str, before: float | None, operator: Operator, *, dry_run: bool) -> TrashResult:
        try:
            entry = await self._mailbox(address)
            async with self._lock(address):
                return await self._empty_entry(entry, before, operator, dry_run=dry_run)
        except (MailquotaError, OSError) as error:
            return TrashResult(
                address=address,
                folders=[],
                messages=0,
                bytes=0,
                oldest=None,
                newest=None,
                method=None,
                error=error_text(error),
                code=error_code(error),
            )

    async def _empty_entry(
        self, entry: Entry, before: float | None, operator: Operator, *, dry_run: bool
    ) -> TrashResult:
        address, work = entry.address, self._work
        result = await self._by_doveadm(lambda: work.empty_by_doveadm(address, before, dry_run=dry_run))
        if result is None:
            result = await in_thread(lambda: work.empty(address, before, dry_run=dry_run))
        if not dry_run:
            if result.messages:
                change = operator.entry("trash", address=address, new=f"-{result.bytes}")
                _, remark = await write_journal(self._journal, [change])
                result = msgspec.structs.replace(result, remark=remark)
            await self._measure([entry])
        return result

    # ---- parts

    async def finish(self, seconds: float) -> None:
        """Wait at most ``seconds`` for changes that are being made; of many accounts only the present one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._working and loop.time() < until:
            for operator in self._working:
                operator.cancelled = True
            await asyncio.sleep(0.01)

    @contextmanager
    def at_work(self, operator: Operator) -> Iterator[None]:
        """``finish`` waits for what is done within."""
        self._working.append(operator)
        try:
            yield
        finally:
            self._working.remove(operator)

    async def _one_by_one(
        self, addresses: list[str], operator: Operator, work: Callable[[str], Awaitable[T]]
    ) -> list[T]:
        results: list[T] = []
        with self.at_work(operator):
            for address in addresses:
                if operator.cancelled:
                    break
                results.append(await work(address))
                operator.progress(len(results), len(addresses), address)
        return results

    async def _mailbox(self, address: str) -> Entry:
        entry = self._ledger.get(address)
        if entry is None or not entry.mailbox:
            raise NoSuchAccountError(address, odd=entry is not None)
        if reason := await in_thread(lambda: self._away(address)):
            raise MailquotaError(reason)
        return entry

    def _lock(self, address: str) -> asyncio.Lock:
        return self._locks.setdefault(address, asyncio.Lock())

    async def _measure(self, entries: Iterable[Entry]) -> None:
        await self._poller.measure_now(list(entries))

    async def _by_doveadm(self, work: Callable[[], T]) -> T | None:
        """Work done by doveadm; None where there is no doveadm, or one that the settings do not name can't do it."""
        if not self.by_doveadm:
            return None
        try:
            return await in_thread(work)
        except HelperAwayError:
            raise
        except (NoSuchAccountError, UnreachableError) as error:
            if self._insist:
                raise
            log.info("doveadm can't help, so it is done without: %s", error)
            return None
