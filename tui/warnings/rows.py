"""Warnings in words, and the columns of their table. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mailquota.core.base.units import format_count, format_size
from mailquota.core.control.results import Status, WarningRow, WarnResult
from mailquota.tui.desk.tiles import Tile, figure
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Column, Look, text_cell

LISTED = 500  # warnings, the newest
DAY = 86400.0
LEAD = 3  # cells: blank, sign, blank
_PERCENT = re.compile("([0-9]{1,3})%?")
_LEFT = re.compile("[0-9.]+[KMGT]")
_STATES = {"sent": "quiet", "queued": "accent", "failed": "over", "dropped": "quiet"}  # with their looks
_SOURCES = {"state": "mailquota", "dovecot": "Dovecot"}


def mark_words(mark: str, look: Look) -> str:
    """What the owner was told: ``95 % full``, ``50M left``, ``room again``."""
    percent = _PERCENT.fullmatch(mark)
    if percent is not None:
        return f"{percent[1]} % full"
    if _LEFT.fullmatch(mark):
        return f"{mark} left"
    return {"below": "room again", "": "as it is"}.get(mark) or fmt.literal(mark, look.glyphs)


def order_mark(mark: str) -> str:
    """As orders name it: a percentage without its sign, or ``below``; else its present state."""
    percent = _PERCENT.fullmatch(mark)
    if percent is not None:
        return percent[1]
    return mark if mark == "below" else ""


def lead(row: WarningRow, look: Look) -> Line:
    """The sign of its state."""
    return ((f" {look.glyphs.states.get(row.state, '?')} ", _STATES.get(row.state, "plain")),)


def state(row: WarningRow, look: Look) -> Run:
    """What became of it, as a word."""
    return fmt.literal(row.state, look.glyphs), _STATES.get(row.state, "plain")


def when(row: WarningRow, look: Look) -> Run:
    """How long ago it was sent or given up; when a queued one is tried."""
    if row.state == "queued":
        return fmt.ahead(row.next_try or row.at, look.now), "accent"
    return f"{fmt.age(row.sent_at or row.at, look.now, look.glyphs)} ago", "quiet"


def why(row: WarningRow, look: Look) -> Run:
    """By which way it went, or why it did not."""
    if row.error:
        return fmt.literal(row.error, look.glyphs), "near"
    return (f"by {fmt.literal(row.method, look.glyphs)}" if row.method else ""), "quiet"


def _percent(row: WarningRow, look: Look) -> Run:
    return fmt.percent_text(row.percent, look.glyphs), "plain"


def _held(row: WarningRow, look: Look) -> Run:
    if row.used_bytes is None:
        return look.glyphs.nothing, "quiet"
    limit = "" if row.limit_bytes is None else f" of {format_size(row.limit_bytes)}"
    return f"{format_size(row.used_bytes)}{limit}", "quiet"


def _source(row: WarningRow, look: Look) -> Run:
    return _SOURCES.get(row.source) or fmt.literal(row.source, look.glyphs), "quiet"


COLUMNS: tuple[Column[WarningRow], ...] = (
    Column("state", "State", 7, 2, text_cell(state)),
    Column("when", "When", 12, 1, text_cell(when)),
    Column(
        "address", "Account", 18, 0, text_cell(lambda row, look: (fmt.literal(row.address, look.glyphs), "plain")),
        good=26, most=50,
    ),
    Column("mark", "About", 10, 3, text_cell(lambda row, look: (mark_words(row.mark, look), "plain")), good=11),
    Column("percent", "Use", 6, 5, text_cell(_percent, right=True), right=True),
    Column("held", "Held", 19, 7, text_cell(_held)),
    Column("source", "Asked by", 10, 6, text_cell(_source)),
    Column("why", "Delivery", 14, 4, text_cell(why), good=20, most=90),
)  # fmt: skip


def text(row: WarningRow) -> str:
    """What a filter looks into."""
    return f"{row.address}\n{row.state}\n{row.mark}\n{row.source}\n{row.method}\n{row.error}"


def totals(rows: list[WarningRow], status: Status | None, look: Look) -> tuple[Tile, ...]:
    """Who is due, what could not be sent; what was sent within a day, as far as the list reaches back."""
    sent = sum(row.state == "sent" and abs(look.now - (row.sent_at or row.at)) < DAY for row in rows)
    more = "+" if len(rows) >= LISTED and abs(look.now - rows[-1].at) < DAY else ""
    tiles = [Tile("sent", 2, figure(f"{format_count(sent)}{more}", " sent within 24 h"))]
    if status is not None:
        signs, failed = look.glyphs.states, status.warnings_failed
        queued = f"{signs['queued']} {format_count(status.warnings_queued)} due"
        tiles.insert(0, Tile("queued", 0, ((queued, "accent" if status.warnings_queued else "quiet"),)))
        tiles.insert(
            1, Tile("failed", 1, ((f"{signs['failed']} {format_count(failed)} failed", "over" if failed else "quiet"),))
        )
    return tuple(tiles)


def detail(row: WarningRow | None, width: int, look: Look) -> Line:
    """The warning under the cursor, with what its columns had to cut."""
    if row is None:
        return ()
    facts = [(mark_words(row.mark, look), "plain"), (f"{state(row, look)[0]} {when(row, look)[0]}", "quiet")]
    if row.attempts > 1:
        facts.append((f"{row.attempts} tries", "quiet"))
    facts += [run for run in (why(row, look),) if run[0]]
    return fmt.facts((fmt.literal(row.address, look.glyphs), "strong"), facts, width, look.glyphs)


def line(row: WarningRow, look: Look) -> Line:
    """One of an account's own."""
    glyphs = look.glyphs
    (words, style), (moment, near) = state(row, look), when(row, look)
    return (
        *lead(row, look),
        (f"{fmt.fit(mark_words(row.mark, look), 10, glyphs)}  ", "plain"),
        (f"{fmt.fit(words, 7, glyphs)} ", style),
        (f"{fmt.fit(moment, 12, glyphs)} ", near),
        why(row, look),
    )


# ---- what an order to warn did


def outcome(result: WarnResult, look: Look) -> Run:
    """Of one account, in words."""
    glyphs = look.glyphs
    if result.error:
        return f"not warned: {fmt.literal(result.error, glyphs)}", "over"
    remark = fmt.literal(result.remark, glyphs) if result.remark else ""
    if result.state == "sent":
        by = f" by {fmt.literal(result.method, glyphs)}" if result.method else ""
        return f"warned ({mark_words(result.mark, look)}){by}{'; ' * bool(remark)}{remark}", "good"
    words, style = {"queued": ("will be warned", "accent"), "merged": ("not told again", "quiet")}.get(
        result.state, (fmt.literal(result.state, glyphs), "near")
    )
    return f"{words}{': ' * bool(remark)}{remark}", style


def outcomes(results: list[WarnResult], look: Look) -> Iterator[Line]:
    """The sum of it, then each, failures first."""
    words = {"sent": "warned", "queued": "will be", "merged": "not told again", "failed": "failed"}
    states = ["failed" if result.error else result.state for result in results]
    parts = [f"{format_count(states.count(name))} {word}" for name, word in words.items() if name in states]
    yield ((f"{fmt.plural(len(results), 'account')}: {', '.join(parts)}", "strong"),)
    for result in sorted(results, key=lambda each: each.error is None):
        yield ((f"{fmt.literal(result.address, look.glyphs)}  ", "plain"), outcome(result, look))
