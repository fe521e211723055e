"""Everything switched on: aliases, reservations, the decision log and a console on 100,000 accounts, beside none of it.

Both ways are asked about the same 1,000 mailboxes; with everything on, half of the recipients are aliases of them.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.benchmarks import load, local, worlds
from tests.benchmarks.console import Terminal
from tests.benchmarks.load import Load

ASKED = 1000  # mailboxes
CONNECTIONS = 100


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """In turn, each time with a new engine."""
    with local.world(accounts) as world:
        program = load.compile_generator(world.folder)
        step = max(1, accounts // ASKED)
        boxes = world.addresses[::step][:ASKED]
        plain, mixed = world.folder / "plain", world.folder / "mixed"
        plain.write_text("\n".join(boxes) + "\n")
        mixed.write_text("\n".join([*boxes[::2], *_add_aliases(world, boxes[1::2])]) + "\n")
        bare = world.settings.with_name("bare.toml")
        bare.write_text(world.settings.read_text().replace("[policy]", '[policy]\nreserve = "0s"\naliases = false'))
        runs: dict[str, list[Load]] = {"nothing of it": [], "everything": []}
        for _ in range(rounds):
            with _engine(world, bare):
                runs["nothing of it"].append(load.run(program, world.policy_socket, plain, CONNECTIONS, seconds))
            with _engine(world, world.settings), _console(world):
                runs["everything"].append(load.run(program, world.policy_socket, mixed, CONNECTIONS, seconds))
    _report(accounts, runs)


def _add_aliases(world: local.World, boxes: list[str]) -> list[str]:
    """An alias of an alias of each; the addresses to ask for."""
    rows = []
    for number, box in enumerate(boxes):
        domain = box.rpartition("@")[2]
        rows += [(f"alias{number}@{domain}", f"inner{number}@{domain}"), (f"inner{number}@{domain}", box)]
    with closing(sqlite3.connect(world.folder / "accounts.db")) as connection, connection:
        connection.executemany(
            "INSERT INTO virtual_aliases (domain_id, source, destination) SELECT id, ?, ? FROM virtual_domains LIMIT 1",
            rows,
        )
    return [source for source, _ in rows[::2]]


@contextmanager
def _engine(world: local.World, settings: Path) -> Iterator[None]:
    """Once everybody was measured."""
    with worlds.mailquota(settings, world.policy_socket):
        local.wait_measured(world, len(world.addresses))
        yield


@contextmanager
def _console(world: local.World) -> Iterator[None]:
    """On a terminal that is read all the time, once it shows the accounts."""
    with ExitStack() as stack:
        terminal = Terminal([sys.executable, "-m", "mailquota", "--config", str(world.settings)])
        stack.callback(terminal.end)
        terminal.read_until(b"@d0")
        ended = threading.Event()

        def read() -> None:
            while not ended.is_set():
                terminal.read(0.1)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        stack.callback(reader.join)
        stack.callback(ended.set)
        time.sleep(1)
        yield


def _report(accounts: int, runs: dict[str, list[Load]]) -> None:
    for name, found in runs.items():
        rates, p99 = [one.per_second for one in found], statistics.median(one.p99 for one in found)
        spread = f"{min(rates):.0f} to {max(rates):.0f}"
        print(f"{name:<16}{statistics.median(rates):>8.0f} answers/s ({spread}), p99 {p99:.1f} ms")
    pairs = zip(runs["everything"], runs["nothing of it"], strict=True)
    share = statistics.median(full.per_second / bare.per_second for full, bare in pairs)
    print(f"{accounts} accounts, {CONNECTIONS} connections: everything : nothing of it = {share:.2f}")
