"""``mailquota status`` and ``reload``: the state of the running engine, and new settings for it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ..base.errors import MailquotaError
from ..base.model import rfc3339
from ..base.times import local_time
from ..base.units import format_age, format_count, format_micros, format_rate, format_size
from ..control.messages import GetStatus, HandOver, Reload
from ..control.results import DiskState, Status
from .options import JSON, Common, command
from .output import complain, write_json, write_pairs
from .report import show_report
from .session import run

_KEYS = (
    "mode", "uptime_seconds", "requests", "refused", "would_refuse", "trouble", "malformed", "answers_per_second",
    "p50_us", "p99_us", "connections", "accounts", "over", "near", "database", "disk", "rss_bytes", "cpu_percent",
    "listen", "witness",
)  # fmt: skip


@command("status")
@click.option(
    "--report",
    is_flag=True,
    help="The refusals (in shadow mode: would-be), and where quota-status answers otherwise.",
)
@JSON
def status(common: Common, report: bool, as_json: bool) -> None:
    """Show counters, speed, uptime, databases and file system of the running engine."""
    if report:
        show_report(common, as_json=as_json)
        return
    found: Status = run(common, lambda session: session.ask(GetStatus, Status), running_only=True)
    if as_json:
        write_json(_status_json(found))
    else:
        write_pairs(_pairs(found))


def _status_json(found: Status) -> dict[str, Any]:
    document = {key: getattr(found, key) for key in _KEYS}
    document["database"] = {"state": found.database.state, "age_seconds": found.database.age_seconds}
    document["counted_since"] = rfc3339(found.counted_since)
    document["disk"] = msgspec.structs.asdict(found.disk)
    if found.unreadable:
        document["unreadable"] = found.unreadable
    if found.state_problem:
        document["state_problem"] = found.state_problem
    if found.recording_problem:
        document["recording_problem"] = found.recording_problem
    if found.mailstore_problem:
        document["mailstore_problem"] = found.mailstore_problem
    if found.restarts:
        document["restarts"] = found.restarts
    if found.compare_problem:
        document["compare_problem"] = found.compare_problem
    if found.maps_problem or found.maps_late:
        document |= {"maps_problem": found.maps_problem, "maps_late": found.maps_late}
    return document


def _pairs(found: Status) -> list[tuple[str, str]]:
    """Names and values, named as in the head and on the screen Decisions of the console."""
    database = found.database
    age = "" if database.age_seconds is None else f", looked {format_age(database.age_seconds)} ago"
    shadow = found.mode == "shadow"
    would = [("would be refused", f"{found.would_refuse:,}")] if shadow or found.would_refuse else []
    return [
        ("mode", "shadow" if shadow else "enforcing"),
        ("uptime", format_age(found.uptime_seconds)),
        ("listen", " ".join(found.listen)),
        ("connections", f"{found.connections:,}"),
        ("requests", f"{found.requests:,}{_since(found)}, {format_rate(found.answers_per_second)}/s"),
        ("refused", f"{found.refused:,}, {found.refused_last_hour:,} in the last hour"),
        *would,
        *_compared(found),
        ("trouble", f"{found.trouble:,}"),
        ("malformed", f"{found.malformed:,}"),
        *([("history", f"can't be kept: {found.state_problem}")] if found.state_problem else []),
        *([("recording", f"nothing can be recorded: {found.recording_problem}")] if found.recording_problem else []),
        *([("journal", f"{found.unrecorded:,} not written, see the log")] if found.unrecorded else []),
        *_warnings(found),
        *([("restarted", _restarts(found.restarts))] if found.restarts else []),
        ("p50", format_micros(found.p50_us)),
        ("p99", format_micros(found.p99_us)),
        ("accounts", f"{format_count(found.accounts)}, {found.over:,} over, {found.near:,} near"),
        *([("unreadable", _unreadable(found))] if found.unreadable else []),
        ("database", f"{database.state}{age}{': ' + database.message if database.message else ''}"),
        *_witness(found),
        *([("mailstore", found.mailstore_problem)] if found.mailstore_problem else []),
        ("disk", _disk(found.disk)),
        ("memory", format_size(found.rss_bytes)),
        ("cpu", f"{found.cpu_percent:g} %"),
        ("process", f"{found.pid} on {found.host}"),
    ]


def _unreadable(found: Status) -> str:
    answer = found.policy.get("unreadable") or "as trouble"
    return f"{found.unreadable:,} by the doing of their owners, answer: {answer}"


def _since(found: Status) -> str:
    return "" if found.counted_since is None else f" since {local_time(found.counted_since)}"


def _compared(found: Status) -> list[tuple[str, str]]:
    if not (found.compared or found.not_compared or found.compare_problem):
        return []
    counted = f"{found.disagreed:,} of {found.compared:,} answers differ, {found.not_compared:,} not compared"
    return [("quota-status", f"{counted}; {found.compare_problem}" if found.compare_problem else counted)]


def _witness(found: Status) -> list[tuple[str, str]]:
    """Dovecot's own usage and limits beside ours."""
    witness = found.witness
    if witness.state == "off":
        return [("witness", f"not compared: {found.witness_remark}")] if found.witness_remark else []
    age = "" if witness.age_seconds is None else f", last {format_age(witness.age_seconds)} ago"
    counted = f"{witness.state}, {witness.checked:,} accounts compared{age}, {witness.differing:,} differ"
    return [("witness", f"{counted}; {found.witness_remark}" if found.witness_remark else counted)]


def _warnings(found: Status) -> list[tuple[str, str]]:
    parts = [f"{found.warnings_queued:,} waiting"] if found.warnings_queued else []
    parts += [f"{found.warnings_failed:,} not delivered, see the screen Warnings"] if found.warnings_failed else []
    return [("warnings", ", ".join(parts))] if parts else []


def _restarts(counts: dict[str, int]) -> str:
    """The parts of the engine that died, and how often."""
    parts = [f"{part} {count:,}" for part, count in sorted(counts.items())]
    return f"{', '.join(parts)} times; why: see the log"


def _disk(disk: DiskState) -> str:
    percent = "" if disk.percent is None else f"{disk.percent:.0f} %, "
    return f"{percent}{format_size(disk.free_bytes)} free of {format_size(disk.total_bytes)}, {disk.path}"


@command("reload", acts=True)
@click.option("--restart", is_flag=True, help="Start a new engine, which takes over without losing a request.")
@JSON
def reload(common: Common, restart: bool, as_json: bool) -> None:
    """Have the running engine read its settings and the accounts again, as SIGHUP does.

    Settings with a mistake are refused, and the old ones stay in force. With --restart a new process takes over every
    socket and connection, as is needed after an upgrade and for settings that a reload does not change.
    """
    if restart:
        _restart(common, as_json=as_json)
        return
    remark: str | None = run(common, lambda session: session.ask(Reload, str | None), running_only=True)
    if remark is not None:
        complain(remark)
    if as_json:
        write_json({"reloaded": True})
    else:
        click.echo("settings and accounts were read again")


def _restart(common: Common, *, as_json: bool) -> None:
    if common.read_only:
        raise MailquotaError("read-only: nothing was changed")
    pid: int = run(common, lambda session: session.ask(HandOver, int), running_only=True)
    if as_json:
        write_json({"restarted": True, "pid": pid})
    else:
        click.echo(f"process {pid} has taken over")


COMMANDS = {"status": status, "reload": reload}
