"""Delivers warnings by the helper, where the engine itself has no rights in mailboxes. Blocking; in a thread."""

from __future__ import annotations

from ..base.errors import DeliveryError, MailquotaError
from ..base.helper_calls import Helper, HelperAwayError
from .deliver import Method, check_recipient
from .programs import sendmail


class HelperDelivery:
    """A Delivery (core/alerts/letters.py). Mails to other addresses the engine gives to Postfix itself."""

    def __init__(self, helper: Helper, mailer: Method | None = None) -> None:
        self._helper = helper
        self._mailer = mailer or sendmail()

    def deliver(self, address: str, message: bytes) -> str:
        """Have it stored by the methods of the helper's settings; the method. Raises DeliveryError."""
        try:
            return str(self._helper.call("deliver", address, message, gives=str))
        except DeliveryError:
            raise
        except HelperAwayError as error:  # the next attempt searches first
            raise DeliveryError(str(error), temporary=True, unclear=error.began) from error
        except (MailquotaError, OSError) as error:
            raise DeliveryError(str(error), temporary=True) from error

    def send(self, to: str, message: bytes) -> None:
        """Send a mail to any address, by sendmail. Raises DeliveryError."""
        check_recipient(to)
        self._mailer.deliver(to, message)

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether the mailbox has a mail with this Message-ID; None where that can't be found out."""
        try:
            found: bool | None = self._helper.call("was_delivered", address, message_id, gives=bool | None)
        except (MailquotaError, OSError):
            return None
        return found
