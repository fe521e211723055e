"""A driver that is exchanged while the engine runs, as Dovecot may count in another way after a change of its settings.

Measurements of the driver before tell the new one nothing, and could mislead it. So an exchange has two steps: from
``exchange`` on no last measurement is passed on, and what the old driver still measures is thrown away. Once all that
was on its way has come, the ledger forgets all usage, and ``settled`` ends that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from .driver import Driver, Probed, go_ahead
from .folders import Folders
from .measure import Measurement, ProbeOutcome

_Result = TypeVar("_Result")


class FollowingDriver:
    """Measures by the driver that is in force."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._settling = False

    @property
    def name(self) -> str:
        """That of the driver in force."""
        return self._driver.name

    @property
    def base(self) -> str:
        """The folder above all mailboxes, which is the same for all drivers."""
        return self._driver.base

    def exchange(self, driver: Driver) -> None:
        """Measure by ``driver`` from now on."""
        self._settling, self._driver = True, driver

    def settled(self) -> None:
        """The ledger has no measurement of the driver before any more."""
        self._settling = False

    def place(self, address: str) -> str:
        return self._driver.place(address)

    def record(self, address: str) -> str | None:
        return self._driver.record(address)

    def ahead(self, wanted: Sequence[Probed]) -> None:
        settling = self._settling
        go_ahead(self._driver, [(address, limit, None if settling else known) for address, limit, known in wanted])

    def probe(
        self, address: str, limit: int | None, known: Measurement | None, now: float
    ) -> Measurement | ProbeOutcome:
        return self._ask(lambda driver, known: driver.probe(address, limit, known, now), known)

    def count(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return self._ask(lambda driver, known: driver.count(address, limit, known, now), known)

    def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return self._ask(lambda driver, known: driver.measure(address, limit, known, now), known)

    def look(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return self._ask(lambda driver, known: driver.look(address, limit, known, now), known)

    def survey(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
        return self._ask(lambda driver, known: driver.survey(address, limit, known, now), known)

    def folders(self, address: str) -> Folders:
        return self._driver.folders(address)

    def recorded(self, address: str) -> tuple[int, int] | None:
        return self._driver.recorded(address)

    def recount(self, address: str, limit: int | None) -> str:
        return self._driver.recount(address, limit)

    def _ask(self, ask: Callable[[Driver, Measurement | None], _Result], known: Measurement | None) -> _Result:
        """Ask the driver in force; once more where it was exchanged meanwhile."""
        while True:
            driver = self._driver
            found = ask(driver, None if self._settling else known)
            if driver is self._driver:
                return found
