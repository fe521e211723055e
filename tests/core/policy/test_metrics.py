"""Counters and latencies of the policy server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.metrics import Metrics


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
    assert metrics.refused_last_hour == 0


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


def test_refusals_of_the_last_hour() -> None:
    """To the minute, those before the first tick included."""
    metrics = Metrics()
    metrics.refused = 3
    metrics.tick(0)
    assert metrics.refused_last_hour == 3
    for minute in range(1, 61):
        metrics.refused += 1
        metrics.tick(minute * 60)
    assert metrics.refused_last_hour == 63
    metrics.tick(61 * 60)
    assert metrics.refused_last_hour == 59
    for minute in range(62, 130):
        metrics.tick(minute * 60)
    assert metrics.refused_last_hour == 0
