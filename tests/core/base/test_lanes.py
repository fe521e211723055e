"""Lanes: work in a thread comes back in order, and one item that hangs holds nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from mailquota.core.base import lanes, restarts
from mailquota.core.base.lanes import MAX_STUCK, MAX_STUCK_EVERYWHERE, Lane
from tests.core.loops import SteppedLoop, run, until

PATIENCE = 60.0  # seconds of a clock that only these tests put forward


class Bench:
    """A lane over names; what is in ``gates`` hangs until it is opened. Made on a loop."""

    def __init__(self, threads: int = 1) -> None:
        self.unwanted: set[str] = set()
        self.gates: dict[str, threading.Event] = {}
        self.worked: list[tuple[str, int]] = []  # name and thread
        self.done: list[tuple[str, str]] = []
        self.lost: list[str] = []
        self.lane: Lane[str, str] = Lane(
            "bench", self._work, self._done, stuck=self.lost.append, key=lambda item: item,
            place=lambda item: item.partition("/")[0] if "/" in item else "", patience=PATIENCE,
            threads=threads, wanted=lambda item: item not in self.unwanted,
        )  # fmt: skip

    def hang(self, *names: str) -> None:
        """These hang from now on."""
        self.gates |= {name: threading.Event() for name in names}

    def open(self, *names: str) -> None:
        """These go on; all if none is named."""
        for name in names or tuple(self.gates):
            self.gates[name].set()

    async def give_up(self, name: str) -> None:
        """Wait until the thread is at this one, and then until the lane has lost its patience with it."""
        await until(lambda: self.worked and self.worked[-1][0] == name)
        await until(lambda: name in self.lost, step=PATIENCE)

    def submit(self, *names: str) -> None:
        """All within one turn of the loop."""
        for name in names:
            self.lane.submit(name)

    def _work(self, name: str) -> str:
        self.worked.append((name, threading.get_ident()))
        if name in self.gates and not self.gates[name].wait(20):
            raise TimeoutError(name)
        if name.startswith("bad"):
            raise ValueError(name)
        if name.startswith("deadly"):
            raise SystemExit
        return name.upper()

    def _done(self, name: str, result: str | Exception) -> None:
        self.done.append((name, result if isinstance(result, str) else repr(result)))
        if name == "broken":
            raise KeyError(name)

    @property
    def names(self) -> list[str]:
        """Who is done, in order."""
        return [name for name, _ in self.done]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """A closed lane's thread ends, a stuck one when its call returns."""
    yield
    for thread in threading.enumerate():
        if thread.name == "mailquota-bench":
            thread.join(20)
            assert not thread.is_alive()


def bench(work: Callable[[Bench], Coroutine[Any, Any, None]], threads: int = 1) -> None:
    """Run ``work`` with a lane; open all gates and close it at the end."""

    async def main() -> None:
        table = Bench(threads)
        try:
            await work(table)
        finally:
            table.open()
            table.lane.close()

    run(main(), "stepped")


def test_results_come_back_in_order() -> None:
    """One turn of the loop is one batch, in one thread that is not ours; exceptions are results."""

    async def work(table: Bench) -> None:
        table.submit("a", "bad", "b")
        assert table.done == []
        await until(lambda: len(table.done) == 3)
        assert table.done == [("a", "A"), ("bad", "ValueError('bad')"), ("b", "B")]
        table.submit("c")
        await until(lambda: len(table.done) == 4)
        assert len({thread for _, thread in table.worked}) == 1
        assert threading.get_ident() not in {thread for _, thread in table.worked}
        assert (table.lane.hangs, table.lane.hanging_threads, table.lost) == (0, 0, [])

    bench(work)


