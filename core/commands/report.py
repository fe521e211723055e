"""``mailquota status --report``: the refusals of mailquota, and where quota-status would answer otherwise."""

from __future__ import annotations

from typing import Any

import click

from ..base.model import rfc3339
from ..base.text import visible
from ..base.times import local_time
from ..control.messages import GetReport
from ..control.results import RefusedAccount, Report
from .options import Common
from .output import write_json, write_table
from .session import run


def show_report(common: Common, *, as_json: bool) -> None:
    """Print the report of the running engine. Raises UnreachableError where none runs."""
    report: Report = run(common, lambda session: session.ask(GetReport, Report), running_only=True)
    if as_json:
        write_json(_document(report))
        return
    _write_refusals(common, report.refusals.accounts)
    click.echo()
    _write_disagreements(common, report)


def _document(report: Report) -> dict[str, Any]:
    return {
        "since": rfc3339(report.refusals.since),
        "refused": [
            {
                "address": row.address,
                "last_hour": row.last_hour,
                "last_day": row.last_day,
                "at": rfc3339(row.at),
                "sender": row.sender,
            }
            for row in report.refusals.accounts
        ],
        "compare_problem": report.problem,
        "compared": report.compared,
        "not_compared": report.not_compared,
        "disagreed": report.disagreed,
        "disagreements": [
            {
                "at": rfc3339(row.at),
                "recipient": row.recipient,
                "size": row.size,
                "verdict": row.verdict,
                "quota_status": row.theirs,
                "why": row.why,
            }
            for row in report.disagreements
        ],
    }


def _write_refusals(common: Common, rows: list[RefusedAccount]) -> None:
    if not rows:
        click.echo("No mail was refused within the last day.")
        return
    titles = ["account", ">last hour", ">last day", "last", "from"]
    cells = [[r.address, f"{r.last_hour:,}", f"{r.last_day:,}", local_time(r.at), visible(r.sender)] for r in rows]
    write_table(common, titles, cells)


def _write_disagreements(common: Common, report: Report) -> None:
    rows = report.disagreements
    if report.problem:
        click.echo(f"Nothing can be compared: {report.problem}")
    if not report.compared and not report.problem:
        click.echo("No answer was compared with quota-status (policy.compare_with).")
        return
    counted = f"{report.disagreed:,} of {report.compared:,} answers differ"
    click.echo(f"{counted} from quota-status, {report.not_compared:,} were not compared.")
    if not rows:
        return
    titles = ["at", "recipient", ">size", "here", "quota-status", "why"]
    cells = [[local_time(r.at), visible(r.recipient), str(r.size), r.verdict, visible(r.theirs), r.why] for r in rows]
    write_table(common, titles, cells)
