"""``mailquota list``: the accounts as a table, JSON or CSV."""

from __future__ import annotations

import gc
import time

import click

from ..base.errors import UsageError
from ..base.filters import DOCS, parse_filter
from ..base.model import AccountRow, account_json
from ..base.spreadsheet import csv_lines
from .columns import SORT_KEYS, cells, check_sort_key, priorities, sort_by, titles, worst_first
from .options import JSON, Common, command, utf8
from .output import write_json, write_table
from .session import run

FILTER_HELP = "\b\nFILTER, words joined by AND:\n" + "\n".join(f"  {word:<18} {meaning}" for word, meaning in DOCS)


@command("list", epilog=f"{FILTER_HELP}\n\n\b\nKEY is one of:\n  " + "\n  ".join(SORT_KEYS))
@click.argument("words", metavar="[FILTER]", nargs=-1)
@JSON
@click.option("--csv", "as_csv", is_flag=True, help="Comma separated values with a header row, for spreadsheets.")
@click.option(
    "--sort",
    "key",
    metavar="KEY",
    help="Sort by KEY, largest first, days to full soonest first; -KEY reverses. Without: by percent of the limit.",
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the first N.")
def list_accounts(
    common: Common, *, words: tuple[str, ...], as_json: bool, as_csv: bool, key: str | None, limit: int | None
) -> None:
    """List the accounts: those over their limit first, then by percent of it.

    On a terminal, and under watch, it has the columns that there is room for. Anywhere else it has all of them, and
    nothing is cut. --csv has the keys of --json as columns. A text that a spreadsheet would take for a formula has an
    apostrophe before it; --json has every address exactly as it is.
    """
    if as_json and as_csv:
        raise UsageError("give either --json or --csv, not both")
    rows = _rows(common, " ".join(map(utf8, words)), key)[:limit]
    if as_json:
        write_json([account_json(row) for row in rows])
    elif as_csv:
        click.echo(_csv(rows), nl=False)
    else:
        _write(common, rows, key)


def print_table(common: Common) -> int:
    """Print all accounts: what mailquota does without a command and without a terminal."""
    _write(common, _rows(common, "", None))
    return 0


def print_demo_table(common: Common, accounts: int) -> int:
    """Print all accounts of a throwaway world."""
    from ..demo.world import World

    with World.temporary(accounts) as world:
        common.config = world.config_path
        return print_table(common)


def _rows(common: Common, text: str, key: str | None) -> list[AccountRow]:
    chosen = parse_filter(text)
    if key is not None:
        check_sort_key(key)
    gc.disable()  # the process ends in a moment: with 100,000 accounts collecting would take half of its time
    rows = run(common, lambda session: session.matching(chosen))
    return worst_first(rows) if key is None else sort_by(rows, key)


def _write(common: Common, rows: list[AccountRow], key: str | None = None) -> None:
    now = time.time()
    write_table(common, titles(), [cells(row, now) for row in rows], priorities=priorities(key))


def _csv(rows: list[AccountRow]) -> bytes:
    keys = account_json(AccountRow("", None))
    return csv_lines([keys, *(account_json(row).values() for row in rows)]).encode()


COMMANDS = {"list": list_accounts}
