"""Makes mails of the facts in the ledger, the mailbox and the history, and has them delivered."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..base.errors import DeliveryError, NoSuchAccountError, sendable
from ..base.threads import in_thread
from ..control.results import Folder, Preview
from ..history.limits_and_forecast import forecast_of
from ..history.warnings import DueWarning
from ..mailboxes.driver import Driver
from ..mailboxes.ledger import Entry, Ledger
from ..mailboxes.measure import Unmeasurable
from ..servers.dovecot.folder_names import TrashNames
from ..servers.dovecot.mutf7 import decode
from ..settings.config import Config
from .facts import FolderShare, MailFacts
from .message import Letter, Mail, compose, compose_copy, compose_digest
from .outbox import NoLongerDueError

log = logging.getLogger(__name__)

_FOLDER_SECONDS = 10.0  # a mail without its list of folders is better than none


class Delivery(Protocol):
    """Delivers finished mails. Blocking; raises DeliveryError."""

    def deliver(self, address: str, message: bytes) -> str:
        """Store a mail in the mailbox of an account, however full; the method."""

    def send(self, to: str, message: bytes) -> None:
        """Send a mail to any address, by sendmail."""

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether the mailbox has a mail with this Message-ID; None where that can't be found out."""


class WarningMails:
    """A Sender (core/alerts/outbox.py), and the mails that operators order.

    ``make_delivery`` is called in a thread, for the first mail and after each change of the settings. ``away`` says why
    the file system of an account's mailbox is not there.
    """

    def __init__(
        self,
        ledger: Ledger,
        driver: Driver,
        is_trash: TrashNames,
        config: Callable[[], Config],
        make_delivery: Callable[[Config], Delivery],
        *,
        away: Callable[[str], str] = lambda _address: "",
    ) -> None:
        self._away = away
        self._ledger = ledger
        self._driver = driver
        self._is_trash = is_trash
        self._config = config
        self._make_delivery = make_delivery
        self._delivery: tuple[Config, Delivery] | None = None

    # ---- what a Sender does

    async def deliver(self, number: int, at: float, warning: DueWarning) -> str:
        """Make the mail by the usage of now, and deliver it to the owner; the method.

        Raises NoLongerDueError if the account is gone, and DeliveryError.
        """
        # A mail would go into a new mailbox in place of the one that is away.
        if reason := await in_thread(lambda: self._away(warning.address)):
            raise DeliveryError(reason, temporary=True)
        facts = await self._facts(warning.address, warning.threshold)
        message_id = _message_id(number, at, self._config().sender_for(warning.address))
        letter = make_letter(self._config(), warning.address, message_id)
        return await in_thread(lambda: self._deliver(warning.address, compose(facts, letter)))

    async def was_delivered(self, number: int, at: float, warning: DueWarning) -> bool:
        """Whether the mailbox has the mail with this number already; False also where it can't be searched."""
        wanted = _message_id(number, at, self._config().sender_for(warning.address))
        return await in_thread(lambda: bool(self._deliverer().was_delivered(warning.address, wanted)))

    async def send_to_administrator(self, to: str, warnings: list[DueWarning]) -> None:
        """Send a copy of one warning, or one mail with a list of several. Raises NoLongerDueError, DeliveryError."""
        letter = make_letter(self._config(), to)
        if len(warnings) == 1:
            facts = await self._facts(warnings[0].address, warnings[0].threshold)
            await in_thread(lambda: self._send(to, compose_copy(facts, letter)))
        else:
            accounts = [
                MailFacts(address=one.address, threshold=one.threshold, used_bytes=one.used, limit_bytes=one.limit)
                for one in warnings
            ]
            await in_thread(lambda: self._send(to, compose_digest(accounts, letter)))

    # ---- for operators

    async def preview(self, address: str, threshold: str) -> Preview:
        """The mail as its owner would get it now. Raises NoSuchAccountError."""
        mail = await self._made(address, threshold, address, test=False)
        return Preview(subject=mail.subject, text=mail.text, html=mail.html, language=mail.language, remark=mail.remark)

    async def test(self, address: str, threshold: str, to: str) -> str:
        """Send the mail that the account would get to another address; the method.

        Raises NoSuchAccountError, DeliveryError.
        """
        mail = await self._made(address, threshold, to, test=True)
        return await in_thread(lambda: self._send(to, mail))

    async def folders(self, address: str) -> list[Folder]:
        """The folders of an account by the names that mail programs show; none where the mailbox can't be read."""
        try:
            counted = await in_thread(lambda: self._driver.folders(address))
        except Unmeasurable as error:
            log.warning("folders can't be shown: %s", error)
            return []
        return [Folder(sendable(decode(f.name)), f.messages, f.bytes, self._is_trash(f.name)) for f in counted]

    # ---- parts

    async def _made(self, address: str, threshold: str, to: str, *, test: bool) -> Mail:
        if self._ledger.get(address) is None:
            raise NoSuchAccountError(address)
        facts = await self._facts(address, threshold, test=test)
        letter = make_letter(self._config(), to, about=address)
        return await in_thread(lambda: compose(facts, letter))

    async def _facts(self, address: str, threshold: str, *, test: bool = False) -> MailFacts:
        entry = self._ledger.get(address)
        if entry is None:
            raise NoLongerDueError("there is no such account any more")
        row = self._ledger.row(entry)
        folders = await self._biggest_folders(entry)
        return MailFacts(
            address=address,
            threshold=threshold,
            used_bytes=row.used_bytes,
            limit_bytes=row.limit_bytes,
            messages=row.messages,
            trash_bytes=row.trash_bytes,
            trash_messages=row.trash_messages,
            folders=folders,
            growth=entry.trend,
            forecast=forecast_of(entry),
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
        """Called in a thread: after a change of the settings Dovecot is asked for its own settings again."""
        config = self._config()
        if self._delivery is None or self._delivery[0] is not config:
            self._delivery = (config, self._make_delivery(config))
        return self._delivery[1]

    def _deliver(self, address: str, mail: Mail) -> str:
        self._log_remark(mail)
        return self._deliverer().deliver(address, mail.message)

    def _send(self, to: str, mail: Mail) -> str:
        """A mailbox of this server gets it however full it is, other addresses by sendmail."""
        self._log_remark(mail)
        if self._ledger.is_mailbox(to):
            return self._deliverer().deliver(to, mail.message)
        self._deliverer().send(to, mail.message)
        return "sendmail"

    def _log_remark(self, mail: Mail) -> None:
        if mail.remark:
            log.warning("the built-in text is sent: %s", mail.remark)


def make_letter(config: Config, to: str, message_id: str = "", about: str = "") -> Letter:
    """The head of a mail, by the settings and as of now.

    Its language is that of the account ``about``, or that of ``to`` where none is given. ``message_id`` is made
    where it is empty.
    """
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
    """The same for each attempt to deliver a mail of the queue, as it is searched for by it; for others a new one."""
    unique = f"{number}.{at * 1000:.0f}" if number else uuid.uuid4().hex
    return f"<mailquota.{unique}@{sender.rpartition('@')[2]}>"
