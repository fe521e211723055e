"""Dovecot as the witness: when an account goes by it, when it goes back, and what happens where it does not answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from mailquota.core.alerts.rules import Policy, parse_thresholds
from mailquota.core.alerts.thresholds import Settings, ThresholdWatch
from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from mailquota.core.base.exempt import Exempt
from mailquota.core.base.model import Account, AccountRow
from mailquota.core.mailboxes import witness_looks
from mailquota.core.mailboxes.dovecot_driver import DoveadmDriver
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.mailstore import Names
from mailquota.core.mailboxes.witness import AGAIN, HOLD, RECHECK, SHARE, SLICE, Witness
from mailquota.core.mailboxes.witnessed_driver import WitnessedDriver
from mailquota.core.servers.dovecot.doveadm import QuotaAnswers
from mailquota.core.servers.dovecot.quota_rows import KIB, Quota, QuotaLimits
from tests.core.mailboxes.boxes import Box

LIMIT = 100 * KIB
DAY = 86400.0
JOHN, JANE, MARY = "john@example.org", "jane@example.org", "mary@example.org"


class FakeDovecot:
    """Tells of each user what a test put there; ``before`` is called before each answer."""

    def __init__(self) -> None:
        self.told: dict[str, Quota | MailquotaError] = {}
        self.fault: MailquotaError | None = None
        self.asked: list[list[str]] = []
        self.before: Callable[[], object] = lambda: None

    def quotas_of(self, users: Sequence[str]) -> QuotaAnswers:
        self.asked.append(list(users))
        self.before()
        found = {user.lower(): self.told[user] for user in users if user in self.told}
        return QuotaAnswers(found, self.fault if len(found) < len(users) else None)

    def quota(self, user: str) -> Quota:
        found = self.told.get(user, UnreachableError("away"))
        if isinstance(found, MailquotaError):
            raise found
        return found


class World:
    """Accounts with a Maildir each, one mail of 10 KiB in each, and a Dovecot that says the same."""

    def __init__(self, folder: Path, addresses: Iterable[str]) -> None:
        self.now = 1000.0
        self.boxes = {address: Box(folder, address) for address in addresses}
        self.store = next(iter(self.boxes.values())).store
        self.dovecot = FakeDovecot()
        self.ledger = Ledger(self.store.is_trash, self.store.names)
        by_dovecot = DoveadmDriver(self.store, self.dovecot, lambda: self.now)  # type: ignore[arg-type]
        self.driver = WitnessedDriver(MaildirDriver(self.store), by_dovecot, self.dovecot)  # type: ignore[arg-type]
        self.witness = Witness(
            self.ledger, self.driver, self.dovecot,  # type: ignore[arg-type]
            names=self.store.names, every=DAY, clock=lambda: self.now,
        )  # fmt: skip
        self.ledger.set_accounts(Account(address, LIMIT) for address in self.boxes)
        for address, box in self.boxes.items():
            box.put(10 * KIB)
            box.settle()
            self.measure(address)
            self.tell(address, 10, 1)

    def tell(
        self, address: str, kib: int, messages: int, limit: int | None = LIMIT // KIB, most: int | None = None
    ) -> None:
        self.dovecot.told[address] = Quota(kib, messages, QuotaLimits(limit, most))

    def measure(self, address: str) -> None:
        """As a round does."""
        entry = self.entry(address)
        known = self.driver.measure(address, entry.limit, entry.known, time.time())
        self.ledger.set_known(entry, entry.known, known, time.time())

    def entry(self, address: str = JOHN) -> Entry:
        return self.ledger.entries[address]

    def row(self, address: str = JOHN) -> AccountRow:
        return self.ledger.row(self.entry(address))

    async def step(self, seconds: float = 0.0) -> float:
        """Let time go by, then one step."""
        self.now += seconds
        return await self.witness.step()

    async def steps(self, *seconds: float) -> None:
        for each in seconds:
            await self.step(each)

    def run(self, *seconds: float) -> None:
        """A step after each of these times, on a loop of their own."""

        async def work() -> None:
            try:
                await self.steps(*seconds)
            finally:
                self.witness.close()

        asyncio.run(work())

    @property
    def state(self) -> tuple[str, int, int]:
        status = self.witness.status
        return status.state, status.checked, status.differing


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, [JOHN])


@pytest.fixture
def town(tmp_path: Path) -> World:
    return World(tmp_path, [JOHN, JANE, MARY])


def test_before_and_after_the_first_answer(world: World) -> None:
    assert world.state == ("away", 0, 0)
    assert (world.row().verified_at, world.witness.status.age_seconds) == (None, None)
    world.run(0)
    assert world.state == ("agrees", 1, 0)
    assert world.row().verified_at is not None
    assert (world.row().source, world.row().witness_bytes, world.row().differs) == ("scan", None, "")
    assert not world.entry().doubted


def test_a_difference_is_asked_again_and_counts_from_then_on(world: World) -> None:
    world.tell(JOHN, 82, 5)
    world.run(0)
    assert (world.row().source, world.entry().doubted, world.state) == ("scan", True, ("agrees", 0, 0))
    world.run(AGAIN - 1)
    assert len(world.dovecot.asked) == 1
    world.run(1)
    row = world.row()
    assert (row.source, row.used_bytes, row.messages, row.witness_bytes) == ("doveadm", 82 * KIB, 5, 82 * KIB)
    assert "folders that mailquota does not see" in row.differs
    assert (world.entry().doubted, world.state) == (False, ("differs", 1, 1))
    assert list(world.witness.examples) == [JOHN]
    assert world.driver.record(JOHN) is None  # no file is watched in place of asking


def test_a_difference_that_is_gone_is_none(world: World) -> None:
    """As of a mail that Dovecot had put down, and not yet into its record."""
    world.tell(JOHN, 12, 2)
    world.run(0)
    world.tell(JOHN, 10, 1)
    world.run(AGAIN)
    assert (world.row().source, world.entry().doubted, world.state) == ("scan", False, ("agrees", 1, 0))


def test_a_delivery_in_between_is_no_difference(world: World) -> None:
    def deliver() -> None:
        world.boxes[JOHN].put(2 * KIB, "new")
        world.tell(JOHN, 12, 2)
        world.dovecot.before = lambda: world.boxes[JOHN].put(5 * KIB, "new")

    deliver()
    world.run(0)
    assert (world.row().source, world.entry().doubted, world.state) == ("scan", False, ("agrees", 1, 0))


def test_a_mailbox_that_moves_all_the_time_is_left_for_later(world: World) -> None:
    numbers = iter(range(1, 100))

    def move() -> None:
        world.boxes[JOHN].put(3 * KIB, f"cur/../.Moved{next(numbers)}/cur")
        world.tell(JOHN, 500 + len(world.dovecot.asked), 1)

    world.dovecot.before = move
    world.run(0, AGAIN, AGAIN, AGAIN)
    assert (world.row().source, world.entry().doubted, world.state) == ("scan", False, ("agrees", 0, 0))
    asked = len(world.dovecot.asked)
    world.run(RECHECK - 1)
    assert len(world.dovecot.asked) == asked
    world.run(1)
    assert len(world.dovecot.asked) == asked + 1


def test_it_goes_back_when_both_agree(world: World) -> None:
    world.tell(JOHN, 82, 5)
    world.run(0, AGAIN)
    world.tell(JOHN, 10, 1)
    world.ledger.verify_again(world.entry())  # as after a recount
    world.run(1)
    assert (world.row().source, world.row().used_bytes, world.row().differs) == ("scan", 10 * KIB, "")
    assert world.state == ("agrees", 1, 0)
    assert not world.driver.is_by_dovecot(JOHN)


def test_without_a_recount_it_is_found_later(world: World) -> None:
    world.tell(JOHN, 82, 5)
    world.run(0, AGAIN)
    world.tell(JOHN, 10, 1)
    world.run(RECHECK)
    assert world.row().source == "scan"


def test_each_account_comes_again(world: World) -> None:
    world.run(0, *[DAY / 20] * 20)
    assert 2 <= len(world.dovecot.asked) <= 3


def test_routine_rests(world: World) -> None:
    """A hundred times as long as it took."""

    def slow() -> None:
        world.now += 0.5

    async def work() -> float:
        await world.step()
        world.dovecot.before = slow
        await world.step(DAY)
        asked = len(world.dovecot.asked)
        world.witness._queue.put(JOHN, world.now, urgent=False)
        await world.step(0.5 / SHARE - 1)
        assert len(world.dovecot.asked) == asked
        await world.step(2)
        assert len(world.dovecot.asked) == asked + 1
        world.witness.close()
        return 0.0

    asyncio.run(work())


# ---- limits


def test_dovecots_limit_decides(world: World) -> None:
    world.tell(JOHN, 10, 1, limit=11)
    world.run(0)
    assert (world.row().limit_bytes, world.entry().doubted) == (LIMIT, True)
    world.run(AGAIN)
    row = world.row()
    assert (row.limit_bytes, row.level, row.source, row.witness_bytes) == (11 * KIB, "near", "scan", None)
    assert "Dovecot's limit is 11 KiB, the database has 100 KiB" in row.differs
    assert (world.entry().database_limit, world.ledger.totals.granted) == (LIMIT, 11 * KIB)
    world.tell(JOHN, 10, 1)
    world.run(RECHECK)
    assert (world.row().limit_bytes, world.row().differs) == (LIMIT, "")


def test_unlimited_on_either_side(world: World) -> None:
    world.tell(JOHN, 10, 1, limit=None)
    world.run(0, AGAIN)
    assert world.row().limit_bytes is None
    world.ledger.set_accounts([Account(JOHN, None)])
    world.run(1)
    assert (world.row().limit_bytes, world.row().differs) == (None, "")


def test_an_edit_is_compared_first(world: World) -> None:
    """The limit of the edit counts until then, and Dovecot's again where that did not follow."""
    world.tell(JOHN, 10, 1, limit=11)
    world.run(0, AGAIN)
    world.ledger.set_limit(JOHN, 50 * KIB)
    assert (world.row().limit_bytes, world.row().differs) == (50 * KIB, "")
    world.ledger.set_accounts([Account(JOHN, 50 * KIB)])  # the next read of the database finds nothing new
    world.run(0, AGAIN)
    assert world.row().limit_bytes == 11 * KIB
    world.ledger.set_accounts([Account(JOHN, 50 * KIB)])
    assert world.row().limit_bytes == 11 * KIB


