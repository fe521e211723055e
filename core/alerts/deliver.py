"""How a warning gets into a mailbox that is full, which is when it is needed most.

Each way switches quota off for this one mail: Dovecot's delivery agent and ``doveadm save`` by an option that
differs between 2.3 and 2.4, our own Maildir delivery by asking nobody. A plain dovecot-lda loses a mail to a full
mailbox and says 0; with -e it says that it did not deliver. sendmail is for others: at its end stands the quota.

``auto`` takes the first of these that can. Where one says for certain that it did not deliver (it does not know the
user, or quota could not be switched off) the next one is tried, and else not, as nobody should get two.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from core.alerts import maildir
from core.alerts.programs import NO_USER, TEMPORARY, DeliveryError, run

Method = Literal["auto", "dovecot-lda", "doveadm", "maildir", "sendmail"]
_AGO = 86400.0  # seconds; how old a mail of ours may be that is looked for


class Ways(msgspec.Struct, frozen=True):
    """What there is here. Commands are words; empty: there is none. ``unlimited`` are the options of Dovecot's tools.

    ``maildir`` gives the Maildir of an address, and raises MailquotaError for one that can't have any.
    """

    maildir: Callable[[str], str]
    lda: tuple[str, ...] = ()
    doveadm: tuple[str, ...] = ()
    unlimited: tuple[str, ...] = ()
    sendmail: str = ""


class Deliverer:
    """Blocking: called in a thread."""

    def __init__(self, method: Method, ways: Ways) -> None:
        self._method = method
        self._ways = ways

    def deliver(self, address: str, message: bytes) -> str:
        """Into the mailbox of an account; the method. Raises DeliveryError."""
        if self._method != "auto":
            self._by(self._method, address, message)
            return self._method
        failures = []
        for method in self._usual():
            try:
                self._by(method, address, message)
            except DeliveryError as error:
                if not error.certain:
                    raise
                failures.append(f"{method}: {error}")
            else:
                return method
        raise DeliveryError("; ".join(failures))

    def send(self, to: str, message: bytes) -> None:
        """To anybody, through the mail server. Raises DeliveryError."""
        if not self._ways.sendmail:
            raise DeliveryError("there is no sendmail here")
        code, said = run([self._ways.sendmail, "-i", "-f", "<>", "--", to], message)
        if code:
            raise DeliveryError(f"sendmail ended with {code}: {said}", certain=code != TEMPORARY)

    def was_delivered(self, address: str, message_id: str) -> bool | None:
        """Whether it lies in INBOX; None where that can't be told."""
        ways = self._ways
        if ways.doveadm and self._method in {"auto", "dovecot-lda", "doveadm"}:
            found = self._search(address, message_id)
            if found is not None or self._method != "auto":
                return found
        if self._method == "sendmail":
            return None
        try:
            return maildir.holds(ways.maildir(address), message_id, time.time() - _AGO)
        except OSError:
            return None

    def _usual(self) -> Sequence[str]:
        ways = self._ways
        by_dovecot = [name for name, there in (("dovecot-lda", ways.lda), ("doveadm", ways.doveadm)) if there]
        return [*by_dovecot, "maildir"]

    def _by(self, method: str, address: str, message: bytes) -> None:
        ways = self._ways
        if method == "maildir":
            maildir.deliver(ways.maildir(address), message)
        elif method == "sendmail":
            self.send(address, message)
        elif method == "dovecot-lda":
            self._by_program("dovecot-lda", ways.lda, ["-d", address, "-e", *self._options()], message)
        else:
            words = [*self._options(), "save", "-u", address, "-m", "INBOX"]
            self._by_program("doveadm", ways.doveadm, words, message)

    def _options(self) -> list[str]:
        return [word for option in self._ways.unlimited for word in ("-o", option)]

    def _by_program(self, name: str, command: tuple[str, ...], words: list[str], message: bytes) -> None:
        if not command:
            raise DeliveryError(f"there is no {name} here")
        code, said = run([*command, *words], message)
        if code == NO_USER:
            raise DeliveryError("Dovecot knows no such user")
        if code:
            raise DeliveryError(f"{name} ended with {code}: {said}", certain=code != TEMPORARY and code > 0)

    def _search(self, address: str, message_id: str) -> bool | None:
        words = ["search", "-u", address, "mailbox", "INBOX", "header", "message-id", message_id.strip("<>")]
        try:
            code, said = run([*self._ways.doveadm, *words], b"")
        except DeliveryError:
            return None
        return bool(said.strip()) if code == 0 else None
