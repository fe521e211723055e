"""What subscribers are told adds up to the ledger, whatever happens between the parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailquota.core.base.model import Account, AccountRow
from mailquota.core.control.framing import EventReader, encode
from mailquota.core.control.messages import Decisions, Delta, Event, Head, Snapshot
from mailquota.core.control.results import DatabaseState, DiskState, Status
from mailquota.core.engine.publishing import Publisher
from mailquota.core.mailboxes.folders import DirectorySum, FolderSum
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.policy.decision import Verdict
from mailquota.core.policy.log import DecisionLog
from mailquota.core.servers.dovecot.folder_names import TrashNames

STATUS = Status(
    mode="enforce", uptime_seconds=1.0, requests=0, refused=0, would_refuse=0, trouble=0, malformed=0,
    answers_per_second=0.0, p50_us=None, p99_us=None, connections=0, accounts=0, over=0, near=0,
    database=DatabaseState("ok", 0.0), disk=DiskState("/", None, None, None), rss_bytes=1, cpu_percent=0.0, listen=[],
)  # fmt: skip


class Mirror:
    """A subscriber that applies all events to its rows, as a console does."""

    def __init__(self) -> None:
        self.subscribed = False
        self.decisions_seen = 0
        self.unread = 0
        self.rows: dict[str, AccountRow] = {}
        self.whole = False
        self.decisions: list[Decisions] = []
        self.heads = 0
        self._reader = EventReader()

    def send(self, event: Event) -> None:
        self.send_frame(encode(event))

    def send_frame(self, frame: bytes) -> None:
        for event in self._reader.feed(frame):
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Snapshot):
            if event.first:
                self.rows.clear()
            self.rows.update({row.address: row for row in event.rows})
            self.whole = event.last
        elif isinstance(event, Delta):
            for address in event.removed:
                self.rows.pop(address, None)
            self.rows.update({row.address: row for row in event.rows})
        elif isinstance(event, Decisions):
            self.decisions.append(event)
        elif isinstance(event, Head):
            self.heads += 1


class World:
    """A ledger and its publisher, with mirrors for consoles."""

    def __init__(self) -> None:
        self.ledger = Ledger(TrashNames(["Trash"]))
        self.decisions = DecisionLog()
        self.mirrors: list[Mirror] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.publisher = Publisher(cast("Any", self), self.ledger, self.decisions, lambda: STATUS)

    @property
    def subscribers(self) -> list[Mirror]:
        """As the control server has them."""
        return [mirror for mirror in self.mirrors if mirror.subscribed]

    def subscribe(self) -> Mirror:
        mirror = Mirror()
        self.mirrors.append(mirror)
        self._tasks.append(asyncio.ensure_future(self.publisher.subscribe(cast("Any", mirror))))
        return mirror

    def accounts(self, limits: dict[int, int]) -> None:
        self.ledger.set_accounts(Account(f"u{number}@x", limit or None) for number, limit in limits.items())

    def measure(self, number: int, used: int) -> None:
        entry = self.ledger.get(f"u{number}@x")
        if entry is not None:
            trash = FolderSum("Trash", DirectorySum(1, 0, 0), DirectorySum(1, used, 1))
            self.ledger.set_known(entry, entry.known, Measurement(used, 1, "scan", 0, None, (trash,)), float(used))

    def lose(self, number: int) -> None:
        entry = self.ledger.get(f"u{number}@x")
        if entry is not None:
            self.ledger.set_trouble(entry, "gone")

    def refuse(self, number: int) -> None:
        entry = self.ledger.get(f"u{number}@x")
        self.decisions.add(Verdict.OVER_QUOTA, b"\nrecipient=x\n", (), 1)
        if entry is not None:
            entry.refused_at = float(self.decisions.count)
            self.ledger.touch(entry)

    def decide(self, number: int) -> None:
        self.decisions.add(Verdict.ACCEPT, f"\nrecipient=r{number}\n".encode(), (), 1)

    async def finish(self) -> None:
        await asyncio.gather(*self._tasks)
        self.publisher.publish()

    def truth(self) -> dict[str, AccountRow]:
        return {address: self.ledger.row(entry) for address, entry in self.ledger.entries.items()}


@contextmanager
def small_parts() -> Iterator[None]:
    """Snapshots and deltas in parts of two rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mailquota.core.engine.publishing.SNAPSHOT_PART", 2)
        yield


