"""Warnings as text, and the columns of their table. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from mailquota.core.base.model import rfc3339
from mailquota.core.base.units import format_count, format_size
from mailquota.core.control.results import Status, WarningRow, WarnResult

from ..desk.tiles import Tile, figure
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Column, Context, text_cell
from ..draw.order import by_text

LISTED = 500  # warnings, the newest
DAY = 86400.0
LEAD = 3  # cells: blank, sign, blank
_STATES = {"sent": "quiet", "queued": "accent", "failed": "over", "dropped": "quiet"}  # state → style
_SOURCES = {"state": "mailquota", "dovecot": "Dovecot"}


def order_threshold(mark: str) -> str:
    """The threshold as an order names it: a percentage without its sign, or ``below``.

    Empty for one that an order can't name; the engine then takes the account's present state.
    """
    percent = fmt.PERCENT.fullmatch(mark)
    if percent is not None:
        return percent[1]
    return mark if mark == "below" else ""


def lead(row: WarningRow, context: Context) -> Line:
    """The sign of the warning's state, before its first column."""
    return ((f" {context.glyphs.states.get(row.state, '?')} ", _STATES.get(row.state, "plain")),)


def state(row: WarningRow, context: Context) -> Run:
    """The state of the warning as text."""
    return fmt.literal(row.state, context.glyphs), _STATES.get(row.state, "plain")


def when(row: WarningRow, context: Context) -> Run:
    """How long ago it was sent or given up; of one that is queued, when it is tried next."""
    if row.state == "queued":
        return fmt.ahead(row.next_try or row.at, context.now), "accent"
    return f"{fmt.age(row.sent_at or row.at, context.now, context.glyphs)} ago", "quiet"


def why(row: WarningRow, context: Context) -> Run:
    """How it was delivered, or why it was not."""
    if row.error:
        return fmt.literal(row.error, context.glyphs), "near"
    return (f"by {fmt.literal(row.method, context.glyphs)}" if row.method else ""), "quiet"


def _percent(row: WarningRow, context: Context) -> Run:
    return fmt.percent_text(row.percent, context.glyphs), "plain"


def _held(row: WarningRow, context: Context) -> Run:
    if row.used_bytes is None:
        return context.glyphs.nothing, "quiet"
    limit = "" if row.limit_bytes is None else f" of {format_size(row.limit_bytes)}"
    return f"{format_size(row.used_bytes)}{limit}", "quiet"


def _source(row: WarningRow, context: Context) -> Run:
    return _SOURCES.get(row.source) or fmt.literal(row.source, context.glyphs), "quiet"


def _threshold(row: WarningRow, context: Context) -> Run:
    return fmt.threshold(row.mark, context.glyphs), "plain"


def _address(row: WarningRow, context: Context) -> Run:
    return fmt.literal(row.address, context.glyphs), "plain"


def _delivery(row: WarningRow) -> str | None:
    return row.error or row.method


COLUMNS: tuple[Column[WarningRow], ...] = (
    Column(
        "state", "State", width=7, priority=2, cell=text_cell(state), sort=by_text(attrgetter("state")), falling=False
    ),
    Column("when", "When", width=12, priority=1, cell=text_cell(when)),
    Column(
        "address",
        "Account",
        width=18,
        priority=0,
        cell=text_cell(_address),
        sort=by_text(attrgetter("address")),
        falling=False,
        good=26,
        most=50,
    ),
    Column(
        "mark",
        "About",
        width=10,
        priority=3,
        cell=text_cell(_threshold),
        sort=by_text(attrgetter("mark")),
        falling=False,
        good=11,
    ),
    Column(
        "percent",
        "Usage",
        width=6,
        priority=5,
        cell=text_cell(_percent, right=True),
        sort=attrgetter("percent"),
        right=True,
    ),
    Column("held", "Held", width=19, priority=7, cell=text_cell(_held), sort=attrgetter("used_bytes")),
    Column(
        "source",
        "Asked by",
        width=10,
        priority=6,
        cell=text_cell(_source),
        sort=by_text(attrgetter("source")),
        falling=False,
    ),
    Column(
        "why",
        "Delivery",
        width=14,
        priority=4,
        cell=text_cell(why),
        sort=by_text(_delivery),
        falling=False,
        good=20,
        most=90,
    ),
)


KEYS = {  # column → keys of its values
    "when": ("at", "sent_at"), "mark": ("threshold",), "held": ("used_bytes", "limit_bytes"),
    "source": ("asked_by",), "why": ("method", "error"),
}  # fmt: skip


