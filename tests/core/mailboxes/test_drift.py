"""The background check: what it calls a difference, when, how often, and that it only looks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.base.model import Account, AccountRow
from mailquota.core.history.who import Operator
from mailquota.core.mailboxes import compare as comparing
from mailquota.core.mailboxes import drift as module
from mailquota.core.mailboxes.compare import compare
from mailquota.core.mailboxes.drift import EVERY, SHARE, DriftWatch
from mailquota.core.mailboxes.folders import sum_folders
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Unmeasurable, measure
from tests.core.clients import until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.core.worlds import FULL, JOHN, SmallWorld

LIMIT = 5000


class World:
    """One mailbox that was measured, and the check of it."""

    def __init__(self, folder: Path) -> None:
        self.box = Box(folder)
        self.now = 1_800_000_000.0
        self.ledger = Ledger(self.box.store.is_trash)
        self.ledger.set_accounts([Account(ADDRESS, LIMIT)])
        self.watch = DriftWatch(self.ledger, self.box.store, lambda _: "", lambda: self.now)

    @property
    def entry(self) -> Entry:
        return self.ledger.entries[ADDRESS]

    @property
    def row(self) -> AccountRow:
        return self.ledger.row(self.entry)

    def record(self, used: int) -> None:
        """Write maildirsize, and measure as the poller does."""
        self.box.file.write_text(f"{LIMIT}S\n{used} 1\n")
        self.measure()

    def measure(self) -> None:
        entry = self.entry
        known = measure(self.box.store, self.box.maildir, LIMIT, entry.known, time.time())
        assert self.ledger.set_known(entry, entry.known, known, self.now)

    def check(self) -> None:
        """Set the clock a day forward."""
        self.now += EVERY
        due = self.watch.due()
        assert due == [self.entry]
        asyncio.run(self._check(due))

    async def _check(self, due: list[Entry]) -> None:
        await self.watch.check(due)
        self.watch.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    return World(tmp_path)


def meanwhile(monkeypatch: pytest.MonkeyPatch, *works: Callable[[], object]) -> None:
    """Do something before each next count of the folders."""
    left = list(works)
    original = sum_folders

    def counting(maildir: str) -> object:
        if left:
            left.pop(0)()
        return original(maildir)

    monkeypatch.setattr(comparing, "sum_folders", counting)


@pytest.mark.parametrize(("recorded", "drift"), [(1000, None), (400, 600), (1300, -300)])
def test_what_differs_is_marked(world: World, recorded: int, drift: int | None) -> None:
    """More than recorded is above zero. Nothing is written."""
    world.box.put(1000)
    world.box.settle()
    world.record(recorded)
    before = world.box.tree()
    world.ledger.take_changes()
    world.check()
    assert world.row.drift_bytes == drift
    assert [row.drift_bytes for row in world.ledger.take_changes()[0]] == ([drift] if drift else [])
    assert world.box.tree() == before


def test_it_goes_when_they_agree_again(world: World) -> None:
    world.box.put(1000)
    world.box.settle()
    world.record(400)
    world.check()
    assert world.row.drift_bytes == 600
    world.record(1000)
    world.check()
    assert world.row.drift_bytes is None


def test_a_delivery_is_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dovecot has moved a message and not yet written it into maildirsize; at the second count it has."""
    world.box.put(1000)
    world.box.put(500, "new")
    world.box.settle()
    world.record(1000)
    meanwhile(monkeypatch, lambda: None, lambda: world.box.append(500, 1))
    world.check()
    assert world.row.drift_bytes is None


