"""The history after ``kill -9``: whole, and consistent in itself, at whatever moment it came."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import Samples
from tests.mailserver.process import wait_until

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
WRITER = """
import sys
from itertools import count
from pathlib import Path
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Samples
from mailquota.core.base.mysql import Target
samples = Samples(StateDatabase(Target("sqlite", path=Path(sys.argv[1]))))
names = [f"{number}@x" for number in range(300)]
for turn in count():
    at = 1_800_000_000.0 + turn * 7200.0
    samples.write([AccountUsage(name, turn, turn) for name in names], at)
    samples.compute_trends(dict.fromkeys(names[turn % 30 :: 30]), at)
    for step in samples.due_merges(at, 864000.0):
        samples.merge(step)
    if turn == 20:
        print("going", flush=True)
"""


@pytest.mark.parametrize("moment", range(5))
def test_killed_while_it_is_written(tmp_path: Path, moment: int) -> None:
    """Every account's last figure is that of its last sample, no row is lost from sight, and the next one goes on."""
    path = tmp_path / "state.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        wait_until(lambda: size(path) % 7 == moment, 0.5)  # any moment will do, but not always the same
        writer.kill()
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        assert state.rows("PRAGMA integrity_check") == [("ok",)]
        lasts = {row.address: row.used for row in Samples(state).page(0)}
        assert len(lasts) == 300
        assert len(set(lasts.values())) == 1
        later = NOW + 10**9
        for address, used in list(lasts.items())[::50]:
            assert Samples(state).series(address, 0.0, later)[-1].used_bytes == used
        seen = state.rows("SELECT COUNT(*) FROM sample WHERE slot NOT IN (SELECT slot FROM slot)")
        assert seen == [(0,)]
        assert Samples(state).remove(later, 0.0)
    again = WRITER.replace("in count()", "in range(3)")
    subprocess.run([sys.executable, "-c", again, str(path)], cwd=ROOT, check=True)


def size(path: Path) -> int:
    """That changes with each write."""
    wal = path.with_name("state.db-wal")
    return wal.stat().st_mtime_ns // 1000 if wal.exists() else time.monotonic_ns()
