"""A quota-status that is asked the same: a server of our own, that says what it is told to."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from core.endpoints import ListenAddress
from core.model import Alias
from core.policy.decision import Verdict
from core.policy.resolve import AliasMap
from core.second_opinion import QUEUED, Opinion, opinion_of
from tests.core.enforcing import FITS, FULL, Desk, Open
from tests.core.enforcing import desk as desk  # noqa: PLC0414 - a fixture
from tests.core.loops import until


@pytest.mark.parametrize(
    ("action", "opinion"),
    [
        ("DUNNO", Opinion.TAKES), ("OK", Opinion.TAKES), ("", Opinion.TAKES), ("dunno", Opinion.TAKES),
        ("452 4.2.2 Mailbox is full", Opinion.REFUSES), ("552 5.2.2", Opinion.REFUSES), ("reject no", Opinion.REFUSES),
        ("DEFER_IF_PERMIT Invalid user settings", Opinion.OPEN), ("5000", Opinion.REFUSES), ("250", Opinion.TAKES),
    ],
)  # fmt: skip
def test_opinion_of(action: str, opinion: Opinion) -> None:
    assert opinion_of(action) is opinion


class QuotaStatus:
    """Answers each request with ``action``, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.action = b"action=DUNNO\n\n"
        self.asked: list[bytes] = []
        self.release = asyncio.Event()
        self.release.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\n\n"))
            await self.release.wait()
            writer.write(self.action)
        finally:
            writer.close()

    async def start(self, table: Desk) -> None:
        self.server = await asyncio.start_unix_server(self.answer, self.path)
        table.others.append(self.server)
        address = ListenAddress("unix", path=str(self.path))
        table.enforcer.set_rules(dataclasses.replace(table.enforcer.rules, compare_with=address))


def test_differences_are_recorded(desk: Open) -> None:
    """With what it said and our reason; what both see alike is only counted, and what it leaves open is neither."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        table.add("half", 1000)
        other, second = QuotaStatus(table.folder / "quota-status"), table.enforcer.second
        await other.start(table)
        table.enforcer.router.set_aliases(AliasMap([Alias("info@example.org", "full@example.org")]))
        client = await table.connect()
        assert await client.ask("half@example.org", 10) == FITS
        await until(lambda: second.compared == 1)
        assert b"recipient=half@example.org\n" in other.asked[0]
        assert b"size=10\n" in other.asked[0]
        assert other.asked[0].endswith(b"\n\n")
        assert await client.ask("info@example.org") == FULL
        await until(lambda: second.disagreed == 1)
        (found,) = second.newest
        assert (found.recipient, found.verdict, found.theirs) == ("info@example.org", "over_quota", "DUNNO")
        assert "at or over its limit" in found.why
        other.action = b"action=DEFER_IF_PERMIT Invalid user settings\n\n"
        assert await client.ask("full@example.org") == FULL
        await until(lambda: second.skipped == 1)
        assert (second.compared, second.disagreed) == (2, 1)

    desk(work)


def test_a_difference_that_does_not_last(desk: Open) -> None:
    """A mail that arrived between the two answers."""

    async def work(table: Desk) -> None:
        box = table.add("john", 1000)
        other, second = QuotaStatus(table.folder / "quota-status"), table.enforcer.second
        await other.start(table)
        other.action = b"action=452 4.2.2 Mailbox is full\n\n"
        other.release.clear()
        assert await table.ask("john") == FITS
        await until(lambda: other.asked)
        box.append(4000, 1)
        other.release.set()
        await until(lambda: len(other.asked) == 2)
        await until(lambda: second._task is None)
        assert (second.compared, second.disagreed) == (1, 0)

    desk(work)


@pytest.mark.parametrize("fault", ["missing", "silent", "garbage", "closes", "endless"])
def test_nobody_waits_for_it(
    desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Whatever is wrong with it: our answers go on, the queue stays short, and it is said once."""
    monkeypatch.setattr("core.second_opinion._PATIENCE", 0.01)
    monkeypatch.setattr("core.second_opinion._PAUSE", 0.0)

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        other, second = QuotaStatus(table.folder / "quota-status"), table.enforcer.second
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
        assert len(second._queue) <= QUEUED
        second._queue.clear()
        await until(lambda: second._task is None)
        other.release.set()
        assert second.compared == second.disagreed == 0
        assert second.skipped >= 1
        assert caplog.text.count("does not answer") == 1

    desk(work)


def test_only_decisions_are_compared(desk: Open) -> None:
    """Nothing without an address to ask at, nothing that is not for us to decide, nothing in trouble."""

    async def work(table: Desk) -> None:
        table.add("full", 5000)
        second = table.enforcer.second
        assert await table.ask("full") == FULL
        assert not second._queue
        await QuotaStatus(table.folder / "quota-status").start(table)
        await table.ask("full", state="DATA")
        second.put(b"\nrecipient=full@example.org\n", Verdict.TROUBLE)
        assert not second._queue

    desk(work)
