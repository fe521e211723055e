"""The measurements of the README and of each release, as ratios within one run.

python -m tests.benchmarks policy | postfix | full | measuring | rounds | recalc | history | console | start | doctor
| rooms | witness | maps | all (see --help)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.benchmarks import (
    console,
    doctor,
    full,
    history,
    maps,
    measuring,
    policy,
    postfix,
    recalc,
    rooms,
    rounds,
    witness,
)

Measure = Callable[[argparse.Namespace], None]


def _each(measure: Callable[[int], None], *usual: int) -> Measure:
    """For each number of accounts."""

    def run(options: argparse.Namespace) -> None:
        for accounts in options.accounts or usual:
            measure(accounts)

    return run


def _first(options: argparse.Namespace, usual: int) -> int:
    return int((options.accounts or [usual])[0])


MEASUREMENTS: dict[str, Measure] = {
    "policy": lambda o: policy.report(policy.measure(_first(o, 1000), o.rounds, o.seconds)),
    "postfix": lambda o: postfix.measure(_first(o, 1000), o.rounds, o.seconds),
    "full": lambda o: full.measure(_first(o, 100_000), o.rounds, o.seconds),
    "measuring": lambda o: measuring.measure(_first(o, 10_000), o.rounds),
    "rounds": lambda o: rounds.measure(_first(o, 100_000), o.rounds, o.seconds),
    "recalc": lambda o: recalc.measure(o.rounds),
    "history": lambda o: history.measure(_first(o, 100_000), o.rounds, o.seconds),
    "history-mariadb": lambda o: history.measure_mariadb(_first(o, 5_000)),
    "console": _each(console.measure, 10_000, 100_000),
    "doctor": lambda o: doctor.measure(_first(o, 10_000), o.rounds),
    "maps": lambda o: maps.measure(_first(o, 1000), o.seconds),
    "rooms": lambda _: rooms.measure(),
    "witness": lambda o: witness.measure(_first(o, 10_000), o.rounds, o.seconds),
    "start": _each(console.start, 1000, 10_000, 100_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", choices=[*MEASUREMENTS, "all"])
    parser.add_argument("--accounts", type=int, nargs="+", help="how many; several where that is compared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one run of policy, postfix or full")
    options = parser.parse_args()
    for name in MEASUREMENTS if options.what == "all" else [options.what]:
        print(f"== {name}")
        MEASUREMENTS[name](options)


if __name__ == "__main__":
    main()
