"""``mailquota journal``: who changed what, when, old and new value, why."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import click
import msgspec

from core.commands.options import JSON, Common, command
from core.commands.output import write_json, write_table
from core.commands.session import run
from core.control.messages import GetJournal
from core.control.results import JournalRow
from core.model import rfc3339
from core.text import NOTHING
from core.times import local_time
from core.units import format_size, parse_since

_FIGURE = re.compile(r"-?[0-9]{1,30}")


@command("journal")
@JSON
@click.option("--since", metavar="DATE", help="2026-12-24, friday (the last one), 3d or 2w (ago).")
def journal(common: Common, as_json: bool, since: str | None) -> None:
    """Who changed what, when, old and new value, why; the newest first, at most 10,000."""
    start = 0.0 if since is None else parse_since(since, datetime.now().astimezone()).timestamp()
    changes: list[JournalRow] = run(
        common,
        lambda session: session.ask(lambda number: GetJournal(number, since=start, most=10_000), list[JournalRow]),
    )
    if as_json:
        write_json([change_json(row) for row in changes])
    else:
        _write(common, changes)


def change_json(row: JournalRow) -> dict[str, Any]:
    """One entry, by the contract: sizes as integers, null for unlimited and for what there was not."""
    return msgspec.structs.asdict(row) | {
        "at": rfc3339(row.at),
        "until": rfc3339(row.until),
        "old": _json_value(row.old),
        "new": _json_value(row.new),
    }


def _json_value(value: str | None) -> int | str | None:
    if value is None or value == "unlimited":
        return None
    return int(value) if _FIGURE.fullmatch(value) else value


def change_text(row: JournalRow) -> str:
    """One entry in a line."""
    why = f"  {row.reason}" if row.reason else ""
    return f"{local_time(row.at)}  {row.operator}  {row.kind}  {value_text(row.old)} → {value_text(row.new)}{why}"


def value_text(value: str | None) -> str:
    """A limit or a size as people read it."""
    if value is None:
        return NOTHING
    return format_size(int(value)) if _FIGURE.fullmatch(value) else value


def _write(common: Common, changes: list[JournalRow]) -> None:
    titles = [">id", "at", "operator", "kind", "address", ">old", ">new", "reason"]
    rows = [
        [str(r.id), local_time(r.at), _who(r), r.kind, r.address, value_text(r.old), value_text(r.new), r.reason]
        for r in changes
    ]
    write_table(common, titles, rows)


def _who(row: JournalRow) -> str:
    return f"{row.operator} ({row.origin})" if row.origin else row.operator


COMMANDS = {"journal": journal}
