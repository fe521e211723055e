"""``mailquota set`` and ``undo``: edit limits, and take an edit back."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from ..base.errors import MailquotaError, UsageError
from ..base.filters import Filter
from ..base.model import percent_of
from ..base.text import NOTHING, shown
from ..base.times import DATE_FORMS, local_time, parse_until, until_text
from ..base.units import (
    LIMIT_FORMS,
    format_count,
    format_limit,
    format_message_limit,
    format_size,
    parse_message_limit,
)
from ..control.messages import PlanUndo, SetLimit, SetMessages, Undo, UndoPart
from ..control.results import SetResult, UndoPlan, rest_of
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
@click.argument("words", metavar="ADDRESS... [SIZE]", nargs=-1)
@click.option("--messages", metavar="N", help="Set the limit of messages: a whole number, or unlimited.")
@WHERE
@click.option("--until", metavar="DATE", help=f"The limit goes back by itself then: {DATE_FORMS}.")
@_REASON
@DRY_RUN
@YES
@JSON
def set_limits(
    common: Common,
    *,
    words: tuple[str, ...],
    messages: str | None,
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

    With --messages it sets the limit of messages, and the one of bytes only where SIZE is given, too. That needs a
    column of the accounts database from which Dovecot takes it.
    """
    end = "" if until is None else until_text(parse_until(until, time.time()))
    addresses, size = _split(words, messages is not None)
    if "@" in size and where is None:
        raise UsageError(f"the last argument is the size, and {shown(size)} is none; accepted: {LIMIT_FORMS}")
    if messages is not None:
        parse_message_limit(messages)
        if end:
            raise UsageError("--until is for limits of bytes alone; leave out --messages")
    chosen = accounts_where(addresses, where)
    order = _Order(utf8(size), messages, utf8(reason), end, dry_run=dry_run, yes=yes)
    results, interrupted = run(common, lambda session: order.carry_out(session, account_names(addresses), chosen))
    if as_json:
        write_json([_result_json(result) for result in results])
    else:
        _write(common, results)
    return finish(results, interrupted=interrupted, dry_run=dry_run)


def _split(words: tuple[str, ...], has_messages: bool) -> tuple[tuple[str, ...], str]:
    """The addresses and the size, which is the last word; "" where it is left out, as with --messages it may be."""
    if has_messages and (not words or "@" in words[-1]):
        return words, ""
    if not words:
        raise UsageError(f"a size is missing; accepted: {LIMIT_FORMS}")
    return words[:-1], words[-1]


class _Order:
    """New limits of bytes and messages, and how to set them. An empty ``size`` and None leave the one as it is."""

    def __init__(self, size: str, messages: str | None, reason: str, until: str, *, dry_run: bool, yes: bool) -> None:
        self._size = size
        self._messages = messages
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
        def size(number: int, addresses: list[str]) -> SetLimit:
            return SetLimit(number, addresses, self._size, reason=self._reason, until=self._until, dry_run=dry_run)

        def messages(number: int, addresses: list[str]) -> SetMessages:
            return SetMessages(number, addresses, self._messages or "", reason=self._reason, dry_run=dry_run)

        results: list[SetResult] = []
        what = "setting the limits of"
        if self._size:
            results = await session.work(addresses, size, list[SetResult], what)
            addresses = [result.address for result in results if result.error is None]
        if self._messages is not None and not session.interrupted:
            set_now = await session.work(addresses, messages, list[SetResult], what)
            results = _both(results, set_now)
        return results


def _both(sizes: list[SetResult], messages: list[SetResult]) -> list[SetResult]:
    """One result for each account, of which the limit of bytes may have been set before that of messages."""
    found = {result.address: result for result in messages}
    both = [_merged(size, found.pop(size.address, None)) for size in sizes]
    return [*both, *found.values()]


def _merged(size: SetResult, messages: SetResult | None) -> SetResult:
    if messages is None:
        return size
    return msgspec.structs.replace(
        size,
        error=messages.error,
        code=messages.code,
        remark="; ".join(filter(None, (size.remark, messages.remark))) or None,
        old_messages=messages.old_messages,
        new_messages=messages.new_messages,
        messages=messages.messages,
    )


def _question(plan: list[SetResult], done: str = "set") -> str:
    """The question about a plan, "" where none is needed. ``done`` is what happens to the limits."""
    wanted = [result for result in plan if result.error is None]
    under = [(result, missing) for result in wanted if (missing := _missing(result)) > 0 and not _stays_over(result)]
    stay = sum(map(_stays_over, wanted))
    parts = []
    full = [result for result in wanted if _is_full(result)]
    if len(wanted) > _MANY:
        parts.append(f"The limits of {len(wanted):,} accounts are to be {done}.")
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
    if full:
        result = full[0]
        more = f", and {len(full) - 1:,} more accounts" if len(full) > 1 else ""
        parts.append(
            f"{result.address}{more} would be at the limit of messages: it has {format_count(result.messages)}"
            f" of {format_message_limit(result.new_messages)}."
        )
    if parts and stay:
        parts.append(f"{stay:,} stay over their limit.")
    return " ".join([*parts, "Go on?"]) if parts else ""


