"""A quota-status that is asked the same: a server of our own, that says what it is told to."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from mailquota.core.base import restarts
from mailquota.core.base.endpoints import ListenAddress
from mailquota.core.base.model import Alias
from mailquota.core.control.results import Explanation
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.compare import QUEUED, Effect, effect_of
from mailquota.core.policy.decision import Verdict
from tests.core.enforcing import FITS, FULL, Desk, Open
from tests.core.enforcing import desk as desk  # noqa: PLC0414 - a fixture
from tests.core.loops import until
from tests.core.policy.clients import request


@pytest.mark.parametrize(
    ("action", "opinion"),
    [
        ("DUNNO", Effect.ACCEPTS), ("OK", Effect.ACCEPTS), ("", Effect.ACCEPTS), ("dunno", Effect.ACCEPTS),
        ("452 4.2.2 Mailbox is full", Effect.REFUSES), ("552 5.2.2", Effect.REFUSES), ("reject no", Effect.REFUSES),
        ("DEFER_IF_PERMIT Invalid user settings", Effect.DEFERS), ("5000", Effect.REFUSES), ("250", Effect.ACCEPTS),
    ],
)  # fmt: skip
def test_opinion_of(action: str, opinion: Effect) -> None:
    assert effect_of(action) is opinion


class QuotaStatus:
    """Answers each request with ``action``, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.action = b"action=DUNNO\n\n"
        self.then: bytes | None = None  # what it says from the second time on, if that is something else
        self.asked: list[bytes] = []
        self.release = asyncio.Event()
        self.release.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\n\n"))
            await self.release.wait()
            writer.write(self.action)
            self.action = self.then or self.action
        finally:
            writer.close()

    async def start(self, table: Desk) -> None:
        self.server = await asyncio.start_unix_server(self.answer, self.path)
        table.others.append(self.server)
        address = ListenAddress("unix", path=str(self.path))
        table.enforcer.set_rules(dataclasses.replace(table.enforcer.rules, compare_with=address))


def test_differences_are_recorded(desk: Open) -> None:
    """With its action and the reason here; equal answers are only counted, and deferred ones are skipped."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        table.add("half", 1000)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        await other.start(table)
        table.enforcer.router.set_aliases(AliasMap([Alias("info@example.org", "full@example.org")]))
        client = await table.connect()
        assert await client.ask("half@example.org", 10) == FITS
        await until(lambda: comparison.compared == 1)
        assert b"recipient=half@example.org\n" in other.asked[0]
        assert b"size=10\n" in other.asked[0]
        assert other.asked[0].endswith(b"\n\n")
        assert await client.ask("info@example.org") == FULL
        await until(lambda: comparison.disagreed == 1)
        (found,) = comparison.newest
        assert (found.recipient, found.verdict, found.theirs) == ("info@example.org", "over_quota", "DUNNO")
        assert found.why.startswith("An alias of full@example.org. ")
        assert "at or over its limit" in found.why
        other.action = b"action=DEFER_IF_PERMIT Invalid user settings\n\n"
        assert await client.ask("full@example.org") == FULL
        await until(lambda: comparison.skipped == 1)
        assert (comparison.compared, comparison.disagreed) == (2, 1)

    desk(work)


def test_a_difference_that_does_not_last(desk: Open) -> None:
    """A mail that arrived between the two answers."""

    async def work(table: Desk) -> None:
        box = table.add("john", 1000)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        await other.start(table)
        other.action = b"action=452 4.2.2 Mailbox is full\n\n"
        other.release.clear()
        assert await table.ask("john") == FITS
        await until(lambda: other.asked)
        box.append(4000, 1)
        other.release.set()
        await until(lambda: len(other.asked) == 2)
        await until(lambda: comparison._task is None)
        assert (comparison.compared, comparison.disagreed) == (1, 0)

    desk(work)


def test_a_fault_of_ours_ends_no_comparing(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and the next request takes along what waits."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        await other.start(table)
        before, explain = restarts.counts().get("comparing", 0), comparison._explain

        async def fall_over(*_args: object) -> Explanation:
            monkeypatch.setattr(comparison, "_explain", explain)
            raise ZeroDivisionError

        monkeypatch.setattr(comparison, "_explain", fall_over)
        client = await table.connect()
        assert await client.ask("full@example.org") == FULL
        await until(lambda: restarts.counts().get("comparing", 0) == before + 1)
        assert await client.ask("full@example.org") == FULL
        await until(lambda: comparison.disagreed == 1)

    desk(work)


@pytest.mark.parametrize("fault", ["missing", "silent", "garbage", "closes", "endless"])
def test_nobody_waits_for_it(
    desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Whatever is wrong with it: our answers go on, the queue stays short, and it is said once."""
    monkeypatch.setattr("mailquota.core.policy.compare._PATIENCE", 0.01)
    monkeypatch.setattr("mailquota.core.policy.compare._PAUSE", 0.0)

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        await other.start(table)
        if fault == "missing":
            other.server.close()
            other.path.unlink(missing_ok=True)
        elif fault == "silent":
            other.release.clear()
        else:
            other.action = {"garbage": b"hello\n\n", "closes": b"", "endless": b"action=" + b"x" * 100_000}[fault]
        client = await table.connect()
        count = QUEUED + 50
        assert [await client.ask("full@example.org") for _ in range(count)] == [FULL] * count
        assert len(comparison._queue) <= QUEUED
        comparison._queue.clear()
        await until(lambda: comparison._task is None)
        other.release.set()
        assert comparison.compared == comparison.disagreed == 0
        assert comparison.skipped >= 1
        assert caplog.text.count("does not answer") == 1
        assert comparison.problem.startswith(f"unix:{other.path} does not answer: ")
        comparison.ask_at(None)
        assert comparison.problem == ""

    desk(work)


