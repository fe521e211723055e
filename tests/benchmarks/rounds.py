"""Judging and remembering every account at once: what it costs, and what becomes of the answers meanwhile.

The engine runs in a process of its own (``python -m tests.benchmarks.rounds SETTINGS``), which on the word "round"
makes the use of every account another one, a quarter of an hour later by its history's clock, and tells how much CPU it
took until all of them were judged and written down.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core.config import load
from core.engine import Engine, Options
from core.history.thinning import SLOT
from core.serve import Embedded
from tests.benchmarks import load as generator
from tests.benchmarks import local, worlds

CONNECTIONS = 100
_IDLE_SECONDS = 5.0


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """Quiet and busy runs in turn."""
    with local.world(accounts) as world:
        _warn_at(world.settings, "[50, 80]")
        program = generator.compile_generator(world.folder)
        with _engine(world.settings) as engine:
            local.wait_measured(world, accounts)
            _round(engine)  # everybody is new to the history, and half of them reach a mark
            costs, ratios = [], []
            for _ in range(rounds):
                costs.append(_round(engine))
                quiet = generator.run(program, world.policy_socket, world.users, CONNECTIONS, seconds)
                _say(engine, "round")
                busy = generator.run(program, world.policy_socket, world.users, CONNECTIONS, seconds)
                _hear(engine)
                ratios.append(busy.p99 / quiet.p99)
                print(f"  p99 {quiet.p99:.1f} ms quiet, {busy.p99:.1f} ms meanwhile", flush=True)
    print(f"{accounts:,} accounts judged and written down: {statistics.median(costs):.2f} s of CPU a round")
    print(f"p99 of answers at {CONNECTIONS} connections meanwhile: {statistics.median(ratios):.2f} x")


def _warn_at(settings: Path, marks: str) -> None:
    """Marks that every second account is above; nothing is delivered, as these are quiet hours."""
    now = time.localtime()
    quiet = f"{now.tm_hour:02}:00-{(now.tm_hour + 12) % 24:02}:00"
    lines = f'thresholds = {marks}\nquiet_hours = "{quiet}"'
    settings.write_text(settings.read_text().replace("thresholds = []", lines))


@contextmanager
def _engine(settings: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.benchmarks.rounds", str(settings)]
    engine = subprocess.Popen(command, cwd=worlds.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        _hear(engine)
        yield engine
    finally:
        assert engine.stdin is not None
        engine.stdin.close()
        engine.wait(30)


def _round(engine: subprocess.Popen[str]) -> float:
    """CPU seconds of one round while nobody asks anything."""
    _say(engine, "round")
    return _hear(engine)


def _say(engine: subprocess.Popen[str], word: str) -> None:
    assert engine.stdin is not None
    engine.stdin.write(f"{word}\n")
    engine.stdin.flush()


def _hear(engine: subprocess.Popen[str]) -> float:
    assert engine.stdout is not None
    return float(engine.stdout.readline())


# ---- the engine's process


def main(settings: Path) -> None:
    config = load(settings, {})
    running = Embedded(config, Options(lambda: load(settings, {}), embedded=True))
    running.start()
    engine = running._engine
    assert engine is not None
    print(0.0, flush=True)
    for number, _ in enumerate(sys.stdin, 1):
        print(_one(engine, number), flush=True)
    running.stop()


def _one(engine: Engine, number: int) -> float:
    """CPU seconds until everything is judged and written, less what the engine takes while it rests."""
    idle, ledger = _cpu_a_second(), engine.ledger
    sampler = engine.keeping._sampler
    sampler._now = lambda: time.time() + number * SLOT
    started, before = time.monotonic(), time.process_time()
    for entry in ledger.entries.values():
        if entry.known is not None:
            entry.known = msgspec.structs.replace(entry.known, used=entry.known.used + number)
    everybody = dict(ledger.entries)
    made = time.process_time() - before
    ledger.unjudged, ledger.unsampled = everybody, dict(everybody)
    while ledger.unjudged or ledger.unsampled or sampler._taken or sampler._later:
        time.sleep(0.05)
    return time.process_time() - before - made - idle * (time.monotonic() - started)


def _cpu_a_second() -> float:
    before = time.process_time()
    time.sleep(_IDLE_SECONDS)
    return (time.process_time() - before) / _IDLE_SECONDS


if __name__ == "__main__":
    main(Path(sys.argv[1]))
