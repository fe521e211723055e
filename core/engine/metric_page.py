"""The page that Prometheus reads: the metrics and their names. docs/metrics.md describes each of them.

Names follow the conventions of Prometheus: base units, ``_total`` for counters. There are no metrics for single
accounts or domains: each would be a time series that is kept for years, thousands of them on a large server, with
people's addresses in it. ``mailquota list --json`` has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..base.model import Level
from ..base.version import version
from ..control.results import WITNESS_STATES, Status

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Figures(NamedTuple):
    """The state of an engine at one moment. ``answers``: pairs of microseconds and how many answers took no longer.

    ``micros`` is the sum of all answers, in microseconds.
    """

    status: Status
    levels: Mapping[Level, int]
    answers: list[tuple[int, int]]
    micros: int


class MetricPage:
    """Makes the page. Used in one thread. Raises ImportError where the package prometheus-client is missing."""

    def __init__(self) -> None:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector

        self.content_type = CONTENT_TYPE_LATEST
        self._figures: Figures | None = None
        self._text = b""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self, figures: Figures) -> bytes:
        """The page with these figures, in the format of ``content_type``."""
        from prometheus_client import generate_latest

        if figures is not self._figures:
            self._figures = figures
            self._text = generate_latest(self._registry)
        return self._text

    def collect(self) -> Iterator[Metric]:
        """The metrics of the page, as prometheus_client's Collector wants them."""
        if self._figures is not None:
            yield from _families(self._figures)


def _families(figures: Figures) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    status = figures.status
    build = GaugeMetricFamily("mailquota_build_info", "Always 1; the version is its label.", labels=["version"])
    build.add_metric([version()], 1)
    yield build
    yield from _requests(status)
    answers = HistogramMetricFamily("mailquota_answer_seconds", "From a policy request read to its answer written.")
    buckets = [(str(micros / 1e6), float(count)) for micros, count in figures.answers]
    answers.add_metric([], [*buckets, ("+Inf", float(status.requests))], figures.micros / 1e6)
    yield answers
    accounts = GaugeMetricFamily("mailquota_accounts", "Accounts, by how full they are.", labels=["level"])
    for level, count in figures.levels.items():
        accounts.add_metric([level.value], count)
    yield accounts
    witness = GaugeMetricFamily(
        "mailquota_witness", "1 for the state of Dovecot's own figures beside mailquota's.", labels=["state"]
    )
    for state in WITNESS_STATES:
        witness.add_metric([state], status.witness.state == state)
    yield witness
    for name, meaning, value in _gauges(status):
        if value is not None:
            yield GaugeMetricFamily(f"mailquota_{name}", meaning, value)


def _requests(status: Status) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily

    requests = CounterMetricFamily("mailquota_requests", "Policy requests, by what was decided.", labels=["verdict"])
    refused = {"refused": status.refused, "would_refuse": status.would_refuse, "trouble": status.trouble}
    for verdict, count in {"accepted": status.requests - sum(refused.values()), **refused}.items():
        requests.add_metric([verdict], count)
    yield requests
    restarts = CounterMetricFamily(
        "mailquota_part_restarts", "Parts of the engine that died and were started again.", labels=["part"]
    )
    for part, count in status.restarts.items():
        restarts.add_metric([part], count)
    yield restarts
    for name, meaning, value in _counters(status):
        yield CounterMetricFamily(f"mailquota_{name}", meaning, value)


def _counters(status: Status) -> tuple[tuple[str, str, int], ...]:
    return (
        ("malformed_requests", "Connections that were closed, as what came was no request.", status.malformed),
        ("compared_requests", "Answers that were compared with quota-status.", status.compared),
        ("disagreed_requests", "Answers that quota-status gives otherwise.", status.disagreed),
        ("not_compared_requests", "Answers that could not be compared with quota-status.", status.not_compared),
        ("journal_lost_entries", "Entries that could not be written to the journal.", status.unrecorded),
    )


def _gauges(status: Status) -> tuple[tuple[str, str, float | None], ...]:
    """Name, meaning and value of each gauge; one whose value is None is left out."""
    return (
        ("enforcing", "1 in mode enforce, 0 in mode shadow.", status.mode == "enforce"),
        ("uptime_seconds", "Since the engine started.", status.uptime_seconds),
        ("connections", "Open connections of the policy server.", status.connections),
        ("measured_accounts", "Accounts whose use is known.", status.measured),
        ("used_bytes", "What all mailboxes hold.", status.used_bytes),
        ("granted_bytes", "The sum of all limits.", status.granted_bytes),
        ("unused_bytes", "What all limits would still let in.", status.if_full_bytes),
        ("accounts_database_up", "1 while the limits in use are those of the database.", status.database.state == "ok"),
        ("accounts_database_age_seconds", "Since the last good look at it.", status.database.age_seconds),
        ("state_database_up", "1 while journal, history and warnings can be written.", not status.state_problem),
        ("mailstore_up", "1 while mailboxes are where they should be.", not status.mailstore_problem),
        ("disk_free_bytes", "Free on the file system of the mailboxes.", status.disk.free_bytes),
        ("disk_size_bytes", "Its size.", status.disk.total_bytes),
        ("witness_checked_accounts", "Accounts that were compared with Dovecot.", status.witness.checked),
        ("witness_differing_accounts", "Of these, that differ from it.", status.witness.differing),
        ("warnings_queued", "Warnings that wait to be sent.", status.warnings_queued),
        ("warnings_failed", "Warnings that were given up, within the last three days.", status.warnings_failed),
    )