def _stays_over(result: SetResult) -> bool:
    """Whether the usage is above the present limit already, and by no more above the new one."""
    old, new, used = result.old_bytes, result.new_bytes, result.used_bytes
    return None not in {old, new, used} and (used or 0) > (new or 0) >= (old or 0)


def _is_full(result: SetResult) -> bool:
    """Whether a new limit of messages is not above the present number."""
    return result.new_messages is not None and result.messages is not None and result.messages >= result.new_messages


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
    } | ({"old_messages": result.old_messages, "new_messages": result.new_messages} if _sets_messages(result) else {})


def _write(common: Common, results: list[SetResult]) -> None:
    good = [result for result in results if result.error is None]
    if not good:
        if not results:
            complain("no account matches")
        return
    if any(_sets_messages(result) for result in good):
        _write_messages(common, good)
        good = [result for result in good if result.old_bytes != result.new_bytes]
        if not good:
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


def _sets_messages(result: SetResult) -> bool:
    """Whether a limit of messages was set: a number of messages is only in such results."""
    return (result.old_messages, result.new_messages, result.messages) != (None, None, None)


def _write_messages(common: Common, results: list[SetResult]) -> None:
    titles = ["address", ">old limit", ">new limit", ">messages"]
    rows = [
        [
            r.address,
            format_message_limit(r.old_messages),
            format_message_limit(r.new_messages),
            format_count(r.messages),
        ]
        for r in results
    ]
    write_table(common, titles, rows)


def _end(result: SetResult) -> list[str]:
    return [NOTHING, NOTHING] if result.until is None else [local_time(result.until), format_limit(result.then_bytes)]


def _share(result: SetResult) -> str:
    return percent_text(percent_of(result.used_bytes, result.new_bytes))


class _Undo:
    """What is to be taken back, and how."""

    def __init__(self, entry: int | None, left_out: list[str], reason: str, *, dry_run: bool, yes: bool) -> None:
        self._entry = entry
        self._left_out = left_out
        self._reason = reason
        self._dry_run = dry_run
        self._yes = yes

    async def carry_out(self, session: Session) -> list[SetResult]:
        """Show what would change, ask, and take it back."""
        newest = None
        if not self._dry_run:
            session.require_rights()
        if self._dry_run or not self._yes:
            plan: UndoPlan = await session.ask(lambda number: PlanUndo(number, self._entry), UndoPlan)
            if not plan.edit:
                raise MailquotaError("the journal has no edit of limits that could be taken back")
            rest = {row.address for row in rest_of(plan.edit, self._left_out)}
            foreseen = [result for result in plan.results if result.address in rest]
            if self._dry_run or not any(result.error is None for result in foreseen):
                return foreseen
            newest = plan.edit[0].id
            if question := _question(foreseen, "put back"):
                await confirm(question)
        results: list[SetResult] = await session.ask(lambda number: self._order(number, newest), list[SetResult])
        return results

    def _order(self, number: int, newest: int | None) -> Undo:
        if self._left_out:
            return UndoPart(number, self._entry, self._reason, newest, self._left_out)
        return Undo(number, self._entry, self._reason, newest)


@command("undo", acts=True)
@click.argument("entry", metavar="[ID]", type=click.IntRange(min=1, max=2**53), required=False)
@click.option("--without", multiple=True, metavar="ADDRESS", help="Leave this account out; may be given several times.")
@_REASON
@DRY_RUN
@YES
@JSON
def undo(
    common: Common,
    *,
    entry: int | None,
    without: tuple[str, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Take back the last edit of limits, of all accounts that it set, or only entry ID of the journal.

    If ID is an entry that took an edit back, all that was taken back with it is set again, as a new edit.

    A limit that was changed since stays as it is. So do those of the accounts --without; another undo takes them back.
    Asks as set does: where a limit would be below the present usage, and for more than 10 accounts.
    """
    order = _Undo(entry, account_names(without), utf8(reason), dry_run=dry_run, yes=yes)
    results = run(common, order.carry_out)
    if as_json:
        write_json([_result_json(result) for result in results])
    else:
        _write(common, results)
    return finish(results, interrupted=False, dry_run=dry_run)


COMMANDS = {"set": set_limits, "undo": undo}
