"""``mailquota set`` and ``undo``: edit limits, and take an edit back."""

from __future__ import annotations

import time
from typing import Any

import click

from ..base.errors import UsageError
from ..base.filters import Filter
from ..base.model import percent_of
from ..base.text import NOTHING, shown
from ..base.times import DATE_FORMS, local_time, parse_until, until_text
from ..base.units import LIMIT_FORMS, format_limit, format_size
from ..control.messages import SetLimit, Undo
from ..control.results import SetResult
from .options import (
    DRY_RUN,
    JSON,
    WHERE,
    YES,
    Common,
    NumbersCommand,
    account_names,
    accounts_where,
    command,
    utf8,
)
from .output import complain, percent_text, write_json, write_table
from .results import confirm, finish
from .session import Session, run

_REASON = click.option("--reason", default="", metavar="TEXT", help="The reason, for the journal.")
_MANY = 10  # for more accounts it asks


@command("set", NumbersCommand, acts=True, epilog=f"SIZE, in powers of 1024:\n{LIMIT_FORMS}")
@click.argument("addresses", metavar="ADDRESS...", nargs=-1)
@click.argument("size")
@WHERE
@click.option("--until", metavar="DATE", help=f"The limit goes back by itself then: {DATE_FORMS}.")
@_REASON
@DRY_RUN
@YES
@JSON
def set_limits(
    common: Common,
    *,
    addresses: tuple[str, ...],
    size: str,
    where: str | None,
    until: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Edit limits. Asks where a limit would be below the present usage, and for more than 10 accounts.

    With --until a limit goes back by itself at the start of that day, or at that time, to what it is now. An engine
    does that, at its next start if none runs then. Setting the limit again meanwhile ends it.
    """
    end = "" if until is None else until_text(parse_until(until, time.time()))
    if "@" in size and where is None:
        raise UsageError(f"the last argument is the size, and {shown(size)} is none; accepted: {LIMIT_FORMS}")
    chosen = accounts_where(addresses, where)
    order = _Order(utf8(size), utf8(reason), end, dry_run=dry_run, yes=yes)
    results, interrupted = run(common, lambda session: order.carry_out(session, account_names(addresses), chosen))
    if as_json:
        write_json([_result_json(result) for result in results])
    else:
        _write(common, results)
    return finish(results, interrupted=interrupted, dry_run=dry_run)


class _Order:
    """A new limit, and how to set it."""

    def __init__(self, size: str, reason: str, until: str, *, dry_run: bool, yes: bool) -> None:
        self._size = size
        self._reason = reason
        self._until = until
        self._dry_run = dry_run
        self._yes = yes

    async def carry_out(
        self, session: Session, addresses: list[str], chosen: Filter | None
    ) -> tuple[list[SetResult], bool]:
        """Show what would change, ask, and set the limits. The results, and whether Ctrl-C interrupted it."""
        addresses = await session.chosen(addresses, chosen)
        if not self._dry_run:
            session.require_rights()
        if self._dry_run or not self._yes:
            plan = await self._send(session, addresses, dry_run=True)
            if self._dry_run or not any(result.error is None for result in plan):
                return plan, session.interrupted
            session.require_no_interrupt()
            question = _question(plan)
            if question:
                await confirm(question)
        results = await self._send(session, addresses, dry_run=False)
        if self._until and session.is_alone and any(result.error is None for result in results):
            complain("no engine runs here: the limit goes back when one runs then, or at its next start")
        return results, session.interrupted

    async def _send(self, session: Session, addresses: list[str], *, dry_run: bool) -> list[SetResult]:
        def order(number: int, addresses: list[str]) -> SetLimit:
            return SetLimit(number, addresses, self._size, reason=self._reason, until=self._until, dry_run=dry_run)

        return await session.work(addresses, order, list[SetResult], "setting the limits of")


def _question(plan: list[SetResult]) -> str:
    """The question about a plan, "" where none is needed."""
    wanted = [result for result in plan if result.error is None]
    under = [(result, missing) for result in wanted if (missing := _missing(result)) > 0]
    parts = []
    if len(wanted) > _MANY:
        parts.append(f"The limits of {len(wanted):,} accounts are to be set.")
    if len(under) == 1:
        result, missing = under[0]
        parts.append(
            f"The limit of {result.address} would be {format_size(result.new_bytes)},"
            f" {format_size(missing)} under its present usage of {format_size(result.used_bytes)}."
        )
    elif under:
        result, missing = max(under, key=lambda pair: pair[1])
        parts.append(
            f"{len(under):,} limits would be under the present usage,"
            f" that of {result.address} by {format_size(missing)}."
        )
    return " ".join([*parts, "Go on?"]) if parts else ""


def _missing(result: SetResult) -> int:
    """Bytes of usage above the new limit; 0 or less if it fits."""
    if result.new_bytes is None or result.used_bytes is None:
        return 0
    return result.used_bytes - result.new_bytes


def _result_json(result: SetResult) -> dict[str, Any]:
    return {
        "address": result.address,
        "old_bytes": result.old_bytes,
        "new_bytes": result.new_bytes,
        "journal_id": result.journal_id,
        "error": result.error,
    }


def _write(common: Common, results: list[SetResult]) -> None:
    good = [result for result in results if result.error is None]
    if not good:
        if not results:
            complain("no account matches")
        return
    titles = ["address", ">old limit", ">new limit", ">used", ">percent"]
    rows = [
        [r.address, format_limit(r.old_bytes), format_limit(r.new_bytes), format_size(r.used_bytes), _share(r)]
        for r in good
    ]
    if any(result.until is not None for result in good):
        titles += ["until", ">then"]
        rows = [[*row, *_end(result)] for row, result in zip(rows, good, strict=True)]
    write_table(common, titles, rows)


def _end(result: SetResult) -> list[str]:
    return [NOTHING, NOTHING] if result.until is None else [local_time(result.until), format_limit(result.then_bytes)]


def _share(result: SetResult) -> str:
    return percent_text(percent_of(result.used_bytes, result.new_bytes))


@command("undo", acts=True)
@click.argument("entry", metavar="[ID]", type=click.IntRange(min=1), required=False)
@_REASON
@JSON
def undo(common: Common, *, entry: int | None, reason: str, as_json: bool) -> int:
    """Take back the last edit of limits, of all accounts that it set, or only entry ID of the journal.

    A limit that was changed since stays as it is. Asks nothing.
    """

    async def carry_out(session: Session) -> list[SetResult]:
        session.require_rights()
        results: list[SetResult] = await session.ask(lambda number: Undo(number, entry, utf8(reason)), list[SetResult])
        return results

    results = run(common, carry_out)
    if as_json:
        write_json([_result_json(result) for result in results])
    else:
        _write(common, results)
    return finish(results, interrupted=False)


COMMANDS = {"set": set_limits, "undo": undo}
