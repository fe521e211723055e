"""Rounds over all mailboxes, looks at some of them, and disks that hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from mailquota.core.base.model import Account
from mailquota.core.mailboxes import rounds as module
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import Measurement, measure
from mailquota.core.mailboxes.rounds import FIRST_SHARE, SHARE, Poller
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.core.loops import until
from tests.core.worlds import ANNA, FREE, FULL, JOHN, LIMIT, TRASH, SmallWorld

Scene = Callable[["World"], Awaitable[None]]
FIGURES = {JOHN: 4000, FULL: 10_000, FREE: 2100, ANNA: 5000, TRASH: 9000}


class World:
    """A poller over the mailboxes of a small world, which it measures as fast as it can."""

    def __init__(self, small: SmallWorld) -> None:
        is_trash = TrashNames(["Trash"])
        self.small = small
        self.ledger = Ledger(is_trash)
        self.ledger.set_accounts(Account(address, None if address == FREE else LIMIT) for address in FIGURES)
        self.asked: dict[Entry, float] = {}
        template = str(small.mailstore / "{domain}/{user}/Maildir")
        self.poller = Poller(self.ledger, MaildirDriver(Mailstore(template, is_trash)), self.asked)

    def entry(self, address: str) -> Entry:
        found = self.ledger.get(address)
        assert found is not None
        return found

    def figures(self) -> dict[str, int | None]:
        return {address: entry.used for address, entry in self.ledger.entries.items()}


@pytest.fixture
def play(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], None]:
    """Carries out a scene, without the pauses of the poller."""
    monkeypatch.setattr(module, "_REST_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)

    def run(scene: Scene) -> None:
        async def main() -> None:
            world = World(small_world)
            try:
                async with asyncio.timeout(20):
                    await scene(world)
            finally:
                world.poller.stop()

        asyncio.run(main())

    return run


Play = Callable[[Scene], None]


def test_a_round_reaches_everybody(play: Play) -> None:
    async def scene(world: World) -> None:
        world.poller.start()
        await asyncio.wait_for(world.poller.first_round.wait(), 10)
        assert world.figures() == FIGURES
        world.small.deliver(JOHN, 500)
        world.small.put_mail(ANNA, 300)
        await until(lambda: world.figures() == FIGURES | {JOHN: 4500, ANNA: 5300})

    play(scene)


def test_accounts_on_a_screen_are_looked_at_between_rounds(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the screen shows others, and until it is gone."""
    monkeypatch.setattr(module, "_REST_SECONDS", 1000)

    async def scene(world: World) -> None:
        world.poller.start()
        await until(lambda: world.poller.rounds)
        world.poller.watch("one", [JOHN, "nobody@example.org"])
        world.poller.watch("other", [JOHN, ANNA])
        world.small.deliver(JOHN, 500)
        await until(lambda: world.figures()[JOHN] == 4500)
        world.poller.watch("one", [])
        world.small.deliver(JOHN, 500)
        await until(lambda: world.figures()[JOHN] == 5000)
        world.poller.watch("other", [TRASH])
        world.small.deliver(TRASH, 100)  # once it is seen, no look at the accounts of before is under way
        await until(lambda: world.figures()[TRASH] == 9100)
        world.small.deliver(JOHN, 500)
        world.small.deliver(TRASH, 100)
        await until(lambda: world.figures()[TRASH] == 9200)
        assert world.figures()[JOHN] == 5000

    play(scene)


