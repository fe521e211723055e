"""How much is done in the short and in the long form, and from which seed it is generated."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
_SHOWN = 1500  # characters of a difference

LONG = os.environ.get("MAILQUOTA_LONG") == "1"
SEED = int(os.environ.get("MAILQUOTA_SEED") or random.SystemRandom().randrange(2**32))


def count(short: int, full: int) -> int:
    """Of rounds, cases, clients."""
    return full if LONG else short


def generate(cases: SearchStrategy[T], number: int, salt: int = 0) -> list[T]:
    """So many different cases (which are hashable), the same ones for the same seed."""
    found: dict[T, None] = {}

    @seed(SEED + salt)
    @settings(
        max_examples=2 * number, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def collect(case: T) -> None:
        found[case] = None

    collect()
    assert len(found) >= number
    return list(found)[:number]


def report(what: str, number: int, differences: list[str], say: Callable[[str], None] = print) -> None:
    """Say what was done; AssertionError with the differences, and how to have them again."""
    again = f"again with MAILQUOTA_SEED={SEED}{' MAILQUOTA_LONG=1' if LONG else ''}"
    say(f"{what}: {number} cases, {len(differences)} differences; {again}")
    shown = "\n".join(text[:_SHOWN] for text in differences[:20])
    assert not differences, f"{len(differences)} differences in {number} cases, {again}:\n{shown}"
