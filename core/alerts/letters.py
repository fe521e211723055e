"""Writes the mails and has them delivered: the facts of an account from the ledger, its folders, and the history."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mailquota.core.alerts.facts import FolderShare, MailFacts
from mailquota.core.alerts.message import Letter, Mail, compose, compose_copy, compose_digest
from mailquota.core.alerts.outbox import MootError
from mailquota.core.base.errors import NoSuchAccountError, sendable
from mailquota.core.base.threads import in_thread
from mailquota.core.control.results import Folder, Preview
from mailquota.core.history.past import forecast_of
from mailquota.core.history.warnings import News
from mailquota.core.mailboxes.driver import Driver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Unmeasurable
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.servers.dovecot.mutf7 import decode
from mailquota.core.settings.config import Config

log = logging.getLogger(__name__)

_FOLDER_SECONDS = 10.0  # a mail without its list of folders is better than none


class Delivery(Protocol):
    """How a mail gets into a mailbox; blocking. Raises DeliveryError."""

    def deliver(self, address: str, message: bytes) -> str:
        """Into the mailbox of an account, however full; the method."""

    def send(self, to: str, message: bytes) -> None:
        """To anybody, by sendmail."""

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether it is there already; None where that can't be told."""


class WarningMails:
    """A Sender (core/alerts/outbox.py). ``make_delivery`` is called once, in a thread, when the first mail is due."""

    def __init__(
        self,
        ledger: Ledger,
        driver: Driver,
        is_trash: TrashNames,
        config: Callable[[], Config],
        make_delivery: Callable[[Config], Delivery],
    ) -> None:
        self._ledger = ledger
        self._driver = driver
        self._is_trash = is_trash
        self._config = config
        self._make_delivery = make_delivery
        self._delivery: tuple[Config, Delivery] | None = None

    # ---- what a Sender does

    async def deliver(self, number: int, at: float, news: News) -> str:
        """See Sender."""
        facts = await self._facts(news.address, news.mark)
        message_id = _message_id(number, at, self._config().sender_for(news.address))
        letter = make_letter(self._config(), news.address, message_id)
        return await in_thread(lambda: self._delivered(news.address, compose(facts, letter)))

    async def was_delivered(self, number: int, at: float, news: News) -> bool:
        """See Sender."""
        wanted = _message_id(number, at, self._config().sender_for(news.address))
        return await in_thread(lambda: bool(self._deliverer().was_delivered(news.address, wanted)))

    async def tell_administrators(self, to: str, news: list[News]) -> None:
        """See Sender."""
        letter = make_letter(self._config(), to)
        if len(news) == 1:
            facts = await self._facts(news[0].address, news[0].mark)
            await in_thread(lambda: self._send(to, compose_copy(facts, letter)))
        else:
            accounts = [MailFacts(n.address, n.mark, n.used, n.limit) for n in news]
            await in_thread(lambda: self._send(to, compose_digest(accounts, letter)))

    # ---- what operators ask for

    async def preview(self, address: str, mark: str) -> Preview:
        """The mail as it would be now. Raises NoSuchAccountError."""
        mail = await self._written(address, mark, address, test=False)
        return Preview(mail.subject, mail.text, mail.html, mail.language, mail.remark)

    async def test(self, address: str, mark: str, to: str) -> str:
        """Send what the account would get to somebody else; the method. Raises NoSuchAccountError, DeliveryError."""
        mail = await self._written(address, mark, to, test=True)
        return await in_thread(lambda: self._send(to, mail))

    async def folders(self, address: str) -> list[Folder]:
        """The folders by the names that people read; none where the mailbox can't be read, as its row says."""
        try:
            counted = await in_thread(lambda: self._driver.folders(address))
        except Unmeasurable as error:
            log.warning("folders can't be shown: %s", error)
            return []
        return [Folder(sendable(decode(f.name)), f.messages, f.bytes, self._is_trash(f.name)) for f in counted]

    # ---- parts

    async def _written(self, address: str, mark: str, to: str, *, test: bool) -> Mail:
        if self._ledger.get(address) is None:
            raise NoSuchAccountError(address)
        facts = await self._facts(address, mark, test=test)
        letter = make_letter(self._config(), to, about=address)
        return await in_thread(lambda: compose(facts, letter))

    async def _facts(self, address: str, mark: str, *, test: bool = False) -> MailFacts:
        entry = self._ledger.get(address)
        if entry is None:
            raise MootError("there is no such account any more")
        row = self._ledger.row(entry)
        folders = await self._biggest_folders(entry)
        return MailFacts(
            address,
            mark,
            row.used_bytes,
            row.limit_bytes,
            row.messages,
            row.trash_bytes,
            row.trash_messages,
            folders,
            entry.trend,
            forecast_of(entry),
            test=test,
        )

    async def _biggest_folders(self, entry: Entry) -> tuple[FolderShare, ...]:
        try:
            async with asyncio.timeout(_FOLDER_SECONDS):
                found = await self.folders(entry.address) if entry.mailbox else []
        except TimeoutError:
            log.warning("the folders of %s are not in its mail: its file system does not answer", entry.address)
            return ()
        found.sort(key=lambda folder: -folder.bytes)
        return tuple(FolderShare(f.name, f.messages, f.bytes, f.trash) for f in found)

    def _deliverer(self) -> Delivery:
        """In a thread: Dovecot is asked how it is set up, after each change of the settings anew."""
        config = self._config()
        if self._delivery is None or self._delivery[0] is not config:
            self._delivery = (config, self._make_delivery(config))
        return self._delivery[1]

    def _delivered(self, address: str, mail: Mail) -> str:
        self._remark(mail)
        return self._deliverer().deliver(address, mail.message)

    def _send(self, to: str, mail: Mail) -> str:
        """One of our own gets it into the mailbox, others by mail."""
        self._remark(mail)
        if self._ledger.is_mailbox(to):
            return self._deliverer().deliver(to, mail.message)
        self._deliverer().send(to, mail.message)
        return "sendmail"

    def _remark(self, mail: Mail) -> None:
        if mail.remark:
            log.warning("the built-in text is sent: %s", mail.remark)


def make_letter(config: Config, to: str, message_id: str = "", about: str = "") -> Letter:
    """By the settings, as of now; in the language of the account that it is ``about``, if it is not ``to``'s own."""
    warnings, account = config.settings.warnings, about or to
    sender = config.sender_for(account)
    return Letter(
        sender=sender,
        to=to,
        at=time.time(),
        message_id=message_id or _message_id(0, 0, sender),
        language=warnings.language_of(account),
        templates=Path(warnings.templates) if warnings.templates else None,
    )


def _message_id(number: int, at: float, sender: str) -> str:
    """The same for each try of a mail from the queue, so that one that arrived can be found; else a new one."""
    unique = f"{number}.{at * 1000:.0f}" if number else uuid.uuid4().hex
    return f"<mailquota.{unique}@{sender.rpartition('@')[2]}>"