def test_an_edit_while_dovecot_is_asked(world: World) -> None:
    world.tell(JOHN, 10, 1, limit=11)
    world.dovecot.before = lambda: world.ledger.set_limit(JOHN, 11 * KIB)
    world.run(0)
    assert (world.row().limit_bytes, world.row().differs) == (11 * KIB, "")
    world.dovecot.before = lambda: None
    world.run(AGAIN)
    assert world.state == ("agrees", 1, 0)


def test_dovecots_limit_of_messages_decides(world: World) -> None:
    """The limit of bytes stays that of the database, which is not rounded."""
    world.ledger.set_accounts([Account(JOHN, LIMIT - 1)])
    world.tell(JOHN, 10, 1, most=1)
    world.run(0, AGAIN)
    row = world.row()
    assert (row.limit_bytes, row.limit_messages, row.level, row.source) == (LIMIT - 1, 1, "over", "scan")
    assert row.differs == "Dovecot's limit of messages is 1, mailquota reads unlimited from its settings and its query"
    assert (world.ledger.most_messages(JOHN), world.entry().given_messages) == (1, None)
    world.ledger.set_accounts([Account(JOHN, LIMIT, limit_messages=7)])
    assert (world.row().limit_messages, world.row().differs) == (7, "")
    world.run(0, AGAIN)
    assert (world.row().limit_bytes, world.row().limit_messages) == (LIMIT, 1)
    world.tell(JOHN, 10, 1, most=7)
    world.run(RECHECK)
    assert (world.row().limit_messages, world.row().differs, world.row().level) == (7, "", "ok")


