"""``mailquota empty-trash``: remove messages in Trash, after showing them and asking."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from ..base.filters import Filter
from ..base.model import rfc3339
from ..base.text import NOTHING
from ..base.units import format_count, format_size, parse_age
from ..control.messages import EmptyTrash
from ..control.results import TrashResult
from .options import DRY_RUN, JSON, WHERE, YES, Common, account_names, accounts_where, command
from .output import complain, write_json, write_table
from .results import confirm, finish
from .session import Session, run


@command("empty-trash", acts=True)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1)
@WHERE
@click.option("--older-than", metavar="AGE", help="Only messages that came to Trash before: 30d, 2w, 12h ago.")
@DRY_RUN
@YES
@JSON
def empty_trash(
    common: Common,
    *,
    addresses: tuple[str, ...],
    where: str | None,
    older_than: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Remove the messages in Trash folders for good. First shows what would be removed, and asks."""
    chosen = accounts_where(addresses, where)
    age = None if older_than is None else parse_age(older_than)
    order = _Order(common, age, dry_run=dry_run, yes=yes)
    results, interrupted = run(common, lambda session: order.carry_out(session, account_names(addresses), chosen))
    if as_json:
        write_json([_result_json(result) for result in results])
    else:
        _write(common, results)
    return finish(results, interrupted=interrupted, dry_run=dry_run)


class _Order:
    """Which messages to remove, and how."""

    def __init__(self, common: Common, age: float | None, *, dry_run: bool, yes: bool) -> None:
        self._common = common
        self._age = age
        self._dry_run = dry_run
        self._yes = yes

    async def carry_out(
        self, session: Session, addresses: list[str], chosen: Filter | None
    ) -> tuple[list[TrashResult], bool]:
        """Show what would be removed, ask, and remove it. The results, and whether Ctrl-C interrupted it."""
        addresses = await session.chosen(addresses, chosen)
        if not self._dry_run:
            session.require_rights()
        if self._dry_run or not self._yes:
            found = await self._send(session, addresses, dry_run=True)
            if self._dry_run or not any(result.messages for result in found):
                return found, session.interrupted
            session.require_no_interrupt()
            await self._ask(found)
        return await self._send(session, addresses, dry_run=False), session.interrupted

    async def _ask(self, found: list[TrashResult]) -> None:
        messages, size = sum(result.messages for result in found), sum(result.bytes for result in found)
        _write_table(self._common, found, to_stderr=True)
        what = f"{format_count(messages)} messages ({format_size(size)})"
        await confirm(f"{what} are to be removed for good. Go on?")

    async def _send(self, session: Session, addresses: list[str], *, dry_run: bool) -> list[TrashResult]:
        def order(number: int, addresses: list[str]) -> EmptyTrash:
            return EmptyTrash(number, addresses, self._age, dry_run)

        what = "looking into Trash of" if dry_run else "emptying Trash of"
        return await session.work(addresses, order, list[TrashResult], what)


def _result_json(result: TrashResult) -> dict[str, Any]:
    return {
        "address": result.address,
        "folders": result.folders,
        "messages": result.messages,
        "bytes": result.bytes,
        "oldest": rfc3339(result.oldest),
        "newest": rfc3339(result.newest),
        "method": result.method,
        "error": result.error,
    }


def _write(common: Common, results: list[TrashResult]) -> None:
    if any(result.error is None for result in results):
        _write_table(common, results)
    elif not results:
        complain("no account matches")


def _write_table(common: Common, results: list[TrashResult], *, to_stderr: bool = False) -> None:
    titles = ["address", ">messages", ">size", "oldest", "newest", "folders"]
    rows = [
        [
            r.address,
            format_count(r.messages),
            format_size(r.bytes),
            _moment(r.oldest),
            _moment(r.newest),
            ", ".join(r.folders) or NOTHING,
        ]
        for r in results
        if r.error is None
    ]
    write_table(common, titles, rows, to_stderr=to_stderr)


def _moment(at: float | None) -> str:
    return NOTHING if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


COMMANDS = {"empty-trash": empty_trash}
