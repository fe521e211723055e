"""Getting a mail into a mailbox, however full it is, and finding out whether it got there. Blocking; in a thread.

``auto`` is a row of methods. The next one is tried only where it is sure that the one before stored nothing: it is not
there, knows no such user, or refused. Where a program failed otherwise, the mailbox is looked at. One that hung may
have somebody behind it who goes on, so then the delivery fails for the time being, and the next try for the same mail
looks first. So nobody gets two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mailquota.core.alerts.maildir import message_id_of
from mailquota.core.alerts.programs import HungError, sendmail
from mailquota.core.base.errors import DeliveryError, UsageError
from mailquota.core.settings.checks import mail_address


class Method(Protocol):
    """One way into a mailbox. Its name is that of the setting ``warnings.delivery``."""

    @property
    def name(self) -> str:
        """See the class."""

    def deliver(self, address: str, message: bytes) -> None:
        """Raises DeliveryError."""


Look = Callable[[str, str], bool | None]  # whether a mailbox has a Message-ID; None where that can't be told


def check_recipient(to: str) -> None:
    """Raises DeliveryError for what sendmail must not see."""
    try:
        mail_address(to)
    except UsageError as error:
        raise DeliveryError(str(error), temporary=False) from error


class Deliverer:
    """``methods`` are tried in this order. Of ``looks`` each one's yes counts, but only the last one's no.

    ``check`` raises DeliveryError for an address that these methods must not see.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        check: Callable[[str], object],
        looks: Sequence[Look],
        mailer: Method | None = None,
    ) -> None:
        self._methods = tuple(methods)
        self._check = check
        self._looks = tuple(looks)
        self._mailer = mailer or sendmail()
        self._unclear: dict[str, str] = {}  # Message-IDs of mails that may be there, and by which method

    def deliver(self, address: str, message: bytes) -> str:
        """The method that did it. Raises DeliveryError.

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
                if not self._is_there(method, error, address, message_id):
                    failures.append(error)
                    continue
            return method.name
        raise DeliveryError("; ".join(map(str, failures)), temporary=any(error.temporary for error in failures))

    def _is_there(self, method: Method, error: DeliveryError, address: str, message_id: str) -> bool:
        """Whether the method did it in spite of its error. Raises that where it still may."""
        if not error.unclear:
            return False
        seen = self.was_delivered(address, message_id)
        if seen is None or (not seen and isinstance(error, HungError)):
            self._unclear[message_id] = method.name
            raise error
        return seen

    def send(self, to: str, message: bytes) -> None:
        """By sendmail, to an address that need not be here. Raises DeliveryError."""
        check_recipient(to)
        self._mailer.deliver(to, message)

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether the mailbox has it; None where that can't be told, as of a mail without Message-ID ("")."""
        if not message_id:
            return None
        try:
            self._check(address)
        except DeliveryError:
            return None
        answer = None
        for look in self._looks:
            answer = look(address, message_id)
            if answer:
                break
        return answer