def test_accounts_just_asked_about_are_looked_at_for_a_while(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REST_SECONDS", 1000)

    async def scene(world: World) -> None:
        world.poller.start()
        await until(lambda: world.poller.rounds)
        world.asked[world.entry(JOHN)] = asyncio.get_running_loop().time()
        world.small.deliver(JOHN, 500)
        await until(lambda: world.figures()[JOHN] == 4500)
        world.asked[world.entry(JOHN)] -= 31
        await until(lambda: not world.asked)

    play(scene)


def holding(address: str, go_on: threading.Event, world: SmallWorld) -> Callable[..., Measurement]:
    """A measurement that hangs at one mailbox."""
    held = str(world.maildir(address))

    def measure_or_hang(
        store: Mailstore, maildir: str, limit: int | None, known: Measurement | None, now: float, *, most: int | None
    ) -> Measurement:
        if maildir == held:
            go_on.wait(20)
        return measure(store, maildir, limit, known, now, most=most)

    return measure_or_hang


def test_a_mailbox_that_hangs_does_not_hold_the_others(
    play: Play, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its usage is unknown meanwhile, all other measurements go on, and it is measured when its file system is back."""
    go_on = threading.Event()
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    monkeypatch.setattr("mailquota.core.mailboxes.driver.measure", holding(FULL, go_on, small_world))

    async def scene(world: World) -> None:
        world.poller.start()
        world.poller.watch("console", [FULL, JOHN])
        await until(lambda: world.poller.rounds >= 2)
        assert world.figures() == FIGURES | {FULL: None}
        assert world.entry(FULL).trouble == "its file system does not answer"
        world.small.deliver(JOHN, 500)
        await world.poller.measure_now([world.entry(FULL), world.entry(JOHN)])
        assert world.figures()[JOHN] == 4500
        go_on.set()
        await until(lambda: world.figures()[FULL] == 10_000)
        assert world.entry(FULL).trouble is None

    play(scene)


def test_a_fault_at_one_mailbox_is_told_once(
    play: Play, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = str(small_world.maildir(FULL))

    def faulty(
        store: Mailstore, maildir: str, limit: int | None, known: Measurement | None, now: float, *, most: int | None
    ) -> Measurement:
        if maildir == bad:
            raise ZeroDivisionError
        return measure(store, maildir, limit, known, now, most=most)

    monkeypatch.setattr("mailquota.core.mailboxes.driver.measure", faulty)

    async def scene(world: World) -> None:
        world.poller.start()
        await until(lambda: world.poller.rounds >= 3)
        assert world.figures() == FIGURES | {FULL: None}

    play(scene)
    assert caplog.text.count("could not be measured") == 1


def test_a_figure_that_can_not_be_taken_does_not_end_the_rounds(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the program at one account does not stop the others."""

    async def scene(world: World) -> None:
        take = world.ledger.set_known

        def faulty(entry: Entry, base: Measurement | None, known: Measurement, now: float) -> bool:
            if entry.address == FULL:
                raise ZeroDivisionError
            return take(entry, base, known, now)

        monkeypatch.setattr(world.ledger, "set_known", faulty)
        world.poller.start()
        await until(lambda: world.poller.rounds >= 2)
        assert world.figures() == FIGURES | {FULL: None}

    play(scene)


def test_a_name_that_dovecot_does_not_take_is_not_looked_for(play: Play) -> None:
    """It leads nowhere, least of all out of the mailstore."""

    async def scene(world: World) -> None:
        names = ["../../etc@example.org", "a/b@example.org", "john@..", "o'hara@example.org"]
        world.ledger.set_accounts(Account(name, LIMIT) for name in names)
        await world.poller.measure_now(list(world.ledger.entries.values()))
        assert set(world.figures().values()) == {None}
        assert {entry.trouble for entry in world.ledger.entries.values()} == {"Dovecot takes no such user name"}

    play(scene)


def test_an_account_deleted_while_it_is_measured_does_not_come_back(
    play: Play, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("mailquota.core.mailboxes.driver.measure", holding(FULL, go_on, small_world))

    async def scene(world: World) -> None:
        measuring = asyncio.ensure_future(world.poller.measure_now([world.entry(FULL)]))
        await asyncio.sleep(0)
        world.ledger.set_accounts([Account(JOHN, LIMIT)])
        go_on.set()
        await measuring
        assert world.figures() == {JOHN: None}
        assert world.ledger.totals.used == 0

    play(scene)


def test_rounds_take_their_share_of_a_core(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each slice they rest in proportion: little in the first round, then nineteen parts of twenty."""
    rests: list[float] = []
    sleep = asyncio.sleep

    async def resting(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    async def slice_of(_name: str, _entries: list[Entry]) -> float:
        return 0.1

    async def scene(world: World) -> None:
        monkeypatch.setattr(world.poller, "_slice", slice_of)
        monkeypatch.setattr(asyncio, "sleep", resting)
        rounds = asyncio.ensure_future(world.poller._rounds())
        while len(rests) < 4:
            await sleep(0)
        rounds.cancel()
        monkeypatch.setattr(asyncio, "sleep", sleep)

    play(scene)
    assert rests[:4] == pytest.approx([0.1 / FIRST_SHARE - 0.1, 0.01, 0.1 / SHARE - 0.1, 0.01])
    assert SHARE == 0.05


def test_a_round_in_a_hurry_begins_anew(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the pace of the first one, until it is over."""
    shares: list[float] = []
    monkeypatch.setattr(module, "_SLICE", 1)

    async def scene(world: World) -> None:
        poller = world.poller

        async def slice_of(_name: str, _entries: list[Entry]) -> float:
            shares.append(poller._share)
            if len(shares) == len(FIGURES) + 2:
                poller.hurry()
            return 0.0

        monkeypatch.setattr(poller, "_slice", slice_of)
        rounds = asyncio.ensure_future(poller._rounds())
        await until(lambda: poller.rounds == 3)
        rounds.cancel()

    play(scene)
    count = len(FIGURES)
    assert shares[: 3 * count + 2] == [FIRST_SHARE] * count + [SHARE] * 2 + [FIRST_SHARE] * count + [SHARE] * count