def record(row: WarningRow) -> dict[str, Any]:
    """A warning as it is exported."""
    return {
        "at": rfc3339(row.at), "state": row.state, "address": row.address, "threshold": row.mark,
        "percent": row.percent, "used_bytes": row.used_bytes, "limit_bytes": row.limit_bytes, "asked_by": row.source,
        "sent_at": rfc3339(row.sent_at), "next_try": rfc3339(row.next_try), "attempts": row.attempts,
        "method": row.method, "error": row.error,
    }  # fmt: skip


def text(row: WarningRow) -> str:
    """What the filter searches."""
    return f"{row.address}\n{row.state}\n{row.mark}\n{row.source}\n{row.method}\n{row.error}"


def totals(rows: list[WarningRow], status: Status | None, context: Context) -> tuple[Tile, ...]:
    """How many warnings are due, failed, and were sent within a day, as far as the list reaches back."""
    sent = sum(row.state == "sent" and abs(context.now - (row.sent_at or row.at)) < DAY for row in rows)
    more = "+" if len(rows) >= LISTED and abs(context.now - rows[-1].at) < DAY else ""
    tiles = [Tile("sent", 2, figure(f"{format_count(sent)}{more}", " sent within 24 h"))]
    if status is not None:
        signs, failed = context.glyphs.states, status.warnings_failed
        queued = f"{signs['queued']} {format_count(status.warnings_queued)} due"
        tiles.insert(0, Tile("queued", 0, ((queued, "accent" if status.warnings_queued else "quiet"),)))
        tiles.insert(
            1, Tile("failed", 1, ((f"{signs['failed']} {format_count(failed)} failed", "over" if failed else "quiet"),))
        )
    return tuple(tiles)


def detail(row: WarningRow | None, width: int, context: Context) -> Line:
    """The warning under the cursor, with what its columns had to cut."""
    if row is None:
        return ()
    facts = [
        (fmt.threshold(row.mark, context.glyphs), "plain"),
        (f"{state(row, context)[0]} {when(row, context)[0]}", "quiet"),
    ]
    if row.attempts > 1:
        facts.append((f"{row.attempts} tries", "quiet"))
    facts += [run for run in (why(row, context),) if run[0]]
    return fmt.facts((fmt.literal(row.address, context.glyphs), "strong"), facts, width, context.glyphs)


def line(row: WarningRow, context: Context) -> Line:
    """The warning as a line of its account's card."""
    glyphs = context.glyphs
    (words, style), (moment, near) = state(row, context), when(row, context)
    return (
        *lead(row, context),
        (f"{fmt.fit(fmt.threshold(row.mark, context.glyphs), 10, glyphs)}  ", "plain"),
        (f"{fmt.fit(words, 7, glyphs)} ", style),
        (f"{fmt.fit(moment, 12, glyphs)} ", near),
        why(row, context),
    )


# ---- what an order to warn did


def outcome(result: WarnResult, context: Context) -> Run:
    """What the order to warn did for one account, with its style."""
    glyphs = context.glyphs
    if result.error:
        return f"not warned: {fmt.literal(result.error, glyphs)}", "over"
    remark = fmt.literal(result.remark, glyphs) if result.remark else ""
    if result.state == "sent":
        by = f" by {fmt.literal(result.method, glyphs)}" if result.method else ""
        return f"warned ({fmt.threshold(result.mark, context.glyphs)}){by}{'; ' * bool(remark)}{remark}", "good"
    words, style = {"queued": ("will be warned", "accent"), "merged": ("not warned again", "quiet")}.get(
        result.state, (fmt.literal(result.state, glyphs), "near")
    )
    return f"{words}{': ' * bool(remark)}{remark}", style


def outcomes(results: list[WarnResult], context: Context) -> Iterator[Line]:
    """The sum of all results, then each of them, failures first."""
    words = {"sent": "warned", "queued": "will be", "merged": "not warned again", "failed": "failed"}
    states = ["failed" if result.error else result.state for result in results]
    parts = [f"{format_count(states.count(name))} {word}" for name, word in words.items() if name in states]
    yield ((f"{fmt.plural(len(results), 'account')}: {', '.join(parts)}", "strong"),)
    for result in sorted(results, key=lambda each: each.error is None):
        yield ((f"{fmt.literal(result.address, context.glyphs)}  ", "plain"), outcome(result, context))