def test_dovecot_is_asked_by_the_name_of_the_row(world: World) -> None:
    """Where paths have it."""
    world.store.names.follow(Names("", as_in_row=True))
    world.ledger.set_accounts([Account(JOHN, LIMIT, spelled="John@example.org")])
    world.dovecot.told = {"John@example.org": world.dovecot.told[JOHN]}
    world.boxes[JOHN].path.parent.rename(world.boxes[JOHN].path.parent.with_name("John"))
    world.run(0)
    assert (world.state, world.dovecot.asked) == (("agrees", 1, 0), [["John@example.org"]])


# ---- warnings and history


def test_no_warning_by_a_doubted_usage(world: World, tmp_path: Path) -> None:
    """80 % is due by our own usage; Dovecot says 10 %, and then it is not."""
    policy = Policy(thresholds=parse_thresholds([80]), remind_seconds=0, below=True)
    watch = ThresholdWatch(world.ledger, None, Settings(policy, Exempt([])), lambda _: None)  # type: ignore[arg-type]
    world.boxes[JOHN].put(80 * KIB)
    world.measure(JOHN)
    assert world.entry().doubted  # a new account, until Dovecot was asked
    assert list(watch.changes([world.entry()], 0.0)) == []
    world.run(0)
    assert list(watch.changes([world.entry()], 0.0)) == []
    world.ledger.take_unjudged()
    world.ledger.take_unsampled()
    world.run(AGAIN)
    assert world.row().used_bytes == 10 * KIB
    assert JOHN in world.ledger.take_unjudged()
    assert JOHN in world.ledger.take_unsampled()
    assert list(watch.changes([world.entry()], 0.0)) == []


