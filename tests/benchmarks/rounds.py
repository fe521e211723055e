"""Judging and remembering every account at once: what it costs, and what becomes of the answers meanwhile.

For the answers the engine runs in a process of its own (``python -m tests.benchmarks.rounds SETTINGS``). On the word
"round" it makes the use of every account another one, a quarter of an hour later by its history's clock, so that all of
them are to be judged and written down; on "rest" it forgets what of that is left to do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import psutil

from mailquota.core.alerts.thresholds import Settings, ThresholdWatch
from mailquota.core.base.model import Account
from mailquota.core.base.mysql import Target
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Samples
from mailquota.core.history.thinning import SLOT
from mailquota.core.history.warnings import DueWarning, WarningLog
from mailquota.core.mailboxes.ledger import Ledger
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.settings import declared as config
from mailquota.core.settings.config import DEFAULT_PATH, Config, load
from tests.benchmarks import load as generator
from tests.benchmarks import local, mailboxes, worlds
from tests.mailserver.fixture import temporary_folder

CONNECTIONS = 100
_SLICE = 250  # accounts, as the engine takes them
_CALM = 15.0  # percent of a core
_CALM_SECONDS = 180.0


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """First the work alone, then the engine with and without it, in turn."""
    with temporary_folder() as folder:
        for name, step in (("all grow a little", 1), ("all jump about, most of them over a mark", 1009 * 7919)):
            costs = list(_costs(folder / f"{step}.db", accounts, rounds, step))
            judging, writing = (statistics.median(column) for column in zip(*costs, strict=True))
            print(f"{accounts:,} accounts, {name}: judging {judging:.2f} s, writing {writing:.2f} s of CPU a round")
    ratios = list(_ratios(accounts, rounds, seconds))
    print(f"p99 of answers at {CONNECTIONS} connections meanwhile: {statistics.median(ratios):.2f} x")


def _costs(path: Path, accounts: int, rounds: int, step: int) -> Iterator[tuple[float, float]]:
    """CPU seconds of judging and of writing, where each use grows by ``step`` and begins anew at the limit.

    In the first round, which is not told, everybody is new.
    """
    ledger = Ledger(TrashNames(["Trash"]))
    ledger.set_accounts(Account(address, mailboxes.LIMIT) for address in mailboxes.addresses(accounts))
    entries = list(ledger.entries.values())
    settings = Settings.of(Config(config.Settings(), {}, DEFAULT_PATH))
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        thresholds = ThresholdWatch(ledger, WarningLog(state), settings, _nobody)
        samples, now = Samples(state), time.time()
        for number in range(rounds + 1):
            for place, entry in enumerate(entries):
                entry.known = Measurement((place * 7919 + number * step) % mailboxes.LIMIT, 5, "maildirsize", None)
            slices = [entries[start : start + _SLICE] for start in range(0, accounts, _SLICE)]
            figures = [[AccountUsage(e.address, e.known.used, 5) for e in some if e.known] for some in slices]
            begun = time.process_time()
            for some in slices:
                for change in thresholds._apply(list(thresholds.changes(some, now + number)), now + number):
                    thresholds._keep(change.address, change.after)
            judged = time.process_time()
            for figure in figures:
                samples.write(figure, now + number * SLOT)
            if number:
                yield judged - begun, time.process_time() - judged


def _nobody(_warnings: list[DueWarning]) -> None:
    """Who would send them."""


# ---- beside answers


def _ratios(accounts: int, rounds: int, seconds: float) -> Iterator[float]:
    with local.world(accounts) as world:
        _warn(world.settings)
        program = generator.compile_generator(world.folder)
        with _engine(world.settings) as engine:
            local.wait_measured(world, accounts)
            _wait_calm(engine)
            for _ in range(rounds):
                quiet = generator.run(program, world.policy_socket, world.users, CONNECTIONS, seconds)
                _order(engine, "round")
                busy = generator.run(program, world.policy_socket, world.users, CONNECTIONS, seconds)
                left = _order(engine, "rest")
                print(
                    f"  p99 {quiet.p99:.1f} ms quiet, {busy.p99:.1f} ms meanwhile; {left:,} left to write", flush=True
                )
                yield busy.p99 / quiet.p99


def _warn(settings: Path) -> None:
    """Marks as usual; nothing is delivered, as these are quiet hours."""
    now = time.localtime()
    quiet = f"{now.tm_hour:02}:00-{(now.tm_hour + 12) % 24:02}:00"
    settings.write_text(settings.read_text().replace("thresholds = []", f'quiet_hours = "{quiet}"'))


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


def _wait_calm(engine: subprocess.Popen[str]) -> None:
    """Until what it does of its own accord after a start is over."""
    process, until = psutil.Process(engine.pid), time.monotonic() + _CALM_SECONDS
    while process.cpu_percent(interval=5.0) > _CALM and time.monotonic() < until:
        pass


def _order(engine: subprocess.Popen[str], word: str) -> int:
    assert engine.stdin is not None
    engine.stdin.write(f"{word}\n")
    engine.stdin.flush()
    return _hear(engine)


def _hear(engine: subprocess.Popen[str]) -> int:
    assert engine.stdout is not None
    return int(engine.stdout.readline())


def main(settings: Path) -> None:
    """The engine's process."""
    config = load(settings, {})
    running = Embedded(config, Options(lambda: load(settings, {}), embedded=True))
    running.start()
    engine = running._engine
    assert engine is not None
    print(0, flush=True)
    for number, line in enumerate(sys.stdin, 1):
        print(_begin(engine, number) if line == "round\n" else _rest(engine), flush=True)
    running.stop()


def _begin(engine: Engine, number: int) -> int:
    engine.history._sampler._now = lambda: time.time() + number * SLOT
    ledger = engine.ledger
    for entry in ledger.entries.values():
        if entry.known is not None:
            entry.known = msgspec.structs.replace(entry.known, used=entry.known.used + number)
    everybody = dict(ledger.entries)
    ledger._unjudged, ledger._unsampled = everybody, dict(everybody)
    return len(everybody)


def _rest(engine: Engine) -> int:
    sampler, ledger = engine.history._sampler, engine.ledger
    left = len(ledger._unsampled) + len(sampler._taken) + len(sampler._later)
    ledger._unsampled, sampler._taken, sampler._later = {}, [], {}
    return left


if __name__ == "__main__":
    main(Path(sys.argv[1]))