def test_many() -> None:
    """Nothing is lost or doubled over many batches."""

    async def work(table: Bench) -> None:
        for batch in range(50):
            table.submit(*(f"{batch}/{number}" for number in range(batch)))
            await asyncio.sleep(0)
        await until(lambda: len(table.done) == 50 * 49 // 2)
        assert table.names == [f"{batch}/{number}" for batch in range(50) for number in range(batch)]

    bench(work)


def test_one_that_hangs_holds_nobody() -> None:
    """It is given back, what was done before comes first, and the rest of its batch and later batches go on."""

    async def work(table: Bench) -> None:
        table.hang("stuck")
        table.submit("a", "b", "stuck", "c", "d")
        await asyncio.sleep(0)
        table.submit("e")
        await table.give_up("stuck")
        await until(lambda: len(table.done) == 5)
        assert table.names[:2] == ["a", "b"]
        assert sorted(table.names[2:]) == ["c", "d", "e"]
        assert table.lost == ["stuck"]
        assert (table.lane.hanging_threads, table.lane.hangs) == (1, 1)
        assert not table.lane.usable("stuck")
        assert table.lane.usable("other")
        table.submit("f")
        await until(lambda: "f" in table.names)

    bench(work)


def test_a_thread_that_dies_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """The item that it was at gets the fault, others their results; it is counted, and hangs nothing up."""

    async def work(table: Bench) -> None:
        before = restarts.counts().get("thread for bench", 0)
        table.submit("a", "deadly", "b", "deadly too", "c")
        await until(lambda: len(table.done) == 5)
        table.submit("deadly", "d")
        await until(lambda: len(table.done) == 7)
        assert table.names == ["a", "deadly", "b", "deadly too", "c", "deadly", "d"]
        assert dict(table.done)["deadly"].startswith("RuntimeError('the thread that worked on it ended: SystemExit")
        assert (table.lost, table.lane.hanging_threads, table.lane.hangs) == ([], 0, 0)
        assert restarts.counts()["thread for bench"] - before == 3

    bench(work)
    assert "thread for bench: ended by a fault, and is started again" in caplog.text


def test_where_no_thread_may_be_started_work_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a limit of the system is reached: it is tried again, and told once."""
    start, refused = threading.Thread.start, list[None]()

    def refuse(thread: threading.Thread) -> None:
        if len(refused) < 3 and thread.name == "mailquota-bench":
            refused.append(None)
            raise RuntimeError("can't start new thread")
        start(thread)

    async def work(table: Bench) -> None:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        table.submit("a", "b")
        await until(lambda: table.names == ["a", "b"], step=1.0)

    bench(work)
    assert (len(refused), caplog.text.count("can't start new thread")) == (3, 1)


def test_it_recovers() -> None:
    """When the call returns the mark is cleared, the late result is dropped, and the key can be used again."""

    async def work(table: Bench) -> None:
        table.hang("stuck")
        table.submit("stuck", "a")
        await table.give_up("stuck")
        await until(lambda: table.names == ["a"])
        table.open("stuck")
        await until(lambda: table.lane.usable("stuck"))
        assert table.lane.hanging_threads == 0
        assert table.names == ["a"]
        table.submit("stuck")
        await until(lambda: table.names == ["a", "stuck"])
        assert table.lane.hangs == 1

    bench(work)


def test_several_hang_one_after_the_other() -> None:
    """Each costs the others one patience."""

    async def work(table: Bench) -> None:
        table.hang("x", "y", "z")
        table.submit("x", "a", "y", "b", "z", "c")
        for name in "xyz":
            await table.give_up(name)
        await until(lambda: len(table.done) == 3)
        assert (table.names, table.lost) == (["a", "b", "c"], ["x", "y", "z"])
        assert table.lane.hanging_threads == 3
        table.open("y")
        await until(lambda: table.lane.hanging_threads == 2)
        assert [table.lane.usable(name) for name in "xyz"] == [False, True, False]

    bench(work)


def test_a_key_that_hangs_is_given_back_wherever_it_waits() -> None:
    """The same mailbox further behind, in this batch or a later one, is not worth a second thread."""

    async def work(table: Bench) -> None:
        table.hang("stuck")
        table.submit("stuck", "a", "stuck")
        await asyncio.sleep(0)
        table.submit("stuck", "b")
        await table.give_up("stuck")
        await until(lambda: len(table.done) == 2)
        assert (sorted(table.names), table.lost) == (["a", "b"], ["stuck"] * 3)
        assert table.lane.hangs == 1

    bench(work)


def test_slow_is_not_stuck() -> None:
    """A batch that gets on may take longer than the patience for one item."""

    async def work(table: Bench) -> None:
        names = [f"slow{number}" for number in range(20)]
        table.hang(*names)
        table.submit(*names)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        for number, name in enumerate(names):
            await until(lambda count=number + 1: len(table.worked) == count)  # type: ignore[misc]
            loop.ahead += PATIENCE / 3
            await asyncio.sleep(0.001)  # time for a look
            table.open(name)
        await until(lambda: len(table.done) == 20)
        assert table.lost == []

    bench(work)


def test_what_is_done_does_not_wait_for_the_rest() -> None:
    """Of a batch that takes long."""

    async def work(table: Bench) -> None:
        table.hang("slow", "last")
        table.submit("a", "slow", "b", "last")
        await until(lambda: table.worked and table.worked[-1][0] == "slow")
        await asyncio.sleep(0.01)
        table.open("slow")
        await until(lambda: table.worked[-1][0] == "last")
        await until(lambda: table.names[:2] == ["a", "slow"])
        table.open("last")
        await until(lambda: table.names == ["a", "slow", "b", "last"])
        assert table.lost == []

    bench(work)


def test_what_nobody_waits_for_is_not_begun() -> None:
    async def work(table: Bench) -> None:
        table.hang("slow")
        table.submit("slow", "a", "b", "c")
        await until(lambda: table.worked)
        table.unwanted |= {"slow", "b"}
        table.open()
        await until(lambda: len(table.done) == 3)
        assert (table.names, table.lost) == (["slow", "a", "c"], ["b"])
        assert [name for name, _ in table.worked] == ["slow", "a", "c"]

    bench(work)


def test_where_the_disk_is_slow_other_threads_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to so many; where it is quick one does it all."""

    async def work(table: Bench) -> None:
        with monkeypatch.context() as nothing_is_slow:
            nothing_is_slow.setattr(lanes, "_SLOW", PATIENCE)
            table.submit(*(f"quick{number}" for number in range(100)))
            await until(lambda: len(table.done) == 100)
        assert len({thread for _, thread in table.worked}) == 1
        slow = [f"slow{number}" for number in range(100)]
        table.hang(*slow)
        table.submit(*slow)
        await until(lambda: len(table.worked) == 103)
        await asyncio.sleep(0.05)
        assert len(table.worked) == 103
        table.open()
        await until(lambda: len(table.done) == 200)
        assert len({thread for _, thread in table.worked}) == 3
        assert table.lost == []

    bench(work, threads=3)


def test_a_thread_that_hangs_is_replaced_where_several_work() -> None:
    async def work(table: Bench) -> None:
        table.hang("x", "y", "z")
        names = [str(number) for number in range(100)]
        table.submit("x", *names[:30], "y", *names[30:60], "z", *names[60:])
        await until(lambda: len(table.lost) == 3, step=PATIENCE)
        await until(lambda: len(table.done) == 100)
        assert (sorted(table.lost), table.lane.hanging_threads) == (["x", "y", "z"], 3)
        table.open()
        await until(lambda: table.lane.hanging_threads == 0)
        assert sorted(table.names) == sorted(names)

    bench(work, threads=2)


def test_a_place_where_many_hang_is_no_matter_to_others() -> None:
    """A share that is gone: what lies there is given back, what lies elsewhere is worked at."""

    async def work(table: Bench) -> None:
        stuck = [f"share/{number}" for number in range(MAX_STUCK)]
        table.hang(*stuck)
        table.submit(*stuck, "share/more", "here/a")
        for name in stuck:
            await table.give_up(name)
        await until(lambda: table.done)
        assert (table.lost, table.names) == ([*stuck, "share/more"], ["here/a"])
        assert [table.lane.usable(name) for name in ("share/x", "share/0", "here/x")] == [False, False, True]
        assert [table.lane.is_stuck(name) for name in ("share/x", "share/0")] == [False, True]

    bench(work)


def test_there_is_an_end_to_threads_that_hang() -> None:
    """Wherever they do."""

    async def work(table: Bench) -> None:
        stuck = [f"{number}/{number}" for number in range(MAX_STUCK_EVERYWHERE)]
        table.hang(*stuck)
        table.submit(*stuck, "here/a")
        await until(lambda: len(table.lost) == MAX_STUCK_EVERYWHERE + 1, step=PATIENCE)
        assert table.done == []
        assert not table.lane.usable("here/a")

    bench(work)


def test_no_more_threads_than_that() -> None:
    """When MAX_STUCK hang, nothing is usable and what waits is given back, until one returns."""

    async def work(table: Bench) -> None:
        stuck = [f"stuck{number}" for number in range(MAX_STUCK)]
        table.hang(*stuck)
        table.submit(*stuck, "a", "b")
        for name in stuck:
            await table.give_up(name)
        await until(lambda: len(table.lost) == MAX_STUCK + 2)
        assert table.lost == [*stuck, "a", "b"]
        assert table.done == []
        assert not table.lane.usable("anybody")
        table.open(stuck[3])
        await until(lambda: table.lane.usable("anybody"))
        table.submit("c")
        await until(lambda: table.names == ["c"])

    bench(work)


def test_a_result_that_can_not_be_taken(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; the others of its batch are handed over all the same."""

    async def work(table: Bench) -> None:
        table.submit("a", "broken", "b")
        await until(lambda: len(table.done) == 3)
        assert "a result could not be handed back" in caplog.text

    bench(work)


def test_nothing_after_the_end() -> None:
    """A closed lane hands nothing back, neither what it was at nor what came too late, and starts no thread."""

    async def work(table: Bench) -> None:
        table.hang("at it")
        table.submit("at it", "behind")
        await until(lambda: table.worked)
        table.lane.close()
        table.submit("too late")
        (thread,) = [found for found in threading.enumerate() if found.ident == table.worked[0][1]]
        table.open()
        await until(lambda: not thread.is_alive())
        await asyncio.sleep(0)
        assert [name for name, _ in table.worked] == ["at it"]
        assert (table.done, table.lost) == ([], [])

    bench(work)


def test_closed_before_it_was_used() -> None:
    """Nothing to end."""

    async def work(table: Bench) -> None:
        table.lane.close()

    bench(work)


def test_a_stuck_thread_outlives_its_loop() -> None:
    """When its call returns after everything ended, it ends quietly."""
    kept: list[Bench] = []

    async def main() -> None:
        table = Bench()
        kept.append(table)
        table.hang("stuck")
        table.submit("stuck")
        await table.give_up("stuck")
        table.lane.close()

    run(main(), "stepped")
    kept[0].open()