def test_a_confirmed_usage_is_warned_of(world: World) -> None:
    policy = Policy(thresholds=parse_thresholds([80]), remind_seconds=0, below=True)
    watch = ThresholdWatch(world.ledger, None, Settings(policy, Exempt([])), lambda _: None)  # type: ignore[arg-type]
    world.tell(JOHN, 82, 5)
    world.run(0, AGAIN)
    (change,) = watch.changes([world.entry()], 0.0)
    assert change.warning is not None
    assert change.warning.used == 82 * KIB


def test_a_new_account_is_not_doubted_for_long(world: World) -> None:
    """Where Dovecot is asked about many others first."""
    world.witness._most = 0
    world.run(0)
    assert world.entry().doubted
    world.run(HOLD)
    assert not world.entry().doubted


# ---- all accounts


def test_where_all_differ_the_driver_is_changed(town: World) -> None:
    for address in town.boxes:
        town.tell(address, 30, 1)
    town.run(0, AGAIN)
    assert (town.driver.name, town.driver.is_by_dovecot("new@example.org")) == ("doveadm", True)
    assert 'instead of the driver "maildir"' in town.witness.remark
    for address in town.boxes:
        town.tell(address, 10, 1)
    town.run(RECHECK)
    assert (town.driver.name, town.driver.is_by_dovecot("new@example.org")) == ("maildir", False)
    for address in town.boxes:
        town.measure(address)  # as the next round does
    assert {town.row(address).source for address in town.boxes} == {"scan"}


def test_where_one_differs_the_others_stay(town: World) -> None:
    town.tell(JANE, 30, 1)
    town.run(0, AGAIN)
    assert [town.row(address).source for address in (JOHN, JANE, MARY)] == ["scan", "doveadm", "scan"]
    assert (town.driver.name, town.state) == ("maildir", ("differs", 3, 1))


def test_an_account_that_goes(town: World) -> None:
    town.tell(JANE, 30, 1)
    town.run(0, AGAIN)
    town.ledger.set_accounts([Account(JOHN, LIMIT), Account(MARY, LIMIT)])
    town.run(RECHECK)
    assert (town.state, town.witness.examples) == (("agrees", 2, 0), {})


# ---- where Dovecot does not answer


def test_it_hangs(world: World) -> None:
    """Nothing changes, nobody is doubted any longer, and it is asked again after a pause that grows."""
    world.dovecot.told, told = {}, dict(world.dovecot.told)
    world.dovecot.fault = UnreachableError("doveadm did not end in time")
    world.run(0, 0.1)
    assert world.state == ("away", 0, 0)
    assert world.witness.remark == "doveadm did not end in time"
    assert not world.entry().doubted
    assert len(world.dovecot.asked) == 1
    world.dovecot.told = told
    world.run(RECHECK)
    assert world.state == ("agrees", 1, 0)


