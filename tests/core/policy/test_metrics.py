"""Counters and latencies of the policy server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.policy.metrics import Metrics


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_percentile(micros: list[int], share: float) -> None:
    """Within 6 % of the exact one, and never above it."""
    metrics = Metrics()
    for value in micros:
        metrics.answered(value)
    exact = sorted(micros)[max(0, math.ceil(share * len(micros)) - 1)]
    found = metrics.percentile(share)
    assert found is not None
    assert exact * 0.94 <= found <= exact


@pytest.mark.parametrize("value", [-5, 2**31, 2**62])
def test_absurd_times(value: int) -> None:
    """A clock that jumped breaks nothing."""
    metrics = Metrics()
    metrics.answered(value)
    found = metrics.percentile(0.5)
    assert found is not None
    assert found >= 0


def test_nothing_yet() -> None:
    """None, not 0: there was no answer that took no time."""
    metrics = Metrics()
    assert metrics.percentile(0.99) is None
    assert metrics.per_second == 0.0


def test_old_answers_are_forgotten() -> None:
    """After two minutes at most."""
    metrics = Metrics()
    metrics.tick(0)
    metrics.answered(1000)
    metrics.tick(61)
    metrics.answered(10)
    assert metrics.percentile(1.0) == 992  # 1,000 in its bucket
    metrics.tick(121)
    assert metrics.percentile(1.0) == 10
    metrics.tick(181)
    assert metrics.percentile(1.0) is None
    assert metrics.requests == 2


def test_answers_per_second() -> None:
    """Over the last five seconds."""
    metrics = Metrics()
    for second in range(10):
        metrics.tick(second)
        for _ in range(100 if second < 5 else 20):
            metrics.answered(1)
    assert metrics.per_second == (100 + 4 * 20) / 5
    metrics.tick(10)
    assert metrics.per_second == 20.0


def test_another_engine_goes_on() -> None:
    """With the counts of the one before it, and what its own answers took."""
    before, after = Metrics(1000.0), Metrics(2000.0)
    for micros in (10, 20, 5000):
        before.answered(micros)
    before.tick(61)
    before.answered(30)
    before.refused, before.trouble = 2, 1
    after.answered(10)
    after.go_on(before.counts())
    assert (after.since, after.requests, after.refused, after.trouble) == (1000.0, 5, 2, 1)
    edges, _micros = after.histogram()
    assert dict(edges)[16] == 2
    assert edges[-1][1] == 5
    assert after.percentile(1.0) == 10
