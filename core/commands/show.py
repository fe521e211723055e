"""``mailquota show``: everything about one account."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any

import click
import msgspec

from ..base.model import account_json, rfc3339
from ..base.text import NOTHING, visible
from ..base.times import local_time
from ..base.units import format_age, format_count, format_limit, format_messages, format_size
from ..control.messages import GetDetails
from ..control.results import DecisionRow, Details, WarningRow, change_json
from .columns import level_cell
from .folder import show_folder
from .growth import forecast_text, sparkline, trend_text
from .journal import change_text, undoing
from .options import JSON, Common, account_names, command
from .output import complain, percent_text, wants_colour, write_json, write_pairs, write_table
from .session import Session, run


@command("show")
@click.argument("address")
@click.option("--folder", metavar="NAME", help="What is in one folder: sums, by year, the largest messages.")
@JSON
def show(common: Common, address: str, folder: str | None, as_json: bool) -> None:
    """Show one account: limit, usage, growth, folders, Trash, aliases, last refusals, warnings and changes."""
    (name,) = account_names((address,))
    if folder is not None:
        show_folder(common, name, folder, as_json=as_json)
        return
    details = run(common, lambda session: _details(session, name))
    if details.remark:
        complain(details.remark)
    if as_json:
        write_json(details_json(details))
    else:
        _write(common, details)


async def _details(session: Session, name: str) -> Details:
    await session.tell_stale()
    found: Details = await session.ask(lambda number: GetDetails(number, name), Details)
    return found


def details_json(details: Details) -> dict[str, Any]:
    """The document of --json: the account with its folders, aliases, refusals, warnings and changes."""
    return account_json(details.row) | {
        "folders": details.folders,
        "aliases": details.aliases,
        "refusals": [_refusal_json(row) for row in details.refusals],
        "warnings": [_warning_json(row) for row in details.warnings],
        "changes": [change_json(row) for row in details.changes],
    }


def _refusal_json(row: DecisionRow) -> dict[str, Any]:
    return msgspec.structs.asdict(row) | {"at": rfc3339(row.at)}


def _warning_json(row: WarningRow) -> dict[str, Any]:
    times = {key: rfc3339(getattr(row, key)) for key in ("at", "next_try", "sent_at")}
    return msgspec.structs.asdict(row) | times


def _write(common: Common, details: Details) -> None:
    row, now = details.row, time.time()
    level = level_cell(row)
    age = "" if row.measured_at is None else f", {format_age(now - row.measured_at)} ago"
    address = visible(row.address)
    click.echo(click.style(address, bold=True) if wants_colour(common, sys.stdout) else address)
    write_pairs(
        [
            ("level", level.text),
            *([("why", row.why)] if row.why else []),
            *([("differs", row.differs)] if row.differs else []),
            ("limit", format_limit(row.limit_bytes)),
            ("used", f"{format_size(row.used_bytes)}  {percent_text(row.percent)}".replace(f"  {NOTHING}", "")),
            ("messages", format_messages(row.messages, row.limit_messages)),
            ("Trash", f"{format_size(row.trash_bytes)} in {format_count(row.trash_messages)} messages"),
            ("measured", f"{row.source or 'not known'}{age}"),
            *_past(details),
            *_recount(row.drift_bytes),
            ("aliases", ", ".join(details.aliases) or "none"),
        ]
    )
    _write_folders(common, details)
    _write_refusals(common, details)
    _write_warnings(common, details)
    if details.changes:
        click.echo("\nlast changes")
        undone = undoing(details.changes)
        for change in details.changes:
            click.echo(visible(change_text(change, undone.get(change.id))))


def _past(details: Details) -> list[tuple[str, str]]:
    if not details.points:
        return []
    full = [] if details.forecast is None else [("full", forecast_text(details.forecast))]
    return [("growth", trend_text(details.trend)), *full, ("last 7 days", sparkline(details.row.week))]


def _recount(drift: int | None) -> list[tuple[str, str]]:
    if not drift:
        return []
    more = "more" if drift > 0 else "less"
    return [("recount", f"finds {format_size(abs(drift))} {more} than recorded; mailquota recalc mends it")]


def _write_folders(common: Common, details: Details) -> None:
    if details.folders:
        click.echo()
        rows = [[f.name, format_count(f.messages), format_size(f.bytes)] for f in details.folders]
        write_table(common, ["folder", ">messages", ">size"], rows)


def _write_refusals(common: Common, details: Details) -> None:
    if details.refusals:
        click.echo()
        rows = [[_moment(r.at), r.sender, r.client, format_size(r.size), _reason(r)] for r in details.refusals]
        write_table(common, ["refused", "sender", "client", ">size", "why"], rows)


def _reason(row: DecisionRow) -> str:
    return row.verdict if row.origin == "engine" else f"{row.verdict} (mail log)"


def _write_warnings(common: Common, details: Details) -> None:
    if details.warnings:
        click.echo()
        rows = [
            [local_time(w.at), w.mark, percent_text(w.percent), w.state, w.error or w.method or ""]
            for w in details.warnings
        ]
        write_table(common, ["warning", "mark", ">use", "state", "how"], rows)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


COMMANDS = {"show": show}
