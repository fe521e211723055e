"""The entries of the journal as text, and the columns of their table. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mailquota.core.base.units import format_age, format_size
from mailquota.core.control.results import MESSAGES, JournalRow, change_json

from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Column, Context, text_cell
from ..draw.order import by_text

LIMIT, RECOUNT, WARNING = "limit", "recalc", "warning"
KINDS = {LIMIT: "limit", RECOUNT: "recount", "trash": "Trash", "jump": "jump"}  # kinds with another name on the screen
INDENT = 14  # cells; lines that follow begin below the kind, behind the age
OURSELVES = "mailquota"  # the operator that ends temporary limits


@dataclass(frozen=True)
class Entry:
    """An entry of the journal with ``undone_by``, the entry that undid it."""

    row: JournalRow
    undone_by: JournalRow | None = None

    @property
    def can_be_undone(self) -> bool:
        """Whether it is an edit of a limit that was not undone yet."""
        return self.row.kind in {LIMIT, MESSAGES} and self.undone_by is None


def entries(rows: Sequence[JournalRow]) -> list[Entry]:
    """The rows in their order, each with the entry that undid it."""
    undone = {row.undoes: row for row in rows if row.undoes is not None}
    return [Entry(row, undone.get(row.id)) for row in rows]


def last_edit(rows: Sequence[JournalRow]) -> list[JournalRow]:
    """The newest edit of limits that was not undone and undoes none: all entries of the same moment."""
    edits = [entry.row for entry in entries(rows) if entry.can_be_undone and entry.row.undoes is None]
    if not edits:
        return []
    newest = edits[0]
    return [row for row in edits if (row.at, row.operator) == (newest.at, newest.operator)]


def kind_words(row: JournalRow, context: Context) -> str:
    """The kind of the entry as text."""
    return KINDS.get(row.kind) or fmt.literal(row.kind, context.glyphs)


def change_words(row: JournalRow, context: Context) -> str:
    """``5 GiB → 10 GiB``; the difference that a recount found; empty for an entry without values."""
    if row.new is None and row.old is None:
        return ""
    if row.kind == WARNING:
        return fmt.threshold(row.new or "", context.glyphs)
    if row.kind == MESSAGES:
        return f" {context.glyphs.arrow} ".join(
            fmt.literal(value or "", context.glyphs) for value in (row.old, row.new)
        )
    old, new = (fmt.recorded(value, context.glyphs) for value in (row.old, row.new))
    if row.old is None:
        return new
    before, after = fmt.recorded_bytes(row.old), fmt.recorded_bytes(row.new)
    if row.kind == RECOUNT and before is not None and after is not None:
        more = f"{format_size(abs(after - before))} {'more' if after > before else 'less'}"
        return f"{new}, {more if after != before else 'as recorded'}"
    return f"{old} {context.glyphs.arrow} {new}"


def until_words(entry: Entry, context: Context, *, short: bool = False) -> Run:
    """Until when a limit holds, or that it has ended or was undone, with its style.

    ``short`` leaves the day of the week and the time of day out.
    """
    until, undone_by = entry.row.until, entry.undone_by
    if undone_by is not None:
        return "ended" if until is not None and undone_by.operator == OURSELVES else "undone", "quiet"
    if until is None:
        return "", "quiet"
    if until <= context.now:
        return "ended", "quiet"
    end = fmt.day(until, context.now).partition(" ")[2] if short else fmt.until(until, context.now)
    return f"until {end}", "accent"


def who(row: JournalRow, context: Context) -> str:
    """The operator, and the terminal or connection that the order came from."""
    origin = f" ({fmt.literal(row.origin, context.glyphs)})" if row.origin else ""
    return fmt.literal(row.operator, context.glyphs) + origin


def when(at: float, now: float) -> str:
    """Local: the time for today, the day and the time before, the date alone after 300 days."""
    then, today = time.localtime(at), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    if now - at > 300 * 86400:
        return time.strftime("%Y-%m-%d", then)
    return f"{then.tm_mday:>2} {time.strftime('%b %H:%M', then)}"


def _plain(entry: Entry) -> str:
    return "quiet" if entry.undone_by is not None else "plain"


def _at(entry: Entry, context: Context) -> Run:
    return when(entry.row.at, context.now), "quiet"


def _number(entry: Entry, _context: Context) -> Run:
    return str(entry.row.id), "quiet"


def _who(entry: Entry, context: Context) -> Run:
    return who(entry.row, context), "quiet"


def _kind(entry: Entry, context: Context) -> Run:
    return kind_words(entry.row, context), _plain(entry)


def _address(entry: Entry, context: Context) -> Run:
    return fmt.literal(entry.row.address, context.glyphs) or context.glyphs.nothing, _plain(entry)


def _change(entry: Entry, context: Context) -> Run:
    return change_words(entry.row, context), _plain(entry)


def _reason(entry: Entry, context: Context) -> Run:
    back = f"takes back {entry.row.undoes}" if entry.row.undoes is not None else ""
    reason = fmt.literal(entry.row.reason, context.glyphs)
    if entry.row.kind == WARNING and reason and " " not in reason:  # one word is the way of delivery, more are a fault
        reason = f"by {reason}"
    return f"{back}{': ' if back and reason else ''}{reason}", "quiet"


def _note(entry: Entry, width: int, context: Context) -> Line:
    """Until when it holds, whether it was undone, and the reason."""
    until, (because, style) = until_words(entry, context, short=width < 20), _reason(entry, context)
    gap = ": " if until[0] and because else ""
    return fmt.cut((until, (gap, "quiet"), (because, style)), width, context.glyphs)


def _by_number(entry: Entry) -> int:
    return entry.row.id


def _by_new(entry: Entry) -> int | None:
    return fmt.recorded_bytes(entry.row.new)


def _operator(entry: Entry) -> str:
    return entry.row.operator


def _by_kind(entry: Entry) -> str:
    return KINDS.get(entry.row.kind, entry.row.kind)


def _owner(entry: Entry) -> str:
    return entry.row.address


def _because(entry: Entry) -> str:
    return entry.row.reason


COLUMNS: tuple[Column[Entry], ...] = (
    Column("at", "When", width=12, priority=1, cell=text_cell(_at)),
    Column("id", "No", width=6, priority=9, cell=text_cell(_number, right=True), sort=_by_number, right=True),
    Column(
        "who",
        "Who",
        width=10,
        priority=5,
        cell=text_cell(_who),
        sort=by_text(_operator),
        falling=False,
        good=16,
        most=30,
    ),
    Column("kind", "What", width=8, priority=3, cell=text_cell(_kind), sort=by_text(_by_kind), falling=False),
    Column(
        "address",
        "Account",
        width=18,
        priority=0,
        cell=text_cell(_address),
        sort=by_text(_owner),
        falling=False,
        good=24,
        most=50,
    ),
    Column("change", "Change", width=19, priority=2, cell=text_cell(_change), sort=_by_new, good=21, most=26),
    Column(
        "reason", "Reason", width=12, priority=4, cell=_note, sort=by_text(_because), falling=False, good=26, most=90
    ),
)


KEYS = {"who": ("operator", "origin"), "change": ("old", "new"), "reason": ("until", "reason", "undoes")}


def record(entry: Entry) -> dict[str, Any]:
    """An entry as it is exported, with the keys that ``mailquota journal --json`` has."""
    return change_json(entry.row)


def text(entry: Entry) -> str:
    """What the filter searches."""
    row = entry.row
    state = "undone" if entry.undone_by is not None else ""
    kind = f"{row.kind} {KINDS.get(row.kind, '')}"
    return f"{row.operator}\n{row.origin}\n{kind}\n{row.address}\n{row.old}\n{row.new}\n{row.reason}\n{state}"


def detail(entry: Entry | None, width: int, context: Context) -> Line:
    """The entry under the cursor, with what its columns had to cut."""
    if entry is None:
        return ()
    row = entry.row
    name = f"#{row.id} {kind_words(row, context)}{' of ' * bool(row.address)}{fmt.literal(row.address, context.glyphs)}"
    facts = [(change_words(row, context), "plain"), until_words(entry, context), _reason(entry, context)]
    facts.append((f"by {who(row, context)} {format_age(context.now - row.at)} ago", "quiet"))
    return fmt.facts((name, "strong"), (fact for fact in facts if fact[0]), width, context.glyphs)


def lines(entry: Entry, width: int, context: Context) -> list[Line]:
    """The entry as lines of its account's card. Who and why follow on a line of their own where they do not fit."""
    row = entry.row
    until, (because, _style) = until_words(entry, context), _reason(entry, context)
    what: list[Run] = [
        (f" {fmt.age(row.at, context.now, context.glyphs):>7} ago  ", "quiet"),
        (
            " ".join(word for word in (kind_words(row, context), change_words(row, context)) if word) + "  ",
            _plain(entry),
        ),
    ]
    if until[0]:
        what += [until, ("  ", "plain")]
    by = (f"by {fmt.literal(row.operator, context.glyphs)}{': ' * bool(because)}{because}", "quiet")
    if fmt.width_of([*what, by]) <= width:
        return [(*what, by)]
    return [tuple(what), *fmt.hanging(((" " * INDENT, "plain"), by), width)]
