"""A ledger whose usages tests set, its history, and a clock that they set."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.model import Account
from mailquota.core.base.mysql import Target
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.history.samples import Samples
from mailquota.core.history.sampling import Sampler
from mailquota.core.history.thinning import SLOT
from mailquota.core.history.trends import TrendJob
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.core.loops import run

NOW = 1_800_000_000.0
DAY = 86400.0
HOUR = 3600.0
MIB = 1024 * 1024
GIB = 1024 * MIB


class Life:
    """One life of an engine, as far as the history sees it. ``pass_time`` turns the clock."""

    def __init__(self, path: Path, now: float = NOW) -> None:
        self.now = now
        self.state = StateDatabase(Target("sqlite", path=path))
        self.samples = Samples(self.state)
        self.journal = Journal(self.state)
        self.ledger = Ledger(TrashNames(["Trash"]))

    def accounts(self, limit: int | None = 10 * GIB, *names: str) -> None:
        """Whom the accounts database has now."""
        self.ledger.set_accounts(Account(f"{name}@x", limit) for name in names)

    def measure(self, **uses: int) -> None:
        """What a round of the poller finds, in bytes."""
        for name, use in uses.items():
            entry = self.entry(name)
            self.ledger.set_known(entry, entry.known, Measurement(use, use % 1000, "scan", 0), self.now)

    def entry(self, name: str) -> Entry:
        return self.ledger.entries[f"{name}@x"]

    def pass_time(self, seconds: float = SLOT) -> None:
        self.now += seconds

    def sampler(self) -> Sampler:
        """Made on a loop."""
        return Sampler(self.ledger, self.samples, self.journal, lambda: self.now)

    def trend_job(self, keep: float = 400 * DAY) -> TrendJob:
        return TrendJob(self.ledger, self.samples, keep, lambda: self.now)

    def uses(self, name: str = "a") -> list[int]:
        return [point.used_bytes for point in self.samples.series(f"{name}@x", 0.0, self.now)]

    def jumps(self) -> list[tuple[Any, ...]]:
        """Address, old, new and reason of each, newest first."""
        return [
            (row.address, int(row.old or 0), int(row.new or 0), row.reason)
            for row in self.journal.read()
            if row.kind == "jump"
        ]


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    """With a database of its own that is not there yet, and without rests."""
    monkeypatch.setattr("mailquota.core.base.threads._LONGEST_REST", 0.0)
    found = Life(tmp_path / "state" / "state.db")
    with closing(found.state):
        yield found


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On a loop."""
    run(scene())


async def rounds(life: Life, sampler: Sampler, *uses: int, name: str = "a", every: float = SLOT) -> None:
    """The same mailbox, measured and written again and again."""
    for use in uses:
        life.measure(**{name: use})
        await sampler.round()
        life.pass_time(every)
