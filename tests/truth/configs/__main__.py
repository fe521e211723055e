"""``python -m tests.truth.configs SERIES KIND SEED [COUNT]``: print a configuration and what differs there.

``python -m tests.truth.configs maps KIND SEED COUNT`` is for maps of Postfix.

With COUNT so many configurations from that seed on, and a table. KIND may be ``all``.
"""

from __future__ import annotations

import sys
from collections import Counter
from time import monotonic
from typing import cast

from tests.mailserver.series import dovecot_series
from tests.real.aliasing import tables
from tests.truth.configs.checking import Checked, check_all, checkers, outcomes
from tests.truth.configs.generating import generate, kinds
from tests.truth.configs.judging import EQUAL, TOLD, table
from tests.truth.configs.mapping import map_checker, mappings
from tests.truth.configs.model import Series
from tests.truth.scale import generate as drawn

_SHOWN = 900  # characters


def main() -> None:
    """Run it."""
    if sys.argv[1] == "maps":
        _maps(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    series, kind, seed = cast("Series", sys.argv[1]), sys.argv[2], int(sys.argv[3])
    number = int(sys.argv[4]) if sys.argv[4:] else 0
    counts: dict[str, Counter[str]] = {}
    with checkers() as at_hand:
        for name in kinds(series) if kind == "all" else [kind]:
            begun = monotonic()
            done = check_all(at_hand, [generate(series, name, at) for at in range(seed, seed + max(number, 1))])
            counts[name] = outcomes(done)
            for checked in done:
                print(_whole(checked) if not number else _short(checked), end="")
            print(f"{name}: {len(done) / (monotonic() - begun):.1f} a second", flush=True)
    print(table(counts))


def _maps(kind: str, seed: int, number: int) -> None:
    begun = monotonic()
    with map_checker() as compare:
        results = compare(dovecot_series() or "2.3", mappings(kind, drawn(tables(), number, seed), seed))
    print(*(f"{one.outcome} {one.text}\n" for one in results if one.outcome != EQUAL), sep="\n")
    print(f"{number / (monotonic() - begun):.1f} a second")
    print(table({kind: Counter(one.outcome for one in results)}))


def _whole(checked: Checked) -> str:
    results = "".join(f"{result.outcome} {result.sort}: {result.text}\n" for result in checked.results)
    return f"{checked}\n{results}{checked.refused}\n{checked.failures}\n"


def _short(checked: Checked) -> str:
    told = [result for result in checked.results if result.outcome == TOLD]
    shown = [*checked.silent[:2], *told[:1]]
    lines = [f"  {result.outcome} {result.sort}: {result.text[:120]} … {result.text[-_SHOWN:]}" for result in shown]
    failures = [failure for failure in checked.failures if "OVERQUOTA" not in failure and "552" not in failure]
    if not (lines or checked.refused or failures):
        return ""
    return "\n".join([checked.configuration.again, *lines, checked.refused, *failures, ""])


main()
