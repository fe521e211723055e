"""The measurements of the README and of each release, as ratios within one run.

python -m tests.benchmarks policy | postfix | measuring | recalc | console | start   (see --help)
"""

from __future__ import annotations

import argparse

from tests.benchmarks import console, measuring, policy, postfix, recalc


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", choices=["policy", "postfix", "measuring", "recalc", "console", "start"])
    parser.add_argument("--accounts", type=int, nargs="+", help="how many; several where that is compared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one run of policy or postfix")
    options = parser.parse_args()
    if options.what == "policy":
        policy.report(policy.measure((options.accounts or [1000])[0], options.rounds, options.seconds))
    elif options.what == "postfix":
        postfix.measure((options.accounts or [1000])[0], options.rounds, options.seconds)
    elif options.what == "measuring":
        measuring.measure((options.accounts or [10_000])[0], options.rounds)
    elif options.what == "recalc":
        recalc.measure(options.rounds)
    elif options.what == "console":
        for accounts in options.accounts or [10_000, 100_000]:
            console.measure(accounts)
    else:
        for accounts in options.accounts or [1000, 10_000, 100_000]:
            console.start(accounts)


if __name__ == "__main__":
    main()
