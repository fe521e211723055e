"""The queue of warnings: pace, quiet hours, failures, crashes; and the mails to administrators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from mailquota.core.alerts.pace import RETRIES
from mailquota.core.history.connection import StateError
from mailquota.core.history.warnings import CLAIM_SECONDS
from tests.core.loops import run
from tests.core.town import JOHN, MARY, START, Town, failing, moot

ADMIN = "admin@example.net"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the state database."""
    return tmp_path / "state.db"


@pytest.fixture
def town(path: Path) -> Iterator[Town]:
    with closing(Town(path)) as found:
        yield found


async def fill(town: Town, count: int, used: int = 850) -> list[str]:
    names = [f"u{number:03}@example.org" for number in range(count)]
    for name in names:
        town.set(name, used)
    await town.thresholds.round()
    return names


def test_what_is_sent_is_in_the_queue_and_in_the_journal(town: Town) -> None:
    async def scene() -> None:
        town.set(JOHN, 850)
        await town.step()
        (row,) = town.rows()
        assert (row.address, row.mark, row.percent, row.used_bytes, row.limit_bytes) == (JOHN, "80%", 85.0, 850, 1000)
        assert (row.state, row.source, row.method, row.sent_at) == ("sent", "state", "maildir", town.now)
        assert town.kinds() == [(JOHN, "warning", "maildir")]
        assert (town.outbox.waiting, town.outbox.failed) == (0, 0)

    run(scene())


def test_at_most_so_many_a_minute_in_the_order_of_their_coming(path: Path) -> None:
    async def scene(town: Town) -> None:
        names = await fill(town, 8)
        for expected in (3, 3, 6, 8):
            await town.rounds()
            assert sorted(town.sender.sent) == [(name, "80%") for name in names[:expected]]
            assert town.outbox.waiting == 8 - expected
            town.later(59.0 if expected == 3 and town.steady < 5001 else 60.0)

    with closing(Town(path, max_per_minute=3)) as town:
        run(scene(town))


def test_a_restart_is_no_way_around_the_pace(path: Path) -> None:
    async def scene(first: Town, second: Town) -> None:
        await fill(first, 4)
        await first.rounds()
        second.later(30.0)
        await second.rounds()
        assert len(first.sender.sent) == 3
        assert second.sender.sent == []
        second.later(31.0)
        await second.rounds()
        assert len(second.sender.sent) == 1

    with closing(Town(path, max_per_minute=3)) as first, closing(Town(path, max_per_minute=3)) as second:
        run(scene(first, second))


def test_quiet_hours_keep_back_and_drop_nothing(path: Path) -> None:
    async def scene(town: Town) -> None:
        town.now = datetime(2026, 3, 10, 23, 0).astimezone().timestamp()
        town.set(JOHN, 850)
        for _ in range(7):
            await town.step(3600.0)
        assert town.sender.sent == []
        assert town.sender.sent_to_administrators == []
        assert town.outbox.waiting == 1
        await town.step(3600.0)
        assert town.sender.sent == [(JOHN, "80%")]
        await town.step(10.0)
        assert town.sender.sent_to_administrators == [(ADMIN, [JOHN])]

    with closing(Town(path, quiet_hours="22:00-07:00", copy_to=(ADMIN,))) as town:
        run(scene(town))


def test_a_failure_is_tried_again_shown_and_in_the_end_given_up(town: Town) -> None:
    async def scene() -> None:
        town.sender.refuse = failing()
        town.set(JOHN, 850)
        await town.step()
        (row,) = town.rows()
        assert (row.state, row.attempts, row.error) == ("queued", 1, "no space left on device")
        assert row.next_try == town.now + RETRIES[0]
        await town.step(RETRIES[0] - 1)
        assert town.rows()[0].attempts == 1
        for wait in RETRIES:
            await town.step(wait)
        (row,) = town.rows()
        assert (row.state, row.attempts) == ("failed", len(RETRIES) + 1)
        await town.outbox.round()
        assert (town.outbox.waiting, town.outbox.failed) == (0, 1)
        assert town.kinds() == [(JOHN, "warning", "not delivered: no space left on device")]
        town.sender.refuse = lambda _address: None
        await town.step(10 * 86400.0)
        assert town.sender.sent == [(JOHN, "80%")]  # the reminder

    run(scene())


def test_one_that_fails_keeps_no_other_back(town: Town) -> None:
    async def scene() -> None:
        town.sender.refuse = lambda address: OSError(28, "No space left on device") if address == JOHN else None
        town.set(JOHN, 850)
        town.set(MARY, 850)
        await town.step()
        assert town.sender.sent == [(MARY, "80%")]
        await town.step(RETRIES[0] - 5)
        town.sender.refuse = lambda _address: None
        await town.step(5.0)
        assert town.sender.sent == [(MARY, "80%"), (JOHN, "80%")]

    run(scene())