numbers = st.integers(0, 7)
steps = st.one_of(
    st.tuples(st.just("accounts"), st.dictionaries(numbers, st.sampled_from([0, 1000, 2000]), max_size=8)),
    st.tuples(st.just("measure"), numbers, st.integers(0, 3000)),
    st.tuples(st.just("lose"), numbers),
    st.tuples(st.just("refuse"), numbers),
    st.tuples(st.sampled_from(["subscribe", "publish", "turn"])),
)


async def carry_out(script: list[tuple[Any, ...]]) -> World:
    world = World()
    world.accounts(dict.fromkeys(range(8), 1000))
    for name, *arguments in script:
        if name == "turn":
            await asyncio.sleep(0)
        elif name == "publish":
            world.publisher.publish()
        else:
            getattr(world, name)(*arguments)
    await world.finish()
    return world


@given(st.lists(steps, max_size=60))
@example([("subscribe",), ("turn",), ("accounts", {0: 1000}), ("publish",), ("turn",)])
def test_every_subscriber_ends_with_the_ledger(script: list[tuple[Any, ...]]) -> None:
    """Accounts come, go, fill and vanish while parts are on their way, and consoles join at any time."""
    with small_parts():
        world = asyncio.run(carry_out(script))
    for mirror in world.mirrors:
        assert mirror.whole
        assert mirror.rows == world.truth()


def test_without_subscribers_changes_are_forgotten() -> None:
    """So that memory does not grow."""

    async def main() -> World:
        world = World()
        world.accounts({1: 1000, 2: 0})
        world.publisher.publish()
        return world

    assert asyncio.run(main()).ledger.take_changes() == ([], [])


def test_under_load_the_newest_decisions_are_told_and_the_rest_counted() -> None:
    async def main() -> Mirror:
        world = World()
        mirror = world.subscribe()
        await asyncio.sleep(0)
        for number in range(100):
            world.refuse(number)
        await world.finish()
        world.publisher.publish()
        return mirror

    (told,) = asyncio.run(main()).decisions
    assert (len(told.rows), told.skipped) == (25, 75)


def test_a_new_subscriber_sees_the_last_decisions() -> None:
    async def main() -> Mirror:
        world = World()
        for number in range(3):
            world.refuse(number)
        mirror = world.subscribe()
        await world.finish()
        return mirror

    assert [len(told.rows) for told in asyncio.run(main()).decisions] == [3]


def test_the_backlog_comes_first_and_nothing_twice() -> None:
    """Decisions of the meantime follow it, in their order."""

    async def main() -> Mirror:
        world = World()
        for number in range(120):
            world.decide(number)
        mirror = world.subscribe()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in range(120, 130):
            world.decide(number)
        world.publisher.publish()
        await world.finish()
        return mirror

    told = asyncio.run(main()).decisions
    assert [event.backlog for event in told] == [True, True, True, False]
    assert [row.recipient for event in told for row in event.rows] == [f"r{number}" for number in range(130)]
    assert sum(event.skipped for event in told) == 0


def test_a_slow_reader_holds_its_own_snapshot_and_nothing_else() -> None:
    """The next part waits until the ones before are read; deltas go to others meanwhile."""

    async def main() -> tuple[Mirror, Mirror]:
        world = World()
        world.accounts(dict.fromkeys(range(6), 1000))
        slow, quick = world.subscribe(), world.subscribe()
        slow.unread = 100 * 1024 * 1024
        for _ in range(100):
            await asyncio.sleep(0)
        assert quick.whole
        assert len(slow.rows) == 2
        world.measure(5, 500)
        world.publisher.publish()
        assert quick.rows["u5@x"].used_bytes == 500
        slow.unread = 0
        await world.finish()
        return slow, quick

    with small_parts():
        slow, quick = asyncio.run(main())
    assert slow.rows == quick.rows


def test_a_fault_in_one_round_does_not_end_the_telling(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mailquota.core.engine.publishing._TICK", 0.001)

    async def main() -> Mirror:
        world = World()
        mirror = world.subscribe()
        faults = iter([RuntimeError("no row")])

        def broken() -> tuple[dict[str, Entry], set[str]]:
            for fault in faults:
                raise fault
            return {}, {"gone@x"}

        monkeypatch.setattr(world.ledger, "take_changed", broken)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(world.publisher.run(), 0.2)
        return mirror

    assert asyncio.run(main()).heads >= 3
    assert "no row" in caplog.text
