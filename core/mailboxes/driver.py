"""Drivers: how the usage of a mailbox is found out, one for each way in which Dovecot keeps it.

A driver is called from several threads at once, also for the same mailbox, and gets the last measurement with each
call. For a mailbox that it can't measure it raises ``Unmeasurable`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from ..base.mounts import Mounts
from .folders import Folders, sum_folders
from .mailstore import Mailstore
from .measure import (
    Measurement,
    ProbeOutcome,
    Unmeasurable,
    count_inbox,
    measure,
    probe,
    reason,
    recorded,
)
from .recount import rewrite

MostMessages = Callable[[str], int | None]  # the limit of messages of an address; called in threads


class Driver(Protocol):
    """Measures mailboxes.

    ``limit`` is in bytes (None unlimited), ``known`` the last measurement (None before the first), ``now`` in seconds
    since the epoch. Where nothing changed, the object ``known`` itself is returned.
    """

    @property
    def base(self) -> str:
        """The folder above all mailboxes."""

    @property
    def name(self) -> str:
        """The driver's name in the setting mailstore.driver."""

    def place(self, address: str) -> str:
        """A name for what mailboxes share so that they hang together: their file system, or the service asked."""

    def record(self, address: str) -> str | None:
        """The path of a file that is written with each change of the mailbox; None where there is no such file.

        While that file does not change, neither does the usage, so it can be watched in place of measuring.
        """

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """What an answer to Postfix can afford: at most a stat and one small read. COUNT_DUE where it takes more."""

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """A measurement for an answer to Postfix, after ``probe`` returned COUNT_DUE."""

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """A complete measurement, with the share of Trash, however long it takes."""

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As ``measure``, for accounts on a screen, each second: a slow service may give figures some seconds old."""

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As ``measure``, in a round over all accounts: a slow service may be asked for all of them at once."""

    def folders(self, address: str) -> Folders:
        """The usage of each folder now."""

    def recorded(self, address: str) -> tuple[int, int] | None:
        """Bytes and messages that Dovecot has on record, believed or not; None for drivers without such a record."""

    def recount(self, address: str, limit: int | None) -> str:
        """Recount without doveadm; the method, as in the journal. Raises OSError and MailquotaError."""


Probed = tuple[str, int | None, Measurement | None]  # address, limit, last measurement


@runtime_checkable
class GoesAhead(Protocol):
    """A driver that can be told of the coming probes of a thread, so that it asks for all of them at once."""

    def ahead(self, wanted: Sequence[Probed]) -> None:
        """Begin these probes; this thread calls ``probe`` for each later, or leaves some out."""


def go_ahead(driver: Driver, wanted: Sequence[Probed]) -> None:
    """Tell a driver of the coming probes, if that is of use to it."""
    if wanted and isinstance(driver, GoesAhead):
        driver.ahead(wanted)


class MaildirDriver:
    """Dovecot's quota driver ``maildir``: the maildirsize file, and the folders where Dovecot would not believe it.

    That depends on both limits of an account; ``most_messages`` has the one of messages.
    """

    name = "maildir"

    def __init__(self, store: Mailstore, most_messages: MostMessages = lambda _: None) -> None:
        self._store = store
        self._most = most_messages
        self._mounts = Mounts()
        self.base = store.base

    def place(self, address: str) -> str:
        return self._mounts.point_of(self._store.maildir(address))

    def record(self, address: str) -> str | None:
        return f"{self._store.maildir(address)}/maildirsize"

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        return probe(self._store.maildir(address), limit, known, now, most=self._most(address))

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return count_inbox(self._store, self._store.maildir(address), known)

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return measure(self._store, self._store.maildir(address), limit, known, now, most=self._most(address))

    look = measure
    survey = measure

    def folders(self, address: str) -> Folders:
        try:
            return sum_folders(self._store.maildir(address))
        except OSError as error:
            raise Unmeasurable(reason(error)) from error

    def recorded(self, address: str) -> tuple[int, int] | None:
        return recorded(self._store.maildir(address))

    def recount(self, address: str, limit: int | None) -> str:
        return rewrite(self._store, self._store.maildir(address), limit, self._most(address))
