"""A driver that believes a missing or smaller mailbox only where its file system is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..base.errors import MailquotaError
from .driver import Driver, Probed, go_ahead
from .folders import Folders
from .mailstore_guard import MailstoreGuard, is_absent
from .measure import MailstoreAbsent, Measurement, ProbeOutcome, Unmeasurable

Measure = Callable[[str, int | None, Measurement | None, float], Measurement]


class GuardedDriver:
    """Another driver, whose measurements the guard hears of and may refuse. See core/mailboxes/driver.py."""

    def __init__(self, driver: Driver, guard: MailstoreGuard) -> None:
        self.inner = driver
        self.place = driver.place
        self.record = driver.record
        self.recorded = driver.recorded
        self._guard = guard

    @property
    def name(self) -> str:
        """Of the driver, which may change: see core/mailboxes/witnessed_driver.py."""
        return self.inner.name

    @property
    def base(self) -> str:
        """The folder above all mailboxes."""
        return self.inner.base

    def ahead(self, wanted: Sequence[Probed]) -> None:
        """As the driver."""
        go_ahead(self.inner, wanted)

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        """As the driver. Raises Unmeasurable also where the mailbox's file system is not there; so do all others."""
        self._guard.refuse_lost(address)
        found = self.inner.probe(address, limit, known, now)
        return self._checked(address, known, found) if isinstance(found, Measurement) else found

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver."""
        return self._asked(self.inner.count, address, limit, known, now)

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver."""
        return self._asked(self.inner.measure, address, limit, known, now)

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver."""
        return self._asked(self.inner.look, address, limit, known, now)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        """As the driver."""
        return self._asked(self.inner.survey, address, limit, known, now)

    def folders(self, address: str) -> Folders:
        """As the driver."""
        self._guard.refuse_lost(address)
        return self.inner.folders(address)

    def recount(self, address: str, limit: int | None) -> str:
        """As the driver."""
        if reason := self._guard.reason(address):
            raise MailquotaError(reason)
        return self.inner.recount(address, limit)

    def _asked(
        self, work: Measure, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement:
        if self._guard.lost or self._guard.unseen:
            self._guard.refuse_lost(address)
        try:
            found = work(address, limit, known, now)
        except MailstoreAbsent as error:
            raise Unmeasurable(self._guard.missing(address) or str(error)) from error
        return found if found is known and found.messages else self._checked(address, known, found)

    def _checked(self, address: str, known: Measurement | None, found: Measurement) -> Measurement:
        messages, reason = found.messages, ""
        if known is not None and messages < known.messages:
            reason = self._guard.confirm(address)
        if found.measured_at is not None and self._guard.asked_before(address, found.measured_at):
            reason = "its mailstore is back, and its usage was not asked for since"
        if not reason and not messages and found.source != "maildirsize" and is_absent(found):
            reason = self._guard.missing(address)
        if reason:
            raise Unmeasurable(reason)
        if messages:
            self._guard.saw(address, messages)
        return found
