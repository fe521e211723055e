"""The measurements of the README and of each release, as ratios within one run.

python -m tests.benchmarks policy | measuring | console   (see --help)
"""

from __future__ import annotations

import argparse

from tests.benchmarks import measuring, policy


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", choices=["policy", "measuring"])
    parser.add_argument("--accounts", type=int, help="default: 1,000 for policy, 10,000 for measuring")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one policy run")
    options = parser.parse_args()
    if options.what == "policy":
        policy.report(policy.measure(options.accounts or 1000, options.rounds, options.seconds))
    else:
        measuring.measure(options.accounts or 10_000, options.rounds)


if __name__ == "__main__":
    main()
