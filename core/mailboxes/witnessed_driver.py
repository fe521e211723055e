"""The fast driver of the settings, and Dovecot itself for the accounts of which it was found to be wrong.

Which accounts those are, core/mailboxes/witness.py finds out. Where nearly all differ, ``all_by_dovecot`` is set and
every account goes by Dovecot. Called from several threads at once: each call looks once at which driver it is to use.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..servers.dovecot.doveadm import DoveadmFigures
from .dovecot_driver import DoveadmDriver, Figure
from .driver import Driver, Probed, go_ahead
from .folders import Folders
from .measure import Measurement, ProbeOutcome

_MANY = 200  # accounts by Dovecot, from which on a round asks for all accounts at once


class WitnessedDriver:
    """A Driver that is ``fast``, and ``dovecot``, which asks ``tool``, for some accounts or for all."""

    def __init__(self, fast: Driver, dovecot: DoveadmDriver, tool: DoveadmFigures) -> None:
        self.tool = tool
        self.fast = fast
        self.dovecot = dovecot
        self._by_dovecot: set[str] = set()
        self._all = False

    @property
    def name(self) -> str:
        """That of the driver by which most accounts go; the fast one may be exchanged (core/mailboxes/following.py)."""
        return self.dovecot.name if self._all else self.fast.name

    @property
    def base(self) -> str:
        """The folder above all mailboxes."""
        return self.fast.base

    # ---- for the witness

    @property
    def is_only_dovecot(self) -> bool:
        """Whether the fast driver asks Dovecot itself, so that there is nothing to compare."""
        return self.fast.name == self.dovecot.name

    @property
    def all_by_dovecot(self) -> bool:
        """Whether every account goes by Dovecot, as nearly all differed."""
        return self._all

    def set_all(self, *, by_dovecot: bool) -> None:
        """Let every account go by Dovecot, or only those that differ."""
        self._all = by_dovecot

    def leave_all(self) -> None:
        """Let every account go by the fast driver, which is another one now."""
        self._all = False
        self._by_dovecot.clear()

    def follow(self, address: str, figure: Figure) -> None:
        """Let this account go by Dovecot from now on, with the figure that it told last."""
        self.dovecot.keep(address, figure)
        self._by_dovecot.add(address)

    def leave(self, address: str) -> None:
        """Let this account go by the fast driver again."""
        self._by_dovecot.discard(address)

    def is_by_dovecot(self, address: str) -> bool:
        """Whether Dovecot is asked about this account."""
        return self._all or address in self._by_dovecot

    def _of(self, address: str) -> Driver:
        by_dovecot = (self._all or address in self._by_dovecot) and not self.is_only_dovecot
        return self.dovecot if by_dovecot else self.fast

    # ---- as a driver

    def place(self, address: str) -> str:
        return self._of(address).place(address)

    def record(self, address: str) -> str | None:
        return self._of(address).record(address)

    def ahead(self, wanted: Sequence[Probed]) -> None:
        fast = self.fast
        mine = [
            (address, limit, self._for(fast, known)) for address, limit, known in wanted if self._of(address) is fast
        ]
        go_ahead(fast, mine)

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        driver = self._of(address)
        return driver.probe(address, limit, self._for(driver, known), now)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        driver = self._of(address)
        return driver.count(address, limit, self._for(driver, known), now)

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        driver = self._of(address)
        return driver.measure(address, limit, self._for(driver, known), now)

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        driver = self._of(address)
        return driver.look(address, limit, self._for(driver, known), now)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        driver = self._of(address)
        if driver is self.dovecot and not (self._all or len(self._by_dovecot) > _MANY):
            return self.dovecot.survey_alone(address, limit, known, now)
        return driver.survey(address, limit, self._for(driver, known), now)

    def _for(self, driver: Driver, known: Measurement | None) -> Measurement | None:
        """The last measurement, unless it is Dovecot's and the account goes by the fast driver again."""
        if known is not None and known.source == "doveadm" and driver.name != self.dovecot.name:
            return None
        return known

    def folders(self, address: str) -> Folders:
        return self._of(address).folders(address)

    def recorded(self, address: str) -> tuple[int, int] | None:
        return self._of(address).recorded(address)

    def recount(self, address: str, limit: int | None) -> str:
        return self._of(address).recount(address, limit)
