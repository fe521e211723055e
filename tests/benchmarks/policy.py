"""Policy answers: mailquota beside Dovecot's quota-status (default and tuned) and a server that does not look.

Rounds are interleaved, since the machine's speed drifts; medians and ratios are what counts.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import load, worlds
from tests.benchmarks.load import Load
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer

CONNECTIONS = (1, 10, 100, 500)
Runs = dict[tuple[str, int], list[Load]]


def measure(accounts: int, rounds: int, seconds: float) -> Runs:
    """All servers at all numbers of connections, in turn."""
    runs: Runs = {}
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        server = stack.enter_context(MailServer(folder, tuned=True))
        users = worlds.fill(server, accounts)
        program = load.compile_generator(folder)
        settings = worlds.write_settings(server)
        bare = folder / "bare.sock"
        stack.enter_context(worlds.mailquota(settings, server.policy_socket))
        stack.enter_context(worlds.process(sys.executable, "-m", "tests.benchmarks.bare", str(bare), ready=bare))
        sockets = {"mailquota": server.policy_socket, "bare": bare, "quota-status tuned": server.quota_status_socket}
        ask: Callable[[Path, int], Load] = lambda path, conns: load.run(program, path, users, conns, seconds)  # noqa: E731
        for _ in range(rounds):
            for connections in CONNECTIONS:
                for name, path in sockets.items():
                    runs.setdefault((name, connections), []).append(ask(path, connections))
        _default(server, ask, runs)
    return runs


def _default(server: MailServer, ask: Callable[[Path, int], Load], runs: Runs) -> None:
    """quota-status as in the tutorial, and mailquota right after it, as a restart lies between."""
    server.dovecot.stop()
    server.dovecot.tuned = False
    server.dovecot.start()
    for connections in CONNECTIONS:
        runs["quota-status default", connections] = [ask(server.quota_status_socket, connections)]
        runs["mailquota", connections].append(ask(server.policy_socket, connections))


def report(runs: Runs) -> None:
    """The table."""
    print(
        f"{'server':<22}{'conns':>6}{'answers/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'starved':>9}{'faults':>8}"
    )
    for (name, connections), loads in sorted(runs.items(), key=lambda item: (item[0][1], item[0][0])):
        middle = {key: statistics.median(getattr(one, key) for one in loads) for key in ("per_second", "p50", "p99")}
        worst, faults = max(one.worst for one in loads), sum(one.faults for one in loads)
        print(
            f"{name:<22}{connections:>6}{middle['per_second']:>11.0f}{middle['p50']:>9.2f}{middle['p99']:>9.2f}"
            f"{worst:>9.1f}{max(one.starved for one in loads):>9}{faults:>8}"
        )
    print()
    for connections in CONNECTIONS:
        ours = runs["mailquota", connections]
        for name in ("quota-status default", "quota-status tuned", "bare"):
            theirs = runs[name, connections]
            rate = _ratio(ours, theirs, "per_second")
            p99 = _ratio(ours, theirs, "p99")
            print(f"mailquota : {name} at {connections} connections: {rate:.2f} x the answers/s, {p99:.4f} x the p99")


def _ratio(ours: list[Load], theirs: list[Load], key: str) -> float:
    """Median of the pairs of one round."""
    pairs = zip(ours[: len(theirs)], theirs, strict=True)
    return float(statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs))
