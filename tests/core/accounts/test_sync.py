"""The accounts database and the ledger, kept the same through faults, races and reloads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast

import pytest

from mailquota.core.accounts.store import Accounts, AccountStore
from mailquota.core.accounts.sync import AccountSync
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.model import Account
from tests.core.loops import until

Scene = Callable[["World"], Awaitable[None]]


class Store:
    """A database that the test edits, breaks, and holds."""

    def __init__(self) -> None:
        self.limit = 1000
        self.error: Exception | None = None
        self.reads = 0
        self.looks = 0
        self.closed = False
        self.during: Callable[[], object] = lambda: None  # in the middle of a read
        self._busy = threading.Lock()
        self._read: int | None = None

    def changed(self) -> bool:
        with self._alone():
            self.looks += 1
            return self._read != self.limit

    def read(self) -> Accounts:
        with self._alone():
            self.reads += 1
            self._read = found = self.limit
            self.during()
            return Accounts([Account("a@x", found)], [], skipped=self.reads > 100)

    def close(self) -> None:
        assert not self._busy.locked(), "closed while it is read"
        self.closed = True

    def _alone(self) -> threading.Lock:
        assert not self._busy.locked(), "two looks at the same time"
        if self.error is not None:
            raise self.error
        return self._busy


class World:
    """A sync over that store; ``limits`` are what it took, in order."""

    def __init__(self, refresh: float = 0.001) -> None:
        self.store = Store()
        self.limits: list[int | None] = []
        self.edits = 0
        self.preparing: Callable[[], object] = lambda: None  # in the thread, between a read and the loop
        self.taken = asyncio.Event()
        self.sync = self.make(self.store, refresh)

    def make(self, store: Store, refresh: float = 0.001) -> AccountSync:
        return AccountSync(cast("AccountStore", store), refresh, self._prepare, lambda: self.edits)

    def _prepare(self, accounts: Accounts) -> Callable[[], None]:
        self.preparing()

        def take() -> None:
            self.limits.append(accounts.accounts[0].limit)
            self.taken.set()

        return take

    async def until_taken(self) -> None:
        self.taken.clear()
        await asyncio.wait_for(self.taken.wait(), 10)


def play(scene: Scene, refresh: float = 0.001) -> None:
    async def main() -> None:
        world = World(refresh)
        async with asyncio.timeout(10):
            await scene(world)
            await world.sync.stop()

    asyncio.run(main())


def test_an_edit_is_taken_and_nothing_else_is_read() -> None:
    async def scene(world: World) -> None:
        world.sync.start()
        await world.until_taken()
        await until(lambda: world.store.looks >= 3)
        assert world.store.reads == 1
        world.store.limit = 2000
        await world.until_taken()
        assert world.limits == [1000, 2000]

    play(scene)


def test_before_the_first_read_it_is_down() -> None:
    """And it is tried again before long, whatever the refresh."""

    async def scene(world: World) -> None:
        assert (world.sync.state.state, world.sync.state.age_seconds) == ("down", None)
        world.store.error = DatabaseError("connection refused")
        await world.sync.look()
        assert (world.sync.state.state, world.sync.state.message) == ("down", "connection refused")
        world.store.error = None
        world.sync.start()
        await world.until_taken()
        assert world.sync.state.state == "ok"

    play(scene, refresh=3600)


def test_a_database_that_went_leaves_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """The state is stale with the age of the last good look, the log has it once, and it comes back by itself."""

    async def scene(world: World) -> None:
        await world.sync.look(read=True)
        world.store.error = DatabaseError("server has gone away")
        for _ in range(3):
            await world.sync.look()
        state = world.sync.state
        assert (state.state, state.message) == ("stale", "server has gone away")
        assert state.age_seconds is not None
        assert world.limits == [1000]
        world.store.error = None
        await world.sync.look()
        assert (world.sync.state.state, world.sync.state.message) == ("ok", "")

    with caplog.at_level("INFO"):
        play(scene)
    assert [record.getMessage() for record in caplog.records] == [
        "server has gone away",
        "the accounts database answers again",
    ]


def test_a_driver_that_fails_in_a_new_way_does_not_end_the_looking(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(world: World) -> None:
        world.store.error = RuntimeError("surprise")
        world.sync.start()
        await until(lambda: world.sync.state.message)
        assert "surprise" in world.sync.state.message
        world.store.error = None
        await world.until_taken()

    play(scene)
    assert "surprise" in caplog.text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the sync, which the test sets."""
    now = [100.0]
    monkeypatch.setattr("mailquota.core.accounts.sync.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_limits_whose_age_is_beyond_the_refresh_are_stale(clock: list[float]) -> None:
    async def scene(world: World) -> None:
        await world.sync.look(read=True)
        clock[0] += 12
        assert world.sync.state.state == "ok"
        clock[0] += 2
        assert (world.sync.state.state, world.sync.state.age_seconds) == ("stale", 14)

    play(scene, refresh=5)


def test_a_database_that_does_not_answer_is_stale_before_a_time_out_says_so(clock: list[float]) -> None:
    """A look that takes longer than looks do, also where the refresh is long; the limits are ok again at its end."""

    async def scene(world: World) -> None:
        await world.sync.look(read=True)
        clock[0] += 100
        stands, go_on = in_the_middle(world)
        looking = asyncio.create_task(world.sync.look(read=True))
        await until(stands.is_set)
        assert world.sync.state.state == "ok"
        clock[0] += 4
        assert (world.sync.state.state, world.sync.state.message) == ("stale", "it does not answer")
        go_on.set()
        await looking
        assert (world.sync.state.state, world.sync.state.message) == ("ok", "")
        clock[0] += 300
        looking = asyncio.create_task(world.sync.look(read=True))
        await until(lambda: world.store.reads == 3)
        await looking
        assert world.sync.state.state == "ok"

    play(scene, refresh=300)


def test_a_database_whose_answers_take_their_time_is_not_stale(clock: list[float]) -> None:
    """Twice what the last look took is no fault."""

    async def scene(world: World) -> None:
        def slow() -> None:
            clock[0] += 8

        world.store.during = slow
        await world.sync.look(read=True)
        clock[0] += 15
        assert world.sync.state.state == "ok"
        clock[0] += 3
        assert world.sync.state.state == "stale"

    play(scene, refresh=0.5)


def test_looks_wait_for_each_other() -> None:
    """A store takes one at a time, and a reload may look while the refresh does."""

    async def scene(world: World) -> None:
        await asyncio.gather(*(world.sync.look(read=True) for _ in range(10)))
        assert world.sync.state.state == "ok"
        assert world.store.reads == 10

    play(scene)


def in_the_middle(world: World) -> tuple[threading.Event, threading.Event]:
    """The next look comes to a stand after its read: set when it stands, and to be set for it to go on."""
    stands, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        world.preparing = lambda: None
        stands.set()
        assert go_on.wait(10)

    world.preparing = stand
    return stands, go_on


def test_an_older_read_never_takes_the_place_of_a_newer_one() -> None:
    """The first of two looks that overlap gets on last: there may be 100,000 accounts to compare."""

    async def scene(world: World) -> None:
        stands, go_on = in_the_middle(world)
        first = asyncio.ensure_future(world.sync.look(read=True))
        await until(stands.is_set)
        world.store.limit = 2000
        second = asyncio.ensure_future(world.sync.look(read=True))
        await until(lambda: second.done() or world.sync._looking.locked())
        go_on.set()
        await asyncio.gather(first, second)
        assert world.limits == [1000, 2000]

    play(scene)


def test_what_a_database_says_after_a_reload_is_not_taken() -> None:
    """An order may look at the old one while the new one is read."""

    async def scene(world: World) -> None:
        stands, go_on = in_the_middle(world)
        order = asyncio.ensure_future(world.sync.look(read=True))
        await until(stands.is_set)
        await world.sync.stop()
        store = Store()
        store.limit = 7000
        new = world.make(store)
        await new.look(read=True)
        go_on.set()
        await order
        assert world.limits == [7000]
        await new.stop()

    play(scene)


def test_what_was_read_and_could_not_be_taken_is_read_again(caplog: pytest.LogCaptureFixture) -> None:
    """For a fault of ours, or as whoever looked was cancelled: the database looks as it did at that read."""

    async def scene(world: World) -> None:
        def fault() -> None:
            world.preparing = lambda: None
            raise ValueError("a fault")

        world.preparing = fault
        await world.sync.look(read=True)
        assert world.sync.state.message.endswith("a fault")
        await world.sync.look()
        assert (world.limits, world.sync.state.state) == ([1000], "ok")
        world.store.limit = 2000
        stands, go_on = in_the_middle(world)
        cancelled = asyncio.ensure_future(world.sync.look())
        await until(stands.is_set)
        cancelled.cancel()
        go_on.set()
        await asyncio.wait([cancelled])
        await world.sync.look()
        assert world.limits == [1000, 2000]

    play(scene)


def test_a_limit_set_during_a_read_is_not_undone_by_it() -> None:
    """The read may have met the rows before the edit did: it is done again."""

    async def scene(world: World) -> None:
        def edit() -> None:
            world.store.during = lambda: None
            world.store.limit = 5000
            world.edits += 1

        world.store.during = edit
        await world.sync.look(read=True)
        assert world.limits == [5000]

    play(scene)


def test_stopping_does_not_wait_for_a_database_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it close what a thread still reads from: a driver in C crashes the process then."""
    monkeypatch.setattr("mailquota.core.accounts.sync._CLOSE_SECONDS", 0.01)
    go_on = threading.Event()

    async def scene(world: World) -> None:
        world.store.during = lambda: go_on.wait(10)
        world.sync.start()
        await until(lambda: world.store.reads)
        await world.sync.stop()
        assert not world.store.closed

    play(scene)
    go_on.set()


def test_a_stop_during_a_read_closes_afterwards() -> None:
    async def scene(world: World) -> None:
        go_on = threading.Event()
        world.store.during = lambda: go_on.wait(10)
        world.sync.start()
        await until(lambda: world.store.reads)
        stopping = asyncio.ensure_future(world.sync.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        assert world.store.closed

    play(scene)


def test_reading_now_raises_where_a_look_would_keep_the_fault() -> None:
    """For a command that can't go on without the accounts."""

    async def scene(world: World) -> None:
        world.store.error = DatabaseError("connection refused")
        with pytest.raises(DatabaseError, match="connection refused"):
            await world.sync.read_now()
        world.store.error = None
        await world.sync.read_now()
        assert (world.limits, world.sync.state.state) == ([1000], "ok")

    play(scene)


def test_a_new_database_that_is_not_there_leaves_the_limits_of_the_old_one() -> None:
    """So after a reload they are stale, and not unknown."""

    async def scene(world: World) -> None:
        await world.sync.look(read=True)
        store = Store()
        store.error = DatabaseError("no such host")
        new = world.make(store)
        new.follow(world.sync)
        await new.look(read=True)
        assert (new.state.state, new.state.message) == ("stale", "no such host")
        store.error, store.limit = None, 7000
        await new.look()
        assert world.limits == [1000, 7000]
        await new.stop()

    play(scene)


def test_an_edit_that_the_database_lost_is_not_kept() -> None:
    """It died after the commit and came back without it, so it holds what was read last."""

    async def scene(world: World) -> None:
        await world.sync.look()
        world.edits += 1  # the ledger has the new limit
        await world.sync.look()
        assert world.limits == [1000, 1000]
        await world.sync.look()
        assert world.store.reads == 2

    play(scene)