def test_an_account_that_went_meanwhile_is_dropped(town: Town) -> None:
    async def scene() -> None:
        town.sender.refuse = moot
        town.set(JOHN, 850)
        await town.step()
        (row,) = town.rows()
        assert (row.state, row.error) == ("dropped", "there is no such account any more")

    run(scene())


@pytest.mark.parametrize("there", [True, False])
def test_what_a_killed_engine_was_sending_arrives_once(path: Path, there: bool) -> None:
    """Whether the mail had arrived when it died or not."""

    async def scene(killed: Town, next_one: Town) -> None:
        killed.set(JOHN, 850)
        await killed.thresholds.round()
        killed.warning_log.claim(killed.now, 1)
        next_one.sender.there = {JOHN} if there else set()
        next_one.set(JOHN, 850)
        await next_one.step()
        assert next_one.sender.sent == []
        await next_one.step(CLAIM_SECONDS)
        assert next_one.sender.sent == ([] if there else [(JOHN, "80%")])
        assert [row.state for row in next_one.rows()] == ["sent"]

    with closing(Town(path)) as killed, closing(Town(path)) as next_one:
        run(scene(killed, next_one))


def test_a_clock_that_jumps_back_delays_nothing_for_long(town: Town) -> None:
    async def scene() -> None:
        town.sender.refuse = failing()
        town.set(JOHN, 850)
        await town.step()
        town.sender.refuse = lambda _address: None
        town.now = START - 10**8
        await town.step(3601.0)
        assert town.sender.sent == [(JOHN, "80%")]

    run(scene())


def test_a_state_database_that_is_gone_is_an_error_of_the_caller(town: Town, path: Path) -> None:
    path.mkdir()
    with pytest.raises(StateError):
        run(town.outbox.round())


# ---- administrators


def copies(path: Path, **settings: object) -> Town:
    return Town(path, copy_to=(ADMIN, "second@example.net"), **settings)


def test_few_are_copies_many_are_one_digest(path: Path) -> None:
    async def scene(town: Town) -> None:
        town.set(JOHN, 850)
        await town.step()
        assert town.sender.sent_to_administrators == []  # what comes with it is gathered
        await town.step(5.0)
        assert town.sender.sent_to_administrators == [(ADMIN, [JOHN]), ("second@example.net", [JOHN])]
        names = await fill(town, 20)
        await town.step(5.0)
        await town.step(5.0)
        assert town.sender.sent_to_administrators[2:] == [(ADMIN, names), ("second@example.net", names)]
        town.set(JOHN, 990)
        await town.step(5.0)
        await town.step(300.0)
        assert len(town.sender.sent_to_administrators) == 4  # after a digest it is quiet for a while
        await town.step(300.0)
        assert town.sender.sent_to_administrators[4:] == [(ADMIN, [JOHN]), ("second@example.net", [JOHN])]

    with closing(copies(path)) as town:
        run(scene(town))


def test_copies_count_for_the_pace(path: Path) -> None:
    async def scene(town: Town) -> None:
        town.set(JOHN, 850)
        seen = []
        for _ in range(4):
            await town.step(30.0)
            await town.step(31.0)
            seen.append(len(town.sender.sent) + len(town.sender.sent_to_administrators))
        assert seen == [1, 2, 3, 3]

    with closing(copies(path, max_per_minute=1)) as town:
        run(scene(town))


def test_an_administrator_who_can_not_be_reached_is_tried_again_and_no_trouble_to_owners(path: Path) -> None:
    async def scene(town: Town) -> None:
        town.sender.refuse = lambda address: failing()(address) if address == ADMIN else None
        town.set(JOHN, 850)
        await town.step()
        await town.step(5.0)
        assert town.sender.sent == [(JOHN, "80%")]
        assert town.sender.sent_to_administrators == []
        town.sender.refuse = lambda _address: None
        await town.step(600.0)
        assert town.sender.sent_to_administrators == [(ADMIN, [JOHN]), ("second@example.net", [JOHN])]

    with closing(copies(path)) as town:
        run(scene(town))


def test_an_administrator_who_is_never_reached_does_not_hold_up_others(path: Path) -> None:
    async def scene(town: Town) -> None:
        town.sender.refuse = lambda address: failing()(address) if address == ADMIN else None
        town.set(JOHN, 850)
        for _ in range(8):
            await town.step(601.0)
        assert town.sender.sent_to_administrators == [("second@example.net", [JOHN])]

    with closing(copies(path)) as town:
        run(scene(town))