@pytest.mark.parametrize("they", ["refuse", "refuse at first"])
def test_its_own_reservation_does_not_count(desk: Open, they: str) -> None:
    """A mail accepted here and refused there is recorded, unless quota-status accepts it when asked again."""

    async def work(table: Desk) -> None:
        table.add("john", 1000)
        table.change(reserve_seconds=30.0)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        other.then = other.action
        other.action = b"action=452 4.2.2 Mailbox is full\n\n"
        if they == "refuse":
            other.then = other.action
        await other.start(table)
        client = await table.connect()
        client.send(request("john@example.org", 3000, instance="m1"))
        assert await client.answer() == FITS
        await until(lambda: comparison.compared == 1 and comparison._task is None)
        assert len(other.asked) == 2
        assert [(found.verdict, found.theirs[:3]) for found in comparison.newest] == (
            [("accept", "452")] if they == "refuse" else []
        )
        assert all("on their way" not in found.why and "not arrived" not in found.why for found in comparison.newest)
        client.send(request("john@example.org", 3000, instance="m2"))
        assert await client.answer() == FULL  # asking again has not touched what is held

    desk(work)


def test_reservations_of_other_mails_count(desk: Open) -> None:
    """quota-status has no reservations, so it accepts what is refused here, and the reason names them."""

    async def work(table: Desk) -> None:
        table.add("john", 1000)
        table.change(reserve_seconds=30.0)
        comparison = table.enforcer.comparison
        await QuotaStatus(table.folder / "quota-status").start(table)
        client = await table.connect()
        client.send(request("john@example.org", 3000, instance="m1"), request("john@example.org", 3000, instance="m2"))
        assert [await client.answer(), await client.answer()] == [FITS, FULL]
        await until(lambda: comparison.disagreed == 1)
        assert "That counts 2.9 KiB (3,000 bytes) of accepted mails" in comparison.newest[0].why

    desk(work)


def test_only_decisions_are_compared(desk: Open) -> None:
    """Nothing without an address, nothing that either side does not decide, no trouble."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        other, comparison = QuotaStatus(table.folder / "quota-status"), table.enforcer.comparison
        other.release.clear()  # whoever asks it is still at it at the end
        assert await table.ask("full") == FULL
        assert comparison._task is None
        await other.start(table)
        await table.ask("full", state="DATA")
        assert await table.ask("full", state="END-OF-MESSAGE") == FULL
        assert await table.ask("full", 10, state="end-of-message") == FULL
        comparison.put(b"\nrecipient=full@example.org\n", Verdict.TROUBLE)
        assert comparison._task is None
        assert await table.ask("full", state=None) == FULL
        assert comparison._task is not None

    desk(work)
