"""The engine's state in one record."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mailquota.core.control.messages import GetStatus
from mailquota.core.control.results import Status
from mailquota.core.engine.serve import Embedded
from mailquota.core.engine.status import DiskWatch
from tests.core.clients import PolicyClient, until
from tests.core.engines import console
from tests.core.worlds import FULL, JOHN, SmallWorld

# The keys of the ``status`` object, as the interface promises them.
KEYS = """mode uptime_seconds requests refused would_refuse trouble malformed answers_per_second p50_us p99_us
connections accounts over near database disk rss_bytes cpu_percent listen"""


def test_every_promised_key_is_there(engine: Embedded, small_world: SmallWorld) -> None:
    """With the kinds of values that JSON carries."""
    with console(engine) as client:
        found = client.ask(GetStatus, dict[str, Any])
    assert list(found)[: len(KEYS.split())] == KEYS.split()
    assert {"state", "age_seconds"} <= set(found["database"])
    assert set(found["disk"]) == {"path", "free_bytes", "total_bytes", "percent"}
    assert found["listen"] == [f"unix:{small_world.policy_socket}"]
    assert found["mode"] == "enforce"
    assert found["driver"] == "maildir"  # for the doctor


def test_requests_are_counted_by_their_answers(engine: Embedded, small_world: SmallWorld) -> None:
    with PolicyClient(small_world.policy_socket) as postfix, console(engine) as client:
        for recipient in (JOHN, FULL, FULL, "nobody@example.org"):
            postfix.ask(recipient)
        status = client.ask(GetStatus, Status)
        assert (status.requests, status.refused, status.would_refuse, status.trouble) == (4, 2, 0, 0)
        assert (status.connections, status.malformed) == (1, 0)
        assert (status.accounts, status.over, status.near, status.measured) == (5, 1, 1, 5)
        assert (status.used_bytes, status.granted_bytes) == (4000 + 10_000 + 2100 + 5000 + 9000, 40_000)


def test_times_of_answers_are_plausible(engine: Embedded, small_world: SmallWorld) -> None:
    """The median is not above the 99th percentile, and neither above what a request may take."""
    with PolicyClient(small_world.policy_socket) as postfix, console(engine) as client:
        assert client.ask(GetStatus, Status).p50_us is None
        for _ in range(200):
            postfix.ask(JOHN)
        status = client.ask(GetStatus, Status)
        assert status.p50_us is not None
        assert status.p99_us is not None
        assert 0 < status.p50_us <= status.p99_us < 2_000_000


def test_figures_of_the_process_are_its_own(engine: Embedded) -> None:
    with console(engine) as client:
        status = client.ask(GetStatus, Status)
        assert status.pid == os.getpid()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        assert status.rss_bytes == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.2)
        until(lambda: client.ask(GetStatus, Status).disk.total_bytes, "the disk was asked")


def test_the_disk_of_the_mailstore_is_shown(tmp_path: Path) -> None:
    disk = DiskWatch(str(tmp_path))
    asyncio.run(disk.look())
    assert disk.state.path == str(tmp_path)
    assert disk.state.total_bytes is not None
    assert disk.state.free_bytes is not None
    assert disk.state.percent is not None
    assert 0 < disk.state.free_bytes < disk.state.total_bytes
    assert 0 <= disk.state.percent <= 100


def test_a_disk_that_is_not_there_is_unknown() -> None:
    disk = DiskWatch("/no/such/place")
    asyncio.run(disk.look())
    assert msgspec.structs.asdict(disk.state) == {
        "path": "/no/such/place", "free_bytes": None, "total_bytes": None, "percent": None
    }  # fmt: skip


def test_a_disk_that_hangs_is_asked_once_and_becomes_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last answer is shown for a minute."""
    clock = [1000.0]
    monkeypatch.setattr("mailquota.core.engine.status.time", SimpleNamespace(monotonic=lambda: clock[0]))
    answers = threading.Event()
    asked: list[str] = []

    def usage(path: str) -> SimpleNamespace:
        asked.append(path)
        if len(asked) > 1:
            answers.wait(10)
        return SimpleNamespace(free=1, total=2, percent=50.0)

    monkeypatch.setattr("mailquota.core.engine.status.psutil.disk_usage", usage)

    async def main() -> list[int | None]:
        disk = DiskWatch("/mail")
        await disk.look()
        clock[0] += 11
        looks = [asyncio.ensure_future(disk.look()) for _ in range(3)]
        await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
        seen = [disk.state.total_bytes]
        clock[0] += 50
        seen.append(disk.state.total_bytes)
        answers.set()
        await asyncio.wait(looks)
        return [*seen, disk.state.total_bytes]

    assert asyncio.run(main()) == [2, None, 2]
    assert asked == ["/mail"] * 2