@pytest.mark.parametrize("where", ["first", "second"])
def test_a_change_during_the_count_says_nothing(world: World, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    world.box.put(1000)
    world.box.settle()
    world.record(400)
    works: list[Callable[[], object]] = [lambda: None, lambda: world.box.put(1, "new")]
    meanwhile(monkeypatch, *(works if where == "second" else works[::-1]))
    world.check()
    assert world.row.drift_bytes is None


def test_once_a_day_and_only_who_believes_a_record(world: World) -> None:
    world.box.put(1000)
    world.measure()
    assert world.row.source == "scan"
    assert world.watch.due() == []
    world.box.settle()
    world.record(1000)
    world.check()
    assert world.watch.due() == []
    world.now += EVERY - 1
    assert world.watch.due() == []
    world.now += 1
    assert world.watch.due() == [world.entry]


def test_a_record_that_is_not_used_does_not_drift(world: World) -> None:
    """Dovecot counts by itself then, so a wrong file does not matter."""
    world.box.put(1000)
    world.box.settle()
    world.record(400)
    world.check()
    world.box.file.unlink()
    world.measure()
    assert (world.row.source, world.row.drift_bytes) == ("scan", None)


def test_what_can_not_be_compared(world: World) -> None:
    """No file, a file that is none, or a mailbox that can't be read."""
    assert compare(world.box.store, world.box.maildir) is None
    world.box.file.write_text("nonsense")
    assert compare(world.box.store, world.box.maildir) is None
    world.record(10)
    (world.box.path / "cur").rmdir()
    (world.box.path / "cur").symlink_to("cur")
    with pytest.raises(Unmeasurable):
        compare(world.box.store, world.box.maildir)
    world.check()
    assert world.row.drift_bytes is None


def test_a_mailbox_that_hangs_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left for the next day."""
    other = Box(world.box.base.parent, "other@example.org")
    world.ledger.set_accounts([Account(ADDRESS, LIMIT), Account("other@example.org", LIMIT)])
    hanging, released = threading.Event(), threading.Event()
    for box, recorded in ((world.box, 400), (other, 700)):
        box.put(1000)
        box.settle()
        box.file.write_text(f"{LIMIT}S\n{recorded} 1\n")
    original = sum_folders

    def counting(maildir: str) -> object:
        if maildir == world.box.maildir:
            hanging.set()
            assert released.wait(20)
        return original(maildir)

    monkeypatch.setattr(comparing, "sum_folders", counting)
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    entries = list(world.ledger.entries.values())
    try:
        asyncio.run(world._check(entries))
    finally:
        released.set()
    assert hanging.is_set()
    assert [entry.drift for entry in entries] == [None, 300]
    assert all(entry.compared_at == world.now for entry in entries)


def test_the_first_day_of_a_machine(world: World) -> None:
    """The clock of the check starts with the machine, at which no account has been compared."""
    world.record(0)
    world.now = 60.0
    assert world.watch.due() == [world.entry]


def test_its_share_of_a_core(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It rests a hundred times as long as it worked, and waits for the first round."""
    world.record(0)
    rests: list[float] = []

    async def check(entries: list[Entry]) -> float:
        world.entry.compared_at = world.now
        return 0.5 * len(entries)

    async def resting(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:
            raise asyncio.CancelledError

    async def main() -> None:
        begin = asyncio.Event()
        begin.set()
        monkeypatch.setattr(world.watch, "check", check)
        monkeypatch.setattr(asyncio, "sleep", resting)
        await world.watch.run(begin)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert SHARE == 0.01
    assert rests[0] == 50.0


def test_an_engine_marks_and_a_recount_mends(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first round on."""
    monkeypatch.setattr(module, "AGAIN", 0.0)
    (small_world.maildir(JOHN) / "maildirsize").write_text("10000S\n4000 4\n1000 1\n")
    with embedded(small_world) as engine:
        measured(engine)
        until(lambda: rows(engine)[JOHN].drift_bytes == -1000)
        assert rows(engine)[FULL].drift_bytes is None
        (done,) = engine.call(inner(engine).actions.recalc([JOHN], Operator("mary")))
        assert (done.before_bytes, done.after_bytes, done.method) == (5000, 4000, "rewrite")
        assert rows(engine)[JOHN].drift_bytes is None
