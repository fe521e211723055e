"""The history at its largest: every account changed in every slot that is kept, for 400 days.

Its size, what a round of writing and the reckoning of growth cost, how long the card takes, and what becomes of the
answers while all of it is written and reckoned without end.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from mailquota.core.base.mysql import Target
from mailquota.core.control.messages import GetDetails
from mailquota.core.control.results import Details
from mailquota.core.history.connection import Sql
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Samples
from mailquota.core.history.stored_accounts import StoredAccount
from mailquota.core.history.thinning import SLOT, slot_of
from tests.benchmarks import load, local, worlds
from tests.core.clients import Console
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mariadb import MariaDB

DAYS = 400
WRITTEN = 100  # accounts at a time, as by core/history/sampling.py
RECKONED = 20  # as by core/history/trends.py
SAMPLE = 2000  # accounts whose growth is reckoned, to be multiplied
CARDS = 20


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """All of it on one database."""
    with local.world(accounts) as world:
        path = world.folder / "state.db"
        with closing(StateDatabase(Target("sqlite", path=path))) as state:
            fill(state, world.addresses)
        report_size("SQLite", path.stat().st_size, accounts)
        with closing(StateDatabase(Target("sqlite", path=path))) as state:
            _write(Samples(state), world.addresses)
            _reckon(Samples(state), world.addresses)
            _series(Samples(state), path, world.addresses)
        _cards(world, path)
        _beside(world, rounds, seconds)


def measure_mariadb(accounts: int) -> None:
    """Its size there."""
    with temporary_folder() as folder, MariaDB(folder / "mariadb") as server:
        server.sql("CREATE DATABASE history CHARACTER SET utf8mb4")
        server.sql(f"GRANT ALL ON history.* TO {server.writer}@{server.host}")
        target = Target("mysql", ((server.host, server.port),), "history", server.writer, server.password)
        with closing(StateDatabase(target)) as state:
            fill(state, [f"u{number:06}@d.example" for number in range(accounts)])
            _write(Samples(state), [f"u{number:06}@d.example" for number in range(accounts)])
        size = sum(file.stat().st_size for file in Path(folder / "mariadb").rglob("history/*.ibd"))
        report_size("MariaDB", size, accounts)


def kept(now: int) -> list[int]:
    """The slots of a history that is thinned out."""
    day, threes = now - now % 96, now - now % 12
    days = range(day - DAYS * 96 + 95, day - 8 * 96, 96)
    hours = range(day - 8 * 96 + 11, threes - 96, 12)
    return [*days, *hours, *range(threes - 96, now)]


def fill(state: StateDatabase, addresses: list[str]) -> None:
    """Straight by SQL; each slot in a transaction of its own."""
    now = time.time()
    Samples(state).write([AccountUsage(address, 1, 1) for address in addresses], now - DAYS * 86400)
    values = "3000000000 + id * 60000 + {0} * 1000, 40000 + id"
    slots = kept(slot_of(now))
    state.write(lambda sql: sql.change("DELETE FROM sample"))
    for slot in slots:
        state.write(partial(_fill_slot, slot=slot, values=values.format(slot % 1000)))
    last = values.format(slots[-1] % 1000)
    state.write(lambda sql: sql.change(f"REPLACE INTO latest SELECT id, {last}, ? FROM account", (now,)))
    state.write(
        lambda sql: sql.change("REPLACE INTO trend SELECT id, 1000, 900, 1100, '0123456', ? FROM account", (now,))
    )
    print(f"{len(slots)} slots of {len(addresses):,} accounts, {len(slots) * len(addresses):,} rows")


def _fill_slot(sql: Sql, slot: int, values: str) -> None:
    sql.change(f"INSERT {sql.ignore} INTO slot VALUES (?)", (slot,))
    sql.change(f"INSERT INTO sample SELECT ?, id, {values} FROM account ORDER BY id", (slot,))


def report_size(name: str, size: int, accounts: int) -> None:
    rows = len(kept(slot_of(time.time()))) * accounts
    print(f"{name}: {size / 1e9:.2f} GB, {size / rows:.1f} bytes a row with everything beside it")
    if accounts < 100_000:
        print(f"{name}: {size / accounts * 1e5 / 1e9:.2f} GB with 100,000 accounts")


@contextmanager
def cpu(what: str, scale: float = 1.0) -> Iterator[None]:
    """CPU seconds of this process."""
    before = time.process_time()
    yield
    print(f"{what}: {(time.process_time() - before) * scale:.2f} s of CPU")


def _write(samples: Samples, addresses: list[str]) -> None:
    """All changed, then none; without the rests that an engine makes between two slices."""
    for what, use in (("changed", 5), ("changed again", 6), ("unchanged", 6)):
        figures = [AccountUsage(address, use * 10**9 + number, use) for number, address in enumerate(addresses)]
        with cpu(f"writing a round of {len(addresses):,}, all {what}"):
            for start in range(0, len(figures), WRITTEN):
                samples.write(figures[start : start + WRITTEN], time.time() + use * SLOT)


def _reckon(samples: Samples, addresses: list[str]) -> None:
    chosen = addresses[len(addresses) // 2 :][:SAMPLE]
    later = time.time() + 86400
    with cpu(f"reckoning the growth of {len(addresses):,} (from {len(chosen):,})", len(addresses) / len(chosen)):
        for start in range(0, len(chosen), RECKONED):
            samples.compute_trends(dict.fromkeys(chosen[start : start + RECKONED]), later)


def _drop_cache(path: Path) -> None:
    """What the kernel holds of a file."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def _time(what: str, path: Path, addresses: list[str], points: Callable[[str], int]) -> None:
    """Of some accounts, each first with nothing of it in memory, and then again."""
    taken: dict[str, list[float]] = {"nothing of it in memory": [], "once more": []}
    for address in random.Random(1).sample(addresses, CARDS):
        _drop_cache(path)
        for seconds in taken.values():
            started = time.perf_counter()
            assert points(address) > 200
            seconds.append((time.perf_counter() - started) * 1000)
    for how, found in taken.items():
        print(f"{what} of one account, {how}: median {statistics.median(found):.1f} ms, at most {max(found):.1f} ms")


