"""``mailquota journal``: the changes, with operator, time, old and new value, and reason."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

import click

from ..base.errors import UsageError
from ..base.text import NOTHING
from ..base.times import SINCE_FORMS, local_time, parse_since
from ..base.units import format_count, format_size
from ..control.messages import GetJournal
from ..control.results import MESSAGES, JournalRow, change_json
from .options import JSON, Common, account_names, command
from .output import write_json, write_table
from .session import run

if TYPE_CHECKING:
    from ..settings.config import Config

_MOST = 10_000  # entries
_NUMBER = re.compile(r"-?[0-9]{1,30}")


@command("journal")
@click.argument("address", metavar="[ADDRESS]", required=False)
@JSON
@click.option("--since", metavar="DATE", help=f"Entries from then on: {SINCE_FORMS}.")
def journal(common: Common, address: str | None, as_json: bool, since: str | None) -> None:
    """List the changes: operator, time, old and new value, reason; of one account if its ADDRESS is given.

    The newest come first, at most 10,000. An edit that was taken back, or has ended, names the entry that did it.
    """
    start = 0.0 if since is None else parse_since(since, time.time())
    (name,) = account_names((address,)) if address is not None else ("",)
    if address is not None and not name:
        raise UsageError("the address is empty")
    changes: list[JournalRow] = run(
        common,
        lambda session: session.ask(lambda number: GetJournal(number, name, start, _MOST), list[JournalRow]),
        alone=lambda config: _read(config, name, start),
    )
    if as_json:
        write_json([change_json(row) for row in changes])
    else:
        _write(common, changes)


def _read(config: Config, address: str, since: float) -> list[JournalRow]:
    """The entries, read from the state database, where no engine runs."""
    from ..history.from_settings import make_state
    from ..history.journal import Journal  # late: needed only where no engine runs

    with closing(make_state(config)) as state:
        return Journal(state).read(address, since, _MOST)


def change_text(row: JournalRow, undone_by: int | None = None) -> str:
    """An entry as one line. ``undone_by``: the entry that took it back."""
    until = f" until {local_time(row.until)}" if row.until is not None else ""
    note = _note(row, undone_by)
    what = f"{row.kind}{_change(row)}{until}"
    return f"{row.id}  {local_time(row.at)}  {row.who}  {what}{'  ' if note else ''}{note}"


def _change(row: JournalRow) -> str:
    """Old and new value, as far as the entry has them."""
    if row.old is None:
        return "" if row.new is None else f"  {value_text(row.new, row.kind)}"
    return f"  {value_text(row.old, row.kind)} → {value_text(row.new, row.kind)}"


def undoing(changes: Iterable[JournalRow]) -> dict[int, int]:
    """The id of the entry that took each entry back, by the id of the latter."""
    return {row.undoes: row.id for row in changes if row.undoes is not None}


def _note(row: JournalRow, undone_by: int | None) -> str:
    """The reason, and the entries that this one undoes or is undone by."""
    parts = [row.reason]
    if row.undoes is not None:
        parts.append(f"undoes {row.undoes}")
    if undone_by is not None:
        parts.append(f"undone by {undone_by}")
    return "; ".join(filter(None, parts))


def value_text(value: str | None, kind: str = "") -> str:
    """An old or new value as text: bytes like ``5 GiB``; a limit of messages as a number."""
    if value is None:
        return NOTHING
    if not _NUMBER.fullmatch(value):
        return value
    return format_count(int(value)) if kind == MESSAGES else format_size(int(value))


def _write(common: Common, changes: list[JournalRow]) -> None:
    titles = [">id", "at", "operator", "kind", "address", ">old", ">new", "until", "reason"]
    undone = undoing(changes)
    rows = [
        [
            str(r.id),
            local_time(r.at),
            r.who,
            r.kind,
            r.address or NOTHING,
            value_text(r.old, r.kind),
            value_text(r.new, r.kind),
            NOTHING if r.until is None else local_time(r.until),
            _note(r, undone.get(r.id)),
        ]
        for r in changes
    ]
    write_table(common, titles, rows)


COMMANDS = {"journal": journal}
