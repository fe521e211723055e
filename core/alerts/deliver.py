"""Delivers a mail into a mailbox, however full it is, and finds out whether it was stored. Blocking; in a thread.

``auto`` is a list of methods. The next one is tried only if the one before certainly stored nothing: its program is
not installed, knows no such user, or refused the mail. After any other failure the mailbox is searched for the mail. A
program that hung may have given the mail to another process, which stores it later: then no other method is tried, the
delivery fails for now, and the next attempt searches first. So no mailbox owner gets a mail twice, unless the mailbox
can't be searched (a delivery by sendmail, an error).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..base.errors import DeliveryError, UsageError
from ..settings.checks import mail_address
from .maildir import message_id_of
from .programs import HungError, sendmail


class Method(Protocol):
    """One method of delivery. Its name is the value of the setting ``warnings.delivery``."""

    @property
    def name(self) -> str:
        """The value of the setting."""

    def deliver(self, address: str, message: bytes) -> None:
        """Store a mail in the mailbox of an account. Raises DeliveryError."""


Search = Callable[[str, str], bool | None]  # whether a mailbox has a Message-ID; None where that can't be found out


def check_recipient(to: str) -> None:
    """Raises DeliveryError for an address that sendmail must not get, as it could take it for an option or several."""
    try:
        mail_address(to)
    except UsageError as error:
        raise DeliveryError(str(error), temporary=False) from error


class Deliverer:
    """Tries ``methods`` in this order.

    Each of ``searches`` may find a mail; that it is not there is known from the last one alone, as the others search
    only a part of the mailbox. ``check`` raises DeliveryError for an address that these methods must not get.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        check: Callable[[str], object],
        searches: Sequence[Search],
        mailer: Method | None = None,
    ) -> None:
        self._methods = tuple(methods)
        self._check = check
        self._searches = tuple(searches)
        self._mailer = mailer or sendmail()
        self._unclear: dict[str, str] = {}  # Message-IDs of mails that may have been stored, and by which method

    def deliver(self, address: str, message: bytes) -> str:
        """Deliver a mail; the name of the method. Raises DeliveryError.

        The message has LF as line ends, and is stored as it is.
        """
        self._check(address)
        message_id = message_id_of(message)
        before = self._unclear.pop(message_id, None)
        if before is not None and self.was_delivered(address, message_id):
            return before
        failures: list[DeliveryError] = []
        for method in self._methods:
            try:
                method.deliver(address, message)
            except DeliveryError as error:
                if not self._was_stored(method, error, address, message_id):
                    failures.append(error)
                    continue
            return method.name
        raise DeliveryError("; ".join(map(str, failures)), temporary=any(error.temporary for error in failures))

    def _was_stored(self, method: Method, error: DeliveryError, address: str, message_id: str) -> bool:
        """Whether the method stored the mail in spite of its error. Raises the error where it may still do so."""
        if not error.unclear:
            return False
        found = self.was_delivered(address, message_id)
        if found is None or (not found and isinstance(error, HungError)):
            self._unclear[message_id] = method.name
            raise error
        return found

    def send(self, to: str, message: bytes) -> None:
        """Send a mail by sendmail, to any address. Raises DeliveryError."""
        check_recipient(to)
        self._mailer.deliver(to, message)

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether the mailbox has a mail with this Message-ID; None where that can't be found out, or for "" (none)."""
        if not message_id:
            return None
        try:
            self._check(address)
        except DeliveryError:
            return None
        answer = None
        for search in self._searches:
            answer = search(address, message_id)
            if answer:
                break
        return answer
