"""What can't be decided: an answer in time all the same, for this mailbox alone, and none that refuses mail."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable

import pytest

import mailquota.core.base.lanes
import mailquota.core.mailboxes.driver
import mailquota.core.policy.answering
import mailquota.core.policy.lookup
from mailquota.core.base.endpoints import parse_listen
from mailquota.core.base.model import Level
from mailquota.core.mailboxes.measure import Measurement, ProbeOutcome, Unmeasurable
from mailquota.core.policy.protocol import Question
from mailquota.core.policy.routes import Route
from tests.core.enforcing import FITS, FULL, NOBODY, NOT_OURS, TROUBLE, Desk, Open, furnish
from tests.core.loops import SteppedLoop, until
from tests.core.policy.clients import request


@pytest.mark.parametrize("fault", ["directory", "no mailstore"])
def test_can_not_be_measured(desk: Open, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer for trouble, counted, said once in the log, shown as unknown; others are answered as ever."""

    async def work(table: Desk) -> None:
        table.add("john", 5000, file=fault != "directory")
        table.add("jane", 5000)
        assert await table.ask("jane") == FULL
        if fault == "directory":
            (table.boxes["john"].file).mkdir()
        else:
            table.boxes["john"].base.rename(table.folder / "unmounted")
        assert [await table.ask("john") for _ in range(3)] == [TROUBLE] * 3
        assert table.metrics.trouble == 3
        assert table.entry("john").level is Level.UNKNOWN
        assert caplog.text.count("john@example.org can't be measured") == 1
        if fault == "directory":
            assert await table.ask("jane") == FULL
            table.boxes["john"].file.rmdir()
            assert await table.ask("john") == FULL
            assert table.entry("john").trouble is None

    desk(work)


@pytest.mark.parametrize("place", ["probe", "count_inbox"])
@pytest.mark.parametrize("error", [ValueError("odd"), Unmeasurable("odd"), OSError(5, "Input/output error")])
def test_an_exception_in_measuring(desk: Open, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception) -> None:
    """Whatever goes wrong with a mailbox is trouble for it alone, and a figure that can't be had is not kept."""

    def failing(*args: object, **more: object) -> object:
        if any("john" in str(arg) for arg in args):
            raise error
        return original(*args, **more)

    original: Callable[..., object] = getattr(mailquota.core.mailboxes.driver, place)

    async def work(table: Desk) -> None:
        table.add("john", 5000, file=False)
        table.add("jane", 5000, file=False)
        assert await table.ask("john") == FULL
        table.boxes["john"].put(1, "new")
        with monkeypatch.context() as patch:
            patch.setattr(f"mailquota.core.mailboxes.driver.{place}", failing)
            assert [await table.ask("john"), await table.ask("jane")] == [TROUBLE, FULL]
        assert table.metrics.trouble == 1
        assert table.entry("john").known is None
        assert table.entry("john").trouble == str(error)
        assert await table.ask("john") == FULL

    desk(work)


