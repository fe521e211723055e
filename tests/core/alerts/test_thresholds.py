"""Warnings by state, over a real state database: nothing is lost and nothing is repeated."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.alerts.thresholds import Settings
from mailquota.core.base.model import Account, LastWarning
from mailquota.core.history import sqlite
from mailquota.core.history.connection import StateError
from mailquota.core.mailboxes.measure import Measurement
from tests.core.loops import run
from tests.core.town import JOHN, LIMIT, MARY, Town, failing

DAY = 86400.0
MakeTown = Callable[..., Town]


@pytest.fixture
def make_town(tmp_path: Path) -> Iterator[MakeTown]:
    """Towns on the same state database: an engine after the other, or two at once."""
    towns = []

    def make(**settings: Any) -> Town:
        towns.append(Town(tmp_path / "state.db", **settings))
        return towns[-1]

    yield make
    for town in towns:
        town.close()


def test_a_mailbox_that_fills_up(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        for used in (500, 800, 810, 960, 1000, 1010):
            town.set(JOHN, used)
            await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "95%")]
        town.set(JOHN, 100)
        await town.step()
        assert town.sender.sent[2:] == [(JOHN, "below")]

    run(scene())


def test_a_lowered_limit_warns(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 500)
        await town.step()
        town.ledger.set_limit(JOHN, 510)
        await town.step()
        assert town.sender.sent == [(JOHN, "95%")]

    run(scene())


def test_a_restart_repeats_nothing_and_loses_nothing(make_town: MakeTown) -> None:
    """What happened while no engine ran is told by the next one."""

    async def scene() -> None:
        first = make_town()
        first.set(JOHN, 850)
        first.set(MARY, 500)
        await first.step()
        second = make_town()
        second.set(JOHN, 850)
        second.set(MARY, 900)
        await second.step()
        assert first.sender.sent == [(JOHN, "80%")]
        assert second.sender.sent == [(MARY, "80%")]

    run(scene())


def test_two_engines_at_once_send_each_mail_once(make_town: MakeTown) -> None:
    async def scene() -> None:
        towns = [make_town(), make_town()]
        for used in (850, 960, 100):
            for town in towns:
                town.set(JOHN, used)
            for town in towns:
                await town.step()
        assert sorted(towns[0].sender.sent + towns[1].sender.sent) == [(JOHN, "80%"), (JOHN, "95%"), (JOHN, "below")]
        assert towns[0].thresholds.told == towns[1].thresholds.told == {}

    run(scene())


def test_unlimited_exempt_and_disabled_accounts_are_never_told(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 10**9, None)
        town.set("postmaster@example.org", 999)
        town.set(MARY, 999, enabled=False)
        await town.step()
        assert town.sender.sent == []

    run(scene())


def test_who_becomes_unlimited_is_forgotten_without_a_word(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 850)
        await town.step()
        town.set(JOHN, 850, None)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%")]
        assert town.thresholds.told == {}
        assert town.book.told() == {}

    run(scene())


def test_a_mailbox_that_can_not_be_measured_changes_nothing(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        for used in (850, None, 850, None, 500):
            town.set(JOHN, used)
            await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "below")]

    run(scene())


def test_accounts_that_are_not_there_for_a_moment_are_not_told_anew(make_town: MakeTown) -> None:
    """As when a database is restored from a copy."""

    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 850)
        await town.step()
        town.remove(JOHN)
        await town.step()
        town.set(JOHN, 850)
        await town.step()
        await town.step(2 * DAY)
        await town.thresholds.forget_gone()
        town.set(JOHN, 851)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%")]

    run(scene())


def test_an_address_that_returns_with_another_mailbox_hears_nothing_of_the_old_one(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 850)
        await town.step()
        town.remove(JOHN)
        await town.step()
        town.set(JOHN, 0)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%")]
        town.set(JOHN, 800)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "80%")]

    run(scene())


def test_accounts_that_are_gone_for_good_are_forgotten(make_town: MakeTown) -> None:
    """Also those that went while no engine ran."""

    async def scene() -> None:
        first = make_town()
        first.set(JOHN, 850)
        first.set(MARY, 850)
        await first.step()
        town = make_town()
        town.set(MARY, 850)
        await town.step()
        await town.thresholds.forget_gone()
        assert set(town.book.told()) == {JOHN, MARY}
        town.later(DAY + 1)
        await town.thresholds.forget_gone()
        assert set(town.book.told()) == set(town.thresholds.told) == {MARY}

    run(scene())


def test_who_is_gone_for_a_moment_is_not_forgotten_though_the_clock_is_set_back(make_town: MakeTown) -> None:
    """A database that shows nothing for that moment must not make everybody be warned anew."""

    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 850)
        await town.step()
        town.remove(JOHN)
        await town.step()
        town.now -= 2 * DAY
        await town.thresholds.forget_gone()
        town.set(JOHN, 850)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%")]

    run(scene())


@pytest.mark.parametrize("back", [5.0, 3600.0, 30 * DAY])
def test_a_warning_that_waits_leaves_though_the_clock_is_set_back(make_town: MakeTown, back: float) -> None:
    """At once, or after the pause for its failures."""

    async def scene() -> None:
        town = make_town()
        town.sender.refuse = failing()
        town.set(JOHN, 850)
        await town.step()
        town.set(MARY, 850)
        await town.thresholds.look()
        town.now -= back
        town.sender.refuse = lambda _address: None
        await town.rounds()
        assert (MARY, "80%") in town.sender.sent
        for _ in range(7):
            await town.step(10.0)
        assert sorted(town.sender.sent) == [(JOHN, "80%"), (MARY, "80%")]

    run(scene())


def test_reminders_come_without_any_change(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town(remind_every="7d")
        town.set(JOHN, 850)
        await town.step()
        for _ in range(8):
            await town.step(DAY)
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "80%")]

    run(scene())


def test_changed_settings_hold_at_once(make_town: MakeTown) -> None:
    async def scene() -> None:
        town = make_town(thresholds=())
        town.set(JOHN, 999)
        await town.step()
        assert town.sender.sent == []
        town.warnings = type(town.warnings)()
        town.thresholds.settings = Settings.of(town.config())
        town.set(JOHN, 998)
        await town.step()
        assert town.sender.sent == [(JOHN, "95%")]

    run(scene())


def test_a_crowd_is_told_one_by_one(make_town: MakeTown) -> None:
    """An import makes 2,000 mailboxes cross a mark at once: each mail once, none above the rate, one digest."""

    async def scene() -> None:
        town = make_town(copy_to=("admin@example.net",), max_per_minute=100)
        names = [f"u{number}@example.org" for number in range(2000)]
        town.ledger.set_accounts(Account(name, LIMIT) for name in names)
        for name in names:
            entry = town.ledger.entries[name]
            town.ledger.set_known(entry, None, Measurement(900, 1, "maildirsize", None), town.now)
        for _ in range(40):
            before = len(town.sender.sent)
            await town.step(61.0)
            assert len(town.sender.sent) - before <= 100
        assert sorted(town.sender.sent) == sorted((name, "80%") for name in names)
        assert [(to, len(told)) for to, told in town.sender.told] == [("admin@example.net", 2000)]

    run(scene())


def test_while_nothing_can_be_remembered_nobody_is_told_and_nobody_is_lost(
    make_town: MakeTown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.05)

    async def scene() -> None:
        town = make_town()
        town.set(JOHN, 850)
        await town.thresholds.look()
        town.set(MARY, 960)
        with closing(sqlite3.connect(tmp_path / "state.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match="locked"):
                await town.thresholds.look()
        assert MARY not in town.thresholds.told
        await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (MARY, "95%")]

    run(scene())


def test_what_another_engine_told_is_learnt(make_town: MakeTown) -> None:
    async def scene() -> None:
        town, other = make_town(), make_town()
        await town.thresholds.look()
        other.set(JOHN, 850)
        await other.step()
        town.set(JOHN, 850)
        await town.step()
        assert town.thresholds.told == {JOHN: LastWarning(80.0, other.now)}

    run(scene())
