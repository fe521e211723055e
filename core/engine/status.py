"""The engine's state in one record, for ``status``, the head of the console and monitoring."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import psutil

from ..base import restarts, systemd
from ..base.model import Level
from ..base.threads import in_thread
from ..base.units import MAX_BYTES
from ..control.results import DatabaseState, DiskState, Status, WitnessStatus
from ..history.service import HistoryService
from ..mailboxes.ledger import Ledger
from ..mailboxes.mailstore_guard import MailstoreGuard
from ..policy.compare import QuotaStatusComparison
from ..policy.metrics import Metrics
from ..settings.declared import Policy
from .abilities import Abilities
from .helper_watch import HelperWatch

_DISK_SECONDS = 10.0


class WitnessFacts(NamedTuple):
    """What came of comparing with Dovecot."""

    status: WitnessStatus = WitnessStatus()
    remark: str = ""
    examples: Mapping[str, str] = {}

    def fields(self) -> dict[str, Any]:
        """By their names in Status."""
        return {
            "witness": self.status,
            "witness_remark": self.remark,
            "witness_examples": dict(self.examples),
        }


class DiskWatch:
    """Space on the file system of the mailstore, measured in a thread. While that hangs, the last state ages.

    While ``is_lost``, the path is on another file system, whose space says nothing.
    """

    def __init__(self, path: str, is_lost: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self._is_lost = is_lost
        self._known: DiskState | None = None
        self._known_at = 0.0
        self._asking = False

    @property
    def state(self) -> DiskState:
        """The last state; unknown (None) where that is older than a minute."""
        if self._is_lost() or self._known is None or time.monotonic() - self._known_at > 60:
            return DiskState(self.path, None, None, None)
        return self._known

    async def look(self) -> None:
        """Measure the space, unless that is under way or was done in the last 10 s."""
        if self._asking or (self._known is not None and time.monotonic() - self._known_at < _DISK_SECONDS):
            return
        self._asking = True
        try:
            usage = await in_thread(lambda: psutil.disk_usage(self.path))
        except OSError:
            self._known = None
        else:
            self._known = DiskState(self.path, usage.free, usage.total, usage.percent)
        finally:
            self._asking = False
            self._known_at = time.monotonic()


class StatusReporter:
    """Makes the Status of an engine from its parts."""

    def __init__(
        self,
        ledger: Ledger,
        metrics: Metrics,
        *,
        disk: DiskWatch,
        comparison: QuotaStatusComparison,
        history: HistoryService,
        driver: Callable[[], str],
        guard: MailstoreGuard,
        helper: HelperWatch,
        abilities: Abilities,
        not_recorded: Callable[[], str] = lambda: "",
    ) -> None:
        self._abilities = abilities
        self._not_recorded = not_recorded
        self._driver = driver
        self._guard = guard
        self._helper = helper
        self._history = history
        self._comparison = comparison
        self._ledger = ledger
        self._metrics = metrics
        self._disk = disk
        self._started = time.monotonic()
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only sets the start of the interval
        self._cpu = 0.0
        self._rss = self._process.memory_info().rss
        self._host = socket.gethostname()

    async def run(self) -> None:
        """Tick each second, until cancelled, and tell systemd's watchdog that the engine lives (sd_notify(3))."""
        watchdog = systemd.watchdog_seconds()
        while True:
            self.tick()
            self._looking = asyncio.get_running_loop().create_task(self._disk.look())
            if watchdog is not None:
                systemd.notify("WATCHDOG=1")
            await asyncio.sleep(min(1.0, watchdog or 1.0))

    def tick(self) -> None:
        """Take the rate of answers and the CPU and memory of this process. Called once a second."""
        self._metrics.tick(time.monotonic())
        self._cpu = self._process.cpu_percent()
        self._rss = self._process.memory_info().rss

    def status(
        self,
        *,
        database: DatabaseState,
        connections: int,
        listen: list[str],
        warnings: tuple[int, int],
        policy: Policy,
        witness: WitnessFacts,
        maps: tuple[str, int] = ("", 0),
    ) -> Status:
        """The state now. ``warnings``: waiting, given up. ``maps``: the problem of Postfix's maps, and late answers."""
        levels = self._ledger.totals.levels
        return Status(
            mode=policy.mode,
            policy=msgspec.to_builtins(policy),
            driver=self._driver(),
            uptime_seconds=round(time.monotonic() - self._started, 1),
            connections=connections,
            accounts=len(self._ledger),
            over=levels[Level.OVER],
            near=levels[Level.NEAR] + levels[Level.CRITICAL],
            database=database,
            disk=self._disk.state,
            listen=listen,
            pid=os.getpid(),
            host=self._host,
            unrecorded=self._history.journal.lost,
            state_problem=self._history.problem,
            compare_problem=self._comparison.problem,
            restarts=restarts.counts(),
            limits_problem=self._abilities.limits_problem,
            recount_problem=self._abilities.recount_problem,
            **witness.fields(),
            mailstore_problem=self._helper.problem or self._guard.problem,
            warnings_queued=warnings[0],
            warnings_failed=warnings[1],
            **self._answers(maps),
            **self._sums(),
        )

    def _answers(self, maps: tuple[str, int]) -> dict[str, Any]:
        metrics, second = self._metrics, self._comparison
        return {
            "recording_problem": self._not_recorded(),
            "maps_problem": maps[0],
            "maps_late": maps[1],
            "requests": metrics.requests,
            "refused": metrics.refused,
            "would_refuse": metrics.would_refuse,
            "trouble": metrics.trouble,
            "malformed": metrics.malformed,
            "answers_per_second": round(metrics.per_second, 1),
            "p50_us": metrics.percentile(0.5),
            "p99_us": metrics.percentile(0.99),
            "refused_last_hour": self._history.refusals.last_hour,
            "counted_since": metrics.since,
            "compared": second.compared,
            "disagreed": second.disagreed,
            "not_compared": second.skipped,
        }

    def _sums(self) -> dict[str, Any]:
        """Our own memory and CPU; sums in bytes, capped: some limits of 2^63-1 make sums that msgpack can't hold."""
        totals = self._ledger.totals
        return {
            "rss_bytes": self._rss,
            "cpu_percent": self._cpu,
            "used_bytes": min(totals.used, MAX_BYTES),
            "granted_bytes": min(totals.granted, MAX_BYTES),
            "if_full_bytes": min(totals.free, MAX_BYTES),
            "measured": totals.measured,
            "unreadable": len(self._ledger.unreadable),
        }
