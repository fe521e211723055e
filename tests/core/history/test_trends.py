"""Growth and sparklines for the table, once a day, and the thinning out beside it."""

from __future__ import annotations

import pytest

from mailquota.core.base.model import Trend
from tests.core.histories import DAY, GIB, HOUR, MIB, NOW, Life, play, rounds


def test_growth_comes_into_the_ledger(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slices; readers get only the rows whose growth changed."""
    monkeypatch.setattr("mailquota.core.history.trends._SLICE", 2)

    async def scene() -> None:
        life.accounts(GIB, "a", "b", "c")
        life.now = NOW - 5 * DAY
        sampler = life.sampler()
        life.measure(b=7)
        await rounds(life, sampler, *(number * 10 * MIB for number in range(6)), every=DAY)
        life.now = NOW
        life.ledger.take_changes()
        trend_job = life.trend_job()
        await trend_job.round()
        rows = {row.address: row for row in life.ledger.take_changes()[0]}
        assert set(rows) == {"a@x", "b@x"}
        assert rows["a@x"].growth_bytes_per_day == 10 * MIB
        assert rows["a@x"].days_to_full == 97.4
        assert rows["a@x"].week == "1123345"
        assert (rows["b@x"].growth_bytes_per_day, rows["b@x"].days_to_full) == (0, None)
        assert life.entry("c").trend is None

    play(scene)


def test_a_trend_is_computed_again_after_a_day_and_not_before(life: Life) -> None:
    async def scene() -> None:
        life.accounts(GIB, "a")
        sampler, trend_job = life.sampler(), life.trend_job()
        life.now = NOW - 2 * DAY
        await rounds(life, sampler, 0, 100 * MIB, every=DAY)
        await trend_job.round()
        before = life.entry("a").trend
        assert before == Trend(0, 0, 100 * MIB)
        await rounds(life, sampler, 900 * MIB, every=HOUR)
        for _ in range(18):
            await trend_job.round()
            life.pass_time(HOUR)
        assert life.entry("a").trend == before
        for _ in range(7):
            life.pass_time(HOUR)
            await trend_job.round()
        assert life.entry("a").trend != before

    play(scene)


def test_a_round_thins_out_and_forgets(life: Life) -> None:
    async def scene() -> None:
        life.accounts(None, "a", "b")
        life.measure(b=1)
        sampler = life.sampler()
        await rounds(life, sampler, *range(1, 97))
        life.accounts(None, "a")
        await sampler.round()
        life.pass_time(9 * DAY)
        trend_job = life.trend_job(5 * DAY)
        for _ in range(48):
            await trend_job.round()
            life.pass_time(HOUR)
        assert life.uses() == [96]
        assert [row.address for row in life.samples.page(0)] == ["a@x"]

    play(scene)
