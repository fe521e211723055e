"""The driver ``sql``: one read for a round, one row for a decision, and a database that is slow or gone."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from mailquota.core.base.errors import DatabaseError, MailquotaError
from mailquota.core.mailboxes import asking
from mailquota.core.mailboxes.measure import Measurement, Unmeasurable
from mailquota.core.mailboxes.sql_driver import FRESH, LOOK, REST_LEAST, USABLE, SqlDriver
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.mailserver.process import wait_until

NOW = 1_800_000_000.0


class Row(NamedTuple):
    address: str
    used: int
    messages: int


class Table:
    """A table in memory."""

    def __init__(self) -> None:
        self.rows = {ADDRESS: Row(ADDRESS, 1000, 2)}
        self.asked: list[str] = []
        self.fault: DatabaseError | None = None
        self.go_on = threading.Event()
        self.go_on.set()

    def everybody(self) -> list[Row]:
        self._ask("everybody")
        return list(self.rows.values())

    def one(self, address: str) -> Row | None:
        self._ask(address)
        return self.rows.get(address)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        assert self.go_on.wait(20)
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def table() -> Table:
    return Table()


class Timed(SqlDriver):
    """The driver, and the time: ``at(now)`` has it go by."""

    def __init__(self, box: Box, table: Table) -> None:
        super().__init__(box.store, table, table, lambda: self.now)
        self.now = NOW

    def at(self, now: float) -> float:
        """Set both clocks."""
        self.now = now
        return now


@pytest.fixture
def driver(tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch) -> Timed:
    monkeypatch.setattr(asking, "WAIT", 20.0)
    return Timed(Box(tmp_path), table)


def decide(driver: Timed, now: float, known: Measurement | None = None, set_back: float = 0.0) -> Measurement:
    """Probe, and count where that is due; ``set_back`` is how far the time of day was set back."""
    wall = driver.at(now) - set_back
    found = driver.probe(ADDRESS, None, known, wall)
    return found if isinstance(found, Measurement) else driver.count(ADDRESS, None, known, wall)


def test_a_decision_looks_up_one_row(driver: Timed, table: Table) -> None:
    known = decide(driver, NOW)
    assert (known.used, known.messages, known.source, known.folders, known.measured_at) == (1000, 2, "sql", None, NOW)
    assert decide(driver, NOW + FRESH, known) is known
    table.rows[ADDRESS] = Row(ADDRESS, 3000, 3)
    assert decide(driver, NOW + FRESH + 1, known).used == 3000
    assert table.asked == [ADDRESS, ADDRESS]


def test_a_round_reads_once(driver: Timed, table: Table) -> None:
    table.rows["jane@example.org"] = Row("jane@example.org", 7, 1)
    known = driver.survey(ADDRESS, None, None, driver.at(NOW))
    assert (known.used, driver.survey("jane@example.org", None, None, driver.at(NOW + 1)).used) == (1000, 7)
    with pytest.raises(Unmeasurable, match="no figure"):
        driver.survey("new@example.org", None, None, driver.at(NOW + 1))
    assert table.asked == ["everybody"]
    del table.rows["jane@example.org"]
    later = NOW + REST_LEAST + 5
    assert driver.survey(ADDRESS, None, known, driver.at(later)).measured_at == later
    with pytest.raises(Unmeasurable):
        driver.survey("jane@example.org", None, None, driver.at(later))


def test_a_row_that_was_looked_up_is_newer_than_a_round(
    driver: Timed, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose rows come in later, though they were read before."""
    read, go_on, everybody = threading.Event(), threading.Event(), table.everybody

    def late() -> list[Row]:
        rows = everybody()
        read.set()
        assert go_on.wait(20)
        return rows

    monkeypatch.setattr(table, "everybody", late)
    in_round = threading.Thread(target=driver.survey, args=(ADDRESS, None, None, NOW))
    in_round.start()
    assert read.wait(20)
    table.rows[ADDRESS] = Row(ADDRESS, 3000, 3)
    known = decide(driver, NOW)
    go_on.set()
    in_round.join(20)
    assert (known.used, decide(driver, NOW, known).used) == (3000, 3000)


def test_a_clock_that_is_set_back_makes_no_figure_young(driver: Timed, table: Table) -> None:
    """The table is read as before; the time of a figure is the time of day when it was read."""
    back, known = 86400.0, decide(driver, NOW)
    table.rows[ADDRESS] = Row(ADDRESS, 2000, 2)
    found = decide(driver, NOW + 100, known, set_back=back)
    assert (found.used, found.measured_at) == (2000, NOW + 100 - back)
    for step, ask in enumerate((driver.look, driver.survey), 2):
        table.rows[ADDRESS] = Row(ADDRESS, 1000 * step + 1, 2)
        now = driver.at(NOW + 100 * step) - step * back
        found = ask(ADDRESS, None, found, now)
        assert (found.used, found.measured_at) == (1000 * step + 1, now)


def test_a_database_that_is_gone(driver: Timed, table: Table) -> None:
    """The last figure is used for ``USABLE`` seconds."""
    known = decide(driver, NOW)
    table.fault = DatabaseError("gone")
    assert decide(driver, NOW + USABLE, known) is known
    assert driver.survey(ADDRESS, None, known, driver.at(NOW + USABLE)) is known
    for ask in (driver.count, driver.survey, driver.measure):
        with pytest.raises(Unmeasurable, match="gone"):
            ask(ADDRESS, None, known, driver.at(NOW + USABLE + 1))
    table.fault = None
    assert decide(driver, NOW + USABLE + 2, known).used == 1000


def test_a_slow_database_makes_answers_older_not_late(
    driver: Timed, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = decide(driver, NOW)
    monkeypatch.setattr(asking, "WAIT", 0.01)
    table.go_on.clear()
    table.rows[ADDRESS] = Row(ADDRESS, 9, 9)
    assert decide(driver, NOW + 10, known) is known
    table.go_on.set()
    assert wait_until(lambda: decide(driver, NOW + 10, known).used == 9, 10)


def test_an_account_without_a_row(driver: Timed, table: Table) -> None:
    known = decide(driver, NOW)
    table.rows.clear()
    with pytest.raises(Unmeasurable, match="no figure"):
        decide(driver, NOW + 10, known)


def test_looks(driver: Timed, table: Table) -> None:
    known = driver.look(ADDRESS, None, None, driver.at(NOW))
    assert driver.look(ADDRESS, None, known, driver.at(NOW + LOOK)) is known
    assert len(table.asked) == 1
    assert driver.look(ADDRESS, None, known, driver.at(NOW + LOOK + 1)).measured_at == NOW + LOOK + 1
    assert driver.measure(ADDRESS, None, known, driver.at(NOW + LOOK + 2)).measured_at == NOW + LOOK + 2
    assert driver.folders(ADDRESS)[0].name == "INBOX"


def test_only_doveadm_recounts(driver: Timed) -> None:
    assert driver.recorded(ADDRESS) is None
    with pytest.raises(MailquotaError, match="doveadm"):
        driver.recount(ADDRESS, None)