def _series(samples: Samples, path: Path, addresses: list[str]) -> None:
    later = time.time() + 86400
    _time("series", path, addresses, lambda address: len(samples.series(address, 0.0, later)))


def _cards(world: local.World, path: Path) -> None:
    """Through the control socket of an engine that has them all."""
    with worlds.mailquota(world.settings, world.policy_socket):
        local.wait_measured(world, len(world.addresses))
        time.sleep(15)  # the first round of sampling
        with Console(world.folder / "control.sock") as client:

            def card(address: str) -> int:
                details = client.ask(partial(GetDetails, address=address), Details)
                return len(details.points)

            _time("card", path, world.addresses, card)


def _beside(world: local.World, rounds: int, seconds: float) -> None:
    """Answers of an engine whose history rests, and of one that writes and reckons all accounts without end."""
    program = load.compile_generator(world.folder)
    users = world.folder / "asked"
    users.write_text("\n".join(world.addresses[:: max(1, len(world.addresses) // 1000)]) + "\n")
    runs: dict[str, list[float]] = {"rests": [], "works": []}
    for _ in range(rounds):
        for name, module in (("rests", "mailquota"), ("works", "tests.benchmarks.history")):
            command = (sys.executable, "-m", module, "--serve", "--config", str(world.settings))
            with worlds.process(*command, ready=world.policy_socket) as process:
                local.wait_measured(world, len(world.addresses))
                before = worlds.cpu_seconds(process.pid)
                time.sleep(15)
                used = (worlds.cpu_seconds(process.pid) - before) / 15
                runs[name].append(load.run(program, world.policy_socket, users, 100, seconds).p99)
                print(f"history {name}: {used:.0%} of a core without load, p99 under load {runs[name][-1]:.2f} ms")
    ratio = statistics.median(works / rests for works, rests in zip(runs["works"], runs["rests"], strict=True))
    print(f"p99 of answers at 100 connections while the history works: {ratio:.2f} x")


def _serve_without_rest() -> None:
    """An engine to whom every figure is new and every trend due, always."""
    from mailquota.core.history import samples, sampling, service, trends
    from mailquota.tui.command import main

    def everybody(self: sampling.Sampler) -> None:
        self._ledger._unsampled = dict(self._ledger.entries)

    round_of_all = sampling.Sampler.round

    async def again(self: sampling.Sampler) -> None:
        everybody(self)
        await round_of_all(self)

    sampling.Sampler.round = again  # type: ignore[method-assign]
    sampling.Sampler._was_written = lambda *_: False  # type: ignore[method-assign]
    samples._is_known = lambda *_: False
    StoredAccount.is_due = lambda *_: True  # type: ignore[method-assign]
    trends._PASS_EVERY = service._ROUND_SECONDS = service._TREND_SECONDS = 0.01
    main()


if __name__ == "__main__":
    _serve_without_rest()
