"""How use is found out: one driver a way in which Dovecot may keep it.

A driver is called from several threads at once, for one mailbox by several of them, and gets what is known of the
mailbox with each call. Whatever it raises for a mailbox that it can't measure is ``Unmeasurable``.
"""

from __future__ import annotations

from typing import Protocol

from mailquota.core.base.mounts import Mounts
from mailquota.core.mailboxes.folders import Folders, sum_folders
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import (
    Measurement,
    ProbeOutcome,
    Unmeasurable,
    count_inbox,
    measure,
    probe,
    reason,
    recorded,
)
from mailquota.core.mailboxes.recount import rewrite


class Driver(Protocol):
    """Measures mailboxes. ``limit`` is in bytes (None unlimited), ``now`` in seconds since the epoch."""

    name: str  # as in the setting mailstore.driver
    base: str  # the folder that all mailboxes are below

    def place(self, address: str) -> str:
        """What its mailbox shares with others so that they hang together: its file system, or the service asked."""

    def record(self, address: str) -> str | None:
        """The file that is written with each change of the mailbox, so that no change of it means no change at all."""

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """What a decision can afford: no more than a stat and one small read."""

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """A figure for a decision, where ``probe`` said that it takes more."""

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """Everything about an account as it is now, Trash included."""

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The same each second, for accounts on a screen: it may be some seconds old."""

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """The same in a round over all accounts, where one question for all may do instead of one each."""

    def folders(self, address: str) -> Folders:
        """What each folder holds now."""

    def recorded(self, address: str) -> tuple[int, int] | None:
        """Bytes and messages as Dovecot has them on record, believed or not; None where that is what is known."""

    def recount(self, address: str, limit: int | None) -> str:
        """Have the figure made anew without doveadm; the method. Raises OSError and MailquotaError."""


class MaildirDriver:
    """Dovecot's quota driver ``maildir``: the maildirsize file, and the folders where Dovecot would not believe it."""

    name = "maildir"

    def __init__(self, store: Mailstore) -> None:
        self._store = store
        self._mounts = Mounts()
        self.base = store.base

    def place(self, address: str) -> str:
        return self._mounts.point_of(self._store.maildir(address))

    def record(self, address: str) -> str | None:
        return f"{self._store.maildir(address)}/maildirsize"

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        return probe(self._store.maildir(address), limit, known, now)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return count_inbox(self._store, self._store.maildir(address), known)

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return measure(self._store, self._store.maildir(address), limit, known, now)

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
        return rewrite(self._store, self._store.maildir(address), limit)