def test_it_goes_away_between_two_looks(town: World) -> None:
    """A difference that could not be confirmed is none."""
    town.tell(JANE, 30, 1)
    town.run(0)
    assert town.entry(JANE).doubted
    told, town.dovecot.told = town.dovecot.told, {}
    town.dovecot.fault = UnreachableError("down")
    town.run(AGAIN)
    assert (town.entry(JANE).doubted, town.row(JANE).source, town.state[0]) == (False, "scan", "away")
    town.dovecot.told = told
    town.run(RECHECK, AGAIN)
    assert (town.row(JANE).source, town.state) == ("doveadm", ("differs", 3, 1))


def test_it_answers_about_half_of_them(town: World) -> None:
    """The first without an answer may be the one at which it hangs: the others are asked about without it."""
    del town.dovecot.told[JANE]
    del town.dovecot.told[MARY]
    town.dovecot.fault = UnreachableError("doveadm did not end in time")
    town.run(0)
    town.tell(MARY, 10, 1)
    town.run(0.1)
    assert town.dovecot.asked[-1] == [MARY]
    assert town.state == ("agrees", 2, 0)
    assert f"no usage of 1 accounts, as {JANE}" in town.witness.remark


def test_an_unknown_user(town: World) -> None:
    town.dovecot.told[JANE] = NoSuchAccountError(JANE)
    town.run(0)
    assert (town.state, town.row(JANE).source, town.row(JANE).verified_at) == (("agrees", 2, 0), "scan", None)
    assert JANE in town.witness.remark
    assert not town.entry(JANE).doubted


def test_an_answer_without_limits(world: World) -> None:
    """As of a version that tells none."""
    world.dovecot.told[JOHN] = Quota(10, 1)
    world.run(0)
    assert world.state == ("agrees", 1, 0)


def test_our_own_file_system_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is left for later, and the thread is given up."""
    monkeypatch.setattr(witness_looks, "_PATIENCE", 0.1)
    go_on = threading.Event()
    monkeypatch.setattr(world.driver.fast, "measure", lambda *_: go_on.wait(20))
    world.run(0)
    go_on.set()
    assert (world.state, world.entry().doubted, world.row().source) == (("agrees", 0, 0), False, "scan")


def test_a_mailstore_that_is_not_there_proves_nothing(tmp_path: Path) -> None:
    """Dovecot counts 0 where the disk is not mounted: nobody goes by that."""
    world = World(tmp_path, [JOHN])
    away = {JOHN: "not mounted"}
    world.witness = Witness(
        world.ledger, world.driver, world.dovecot,  # type: ignore[arg-type]
        names=world.store.names, every=DAY, clock=lambda: world.now,
        away=lambda address: away.get(address, ""),
    )  # fmt: skip
    world.tell(JOHN, 0, 0)
    world.ledger.verify_again(world.entry())
    world.run(0, AGAIN)
    assert (world.row().source, world.row().used_bytes, world.row().verified_at) == ("scan", 10 * KIB, None)
    away.clear()
    world.tell(JOHN, 10, 1)
    world.run(RECHECK)
    assert world.state == ("agrees", 1, 0)


def test_a_clock_that_is_set_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day is only shown."""
    world.run(0)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    world.tell(JOHN, 82, 5)
    world.run(DAY, AGAIN)
    assert (world.row().source, world.row().verified_at) == ("doveadm", 1.0)
    assert world.witness.status.age_seconds == 0


def test_ten_thousand_are_asked_about_in_slices(tmp_path: Path) -> None:
    addresses = [f"u{number}@example.org" for number in range(3 * SLICE)]
    world = World(tmp_path, addresses[:1])
    world.ledger.set_accounts(Account(address, LIMIT) for address in addresses)
    for address in addresses:
        world.tell(address, 0, 0)
    world.run(0, 0, 0)
    assert [len(asked) for asked in world.dovecot.asked] == [SLICE] * 3