def test_a_fault_of_ours(desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Is logged and gets the answer for trouble, on a connection that goes on."""

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        client = await table.connect()
        with monkeypatch.context() as patch:
            patch.setattr("mailquota.core.policy.routes.address_of", broken)
            assert await client.ask("john@example.org") == TROUBLE
        assert await client.ask("john@example.org") == FULL
        assert "a policy request could not be decided" in caplog.text
        assert (table.metrics.requests, table.metrics.trouble) == (2, 1)

    desk(work)


@pytest.mark.parametrize(
    "place", ["mailquota.core.policy.log.DecisionLog.add", "mailquota.core.policy.compare.QuotaStatusComparison.put"]
)
@pytest.mark.parametrize("looked", [True, False])
def test_a_fault_in_recording(desk: Open, monkeypatch: pytest.MonkeyPatch, place: str, looked: bool) -> None:
    """Whether the answer was waited for or not: it is one for trouble, and the connection goes on."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        table.change(compare_with=parse_listen("inet:127.0.0.1:9"))
        client = await table.connect()
        if not looked:
            assert await client.ask("john@example.org") == FULL
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            assert await client.ask("john@example.org") == TROUBLE
            if looked:
                patch.setattr("mailquota.core.policy.answering.Enforcer._find", broken)
                assert await client.ask("nobody@example.org") == TROUBLE
        table.entry("john").fresh_until = 0.0
        assert await client.ask("john@example.org") == FULL
        assert table.metrics.trouble == 1 + looked

    desk(work)


def test_early_requests_are_answered_each_for_itself(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails does not keep others from being answered."""

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        clients = [await table.connect() for _ in range(3)]
        for client, name in zip(clients, ("john", "odd", "john"), strict=True):
            client.send(request(f"{name}@example.org"))
        await until(lambda: len(table.enforcer._early or ()) == 3)
        original = table.enforcer.router.find

        def find(asked: Question, *, late: bool) -> Route:
            if asked.recipient.startswith(b"odd"):
                raise ZeroDivisionError
            return original(asked, late=late)

        monkeypatch.setattr(table.enforcer.router, "find", find)
        table.enforcer.accounts_read()
        assert [await client.answer() for client in clients] == [FULL, TROUBLE, FULL]

    desk(work, read=False)


class Disk:
    """A file system on which the mailbox of john hangs, until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch, place: str) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()
        self._original: Callable[..., object] = getattr(mailquota.core.mailboxes.driver, place)
        patch.setattr(f"mailquota.core.mailboxes.driver.{place}", self._look)

    def _look(self, *args: object, **more: object) -> object:
        if any("/john/" in str(arg) for arg in args) and not self.released.is_set():
            self.reached.set()
            self.released.wait(20)
        return self._original(*args, **more)


@pytest.mark.parametrize("place", ["probe", "count_inbox"])
def test_a_disk_that_hangs(desk: Open, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Trouble for its mailboxes within the deadline; others get their answers, also those behind it in the thread."""
    monkeypatch.setattr("mailquota.core.policy.lookup.PROBE_PATIENCE", 60.0)
    monkeypatch.setattr("mailquota.core.policy.lookup.COUNT_PATIENCE", 60.0)

    async def work(table: Desk) -> None:
        disk = Disk(monkeypatch, place)
        for name in ("john", "jane", "jack"):
            table.add(name, 5000, file=False)
        try:
            john, jane, jack, again = [await table.connect() for _ in range(4)]
            for client, name in ((john, "john"), (jane, "jane"), (jack, "jack")):
                client.send(request(f"{name}@example.org"))
            await until(disk.reached.is_set)
            await until(lambda: table.enforcer.lookup.hanging == 1, step=60.0)
            assert [await jane.answer(), await jack.answer()] == [FULL, FULL]
            assert await john.answer() == TROUBLE
            assert await again.ask("john@example.org") == TROUBLE
            assert await jane.ask("jane@example.org") == FULL
            assert table.metrics.trouble == 2
        finally:
            disk.released.set()
        await until(lambda: table.enforcer.lookup.hanging == 0)
        assert await john.ask("john@example.org") == FULL

    desk(work, "stepped")


def test_a_deadline_passes(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble then, though the work goes on; what it finds is kept for the next request."""
    monkeypatch.setattr("mailquota.core.policy.answering.DEADLINE", 60.0)

    async def work(table: Desk) -> None:
        disk = Disk(monkeypatch, "probe")
        table.add("john", 5000)
        client = await table.connect()
        client.send(request("john@example.org"), request("nobody@example.org"))
        await until(disk.reached.is_set)
        assert table.metrics.requests == 0
        await until(lambda: table.metrics.trouble, step=30.0)
        assert [await client.answer(), await client.answer()] == [TROUBLE, NOBODY]
        disk.released.set()
        await until(lambda: table.entry("john").used == 5000)
        assert await client.ask("john@example.org") == FULL
        assert table.metrics.requests == 3

    desk(work, "stepped")


def test_no_disk_is_asked_for_who_is_never_refused(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlimited, exempt, unknown and other states are answered while every look fails."""

    def failing(*_: object, **__: object) -> Measurement | ProbeOutcome:
        raise OSError(5, "Input/output error")

    async def work(table: Desk) -> None:
        furnish(table)
        monkeypatch.setattr("mailquota.core.mailboxes.driver.probe", failing)
        names = ("free", "postmaster", "nobody", "half")
        assert [await table.ask(name) for name in names] == [FITS, FITS, NOBODY, TROUBLE]
        assert await table.ask("half", state="DATA") == NOT_OURS

    desk(work)


def test_an_account_that_goes_while_it_is_asked_about(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is still answered, and does not come back into the table."""

    async def work(table: Desk) -> None:
        disk = Disk(monkeypatch, "probe")
        table.add("john", 5000)
        table.ledger.take_changes()
        client = await table.connect()
        client.send(request("john@example.org"))
        await until(disk.reached.is_set)
        table.ledger.set_accounts([])
        disk.released.set()
        assert await client.answer() == FULL
        assert table.ledger.take_changes() == ([], ["john@example.org"])

    desk(work)


def test_the_constants_fit_together() -> None:
    """A hanging item is given up before the deadline of those behind it, and no answer takes longer than 0.2 s."""
    tick = mailquota.core.base.lanes._TICK
    looks = 1 + math.ceil(mailquota.core.policy.lookup.PROBE_PATIENCE / tick)  # the first one only sees how far it got
    assert looks * tick < mailquota.core.policy.answering.DEADLINE
    assert mailquota.core.policy.answering.DEADLINE + mailquota.core.policy.answering._TICK <= 0.2
    assert mailquota.core.policy.answering.START_DEADLINE == 2.0


def test_before_the_accounts_are_read(desk: Open) -> None:
    """Requests wait and then get right answers, in order."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        client, other = await table.connect(), await table.connect()
        client.send(request("full@example.org"), request("nobody@example.org"), request("full@example.org", 0, "DATA"))
        other.send(request("nobody@example.org"))
        await until(lambda: len(table.server.connections) == 2)
        await until(lambda: all(not connection.idle for connection in table.server.connections))
        assert table.metrics.requests == 0
        table.enforcer.accounts_read()
        assert [await client.answer() for _ in range(3)] == [FULL, NOBODY, NOT_OURS]
        assert await other.answer() == NOBODY

    desk(work, read=False)


def test_accounts_that_are_not_read(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two seconds it is trouble, for later requests at once; when they are read after all, all is well."""
    monkeypatch.setattr("mailquota.core.policy.answering.START_DEADLINE", 2000.0)

    async def work(table: Desk) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        table.add("full", 5000)
        client = await table.connect()
        client.send(request("full@example.org"), request("full@example.org"))
        await until(lambda: any(not connection.idle for connection in table.server.connections))
        loop.ahead += 1900.0
        await asyncio.sleep(0.001)
        assert table.metrics.requests == 0
        await until(lambda: table.metrics.requests == 2, step=100.0)
        assert [await client.answer(), await client.answer()] == [TROUBLE, TROUBLE]
        assert await client.ask("full@example.org") == TROUBLE
        assert table.metrics.trouble == 3
        table.enforcer.accounts_read()
        assert await client.ask("full@example.org") == FULL
        assert table.metrics.requests == 4

    desk(work, "stepped", read=False)
