"""``mailquota recalc``: recount mailboxes, with before and after."""

from __future__ import annotations

from typing import Any

import click

from ..base.text import NOTHING
from ..base.units import format_count, format_size
from ..control.messages import Recalc
from ..control.results import RecalcResult
from .options import JSON, Common, account_names, command, one_of
from .output import write_json, write_table
from .results import finish
from .session import Session, run


@command("recalc", acts=True)
@click.argument("addresses", metavar="ADDRESS...", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All accounts, one after the other.")
@JSON
def recalc(common: Common, addresses: tuple[str, ...], everybody: bool, as_json: bool) -> int:
    """Recount mailboxes and record the result, with doveadm where there is one.

    The first Ctrl-C ends it after the present mailbox, and shows what was done.
    """
    one_of(addresses, everybody, "--all")
    results, interrupted = run(common, lambda session: _recount(session, account_names(addresses), everybody))
    if as_json:
        write_json([_result_json(result) for result in results])
    elif any(result.error is None for result in results):
        _write(common, results)
    return finish(results, interrupted=interrupted)


async def _recount(session: Session, addresses: list[str], everybody: bool) -> tuple[list[RecalcResult], bool]:
    session.require_rights()

    def order(number: int, addresses: list[str]) -> Recalc:
        return Recalc(number, addresses, everybody)

    return await session.work(addresses, order, list[RecalcResult], "recounting"), session.interrupted


def _result_json(result: RecalcResult) -> dict[str, Any]:
    return {
        "address": result.address,
        "before_bytes": result.before_bytes,
        "after_bytes": result.after_bytes,
        "before_messages": result.before_messages,
        "after_messages": result.after_messages,
        "method": result.method,
        "error": result.error,
    }


def _write(common: Common, results: list[RecalcResult]) -> None:
    titles = ["address", ">before", ">after", ">difference", ">messages", "method"]
    rows = [
        [
            r.address,
            format_size(r.before_bytes),
            format_size(r.after_bytes),
            _difference(r.before_bytes, r.after_bytes),
            _messages(r),
            r.method or NOTHING,
        ]
        for r in results
        if r.error is None
    ]
    write_table(common, titles, rows)


def _difference(before: int | None, after: int | None) -> str:
    if before is None or after is None:
        return NOTHING
    return "none" if before == after else f"{'+' if after > before else ''}{format_size(after - before)}"


def _messages(result: RecalcResult) -> str:
    if result.before_messages == result.after_messages:
        return format_count(result.after_messages)
    return f"{format_count(result.before_messages)} → {format_count(result.after_messages)}"


COMMANDS = {"recalc": recalc}
