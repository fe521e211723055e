"""``python -m tests.truth.configs SERIES KIND SEED [COUNT]``: print a configuration and what differs there.

With COUNT so many configurations from that seed on, and a table. KIND may be ``all``.
"""

from __future__ import annotations

import sys
from collections import Counter
from time import monotonic
from typing import cast

from tests.truth.configs.checking import check_all, checker
from tests.truth.configs.generating import generate, kinds
from tests.truth.configs.judging import table
from tests.truth.configs.model import Series


def main() -> None:
    """Run it."""
    series, kind, seed = cast("Series", sys.argv[1]), sys.argv[2], int(sys.argv[3])
    number = int(sys.argv[4]) if len(sys.argv) > 4 else 1  # noqa: PLR2004 - the fourth argument
    counts: dict[str, Counter[str]] = {}
    with checker() as one:
        for name in kinds(series) if kind == "all" else [kind]:
            begun = monotonic()
            done, counts[name] = check_all(one, (generate(series, name, at) for at in range(seed, seed + number)))
            for checked in done:
                if checked.refused or checked.failures:
                    print(f"{checked.configuration.again}: {checked.refused} {checked.failures}")
                if checked.silent or number == 1:
                    print(checked if number == 1 else f"{checked.configuration.again}\n  {checked.silent[0].text}")
                if number == 1:
                    print(*(f"{result.outcome} {result.sort}: {result.text}" for result in checked.results), sep="\n")
            print(f"{name}: {number / (monotonic() - begun):.1f} a second", flush=True)
    print(table(counts))


main()
