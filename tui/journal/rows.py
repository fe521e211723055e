"""Entries of the journal in words, and the columns of its table. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mailquota.core.base.units import format_age, format_size
from mailquota.core.control.results import JournalRow
from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.grid import Column, Look, text_cell

LIMIT, RECOUNT = "limit", "recalc"
KINDS = {LIMIT: "limit", RECOUNT: "recount", "trash": "Trash", "jump": "jump"}  # others are called as they are
INDENT = 14  # cells of an age
OURSELVES = "mailquota"  # the operator that ends temporary limits


@dataclass(frozen=True)
class Entry:
    """``undone_by``: the entry that took this one back."""

    row: JournalRow
    undone_by: JournalRow | None = None

    @property
    def can_be_undone(self) -> bool:
        """Only edits of limits can, and once."""
        return self.row.kind == LIMIT and self.undone_by is None


def entries(rows: Sequence[JournalRow]) -> list[Entry]:
    """Each with what became of it, in their order."""
    undone = {row.undoes: row for row in rows if row.undoes is not None}
    return [Entry(row, undone.get(row.id)) for row in rows]


def last_edit(rows: Sequence[JournalRow]) -> list[JournalRow]:
    """The newest edit of limits that is not taken back nor takes one back; all accounts that were set at once."""
    edits = [entry.row for entry in entries(rows) if entry.can_be_undone and entry.row.undoes is None]
    if not edits:
        return []
    newest = edits[0]
    return [row for row in edits if (row.at, row.operator) == (newest.at, newest.operator)]


def kind_words(row: JournalRow, look: Look) -> str:
    """What it was."""
    return KINDS.get(row.kind) or fmt.literal(row.kind, look.glyphs)


def change_words(row: JournalRow, look: Look) -> str:
    """``5 GiB → 10 GiB``; of a recount by how much it differed; nothing where nothing had a value."""
    if row.new is None and row.old is None:
        return ""
    old, new = (fmt.recorded(value, look.glyphs) for value in (row.old, row.new))
    if row.old is None:
        return new
    before, after = fmt.recorded_bytes(row.old), fmt.recorded_bytes(row.new)
    if row.kind == RECOUNT and before is not None and after is not None:
        more = f"{format_size(abs(after - before))} {'more' if after > before else 'less'}"
        return f"{new}, {more if after != before else 'as recorded'}"
    return f"{old} {look.glyphs.arrow} {new}"


def until_words(entry: Entry, look: Look, *, short: bool = False) -> Run:
    """What became, or will become, of it; ``short`` is without the day of the week and the time of day."""
    until, undone_by = entry.row.until, entry.undone_by
    if undone_by is not None:
        return "ended" if until is not None and undone_by.operator == OURSELVES else "undone", "quiet"
    if until is None:
        return "", "quiet"
    if until <= look.now:
        return "ended", "quiet"
    end = fmt.day(until, look.now).partition(" ")[2] if short else fmt.until(until, look.now)
    return f"until {end}", "accent"


def who(row: JournalRow, look: Look) -> str:
    """The operator, and where he sat."""
    origin = f" ({fmt.literal(row.origin, look.glyphs)})" if row.origin else ""
    return fmt.literal(row.operator, look.glyphs) + origin


def when(at: float, now: float) -> str:
    """Local; of today the time, else the day with it."""
    then, today = time.localtime(at), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    if now - at > 300 * 86400:
        return time.strftime("%Y-%m-%d", then)
    return f"{then.tm_mday:>2} {time.strftime('%b %H:%M', then)}"


def _plain(entry: Entry) -> str:
    return "quiet" if entry.undone_by is not None else "plain"


def _address(entry: Entry, look: Look) -> Run:
    return fmt.literal(entry.row.address, look.glyphs) or look.glyphs.nothing, _plain(entry)


def _change(entry: Entry, look: Look) -> Run:
    return change_words(entry.row, look), _plain(entry)


def _reason(entry: Entry, look: Look) -> Run:
    back = f"takes back {entry.row.undoes}" if entry.row.undoes is not None else ""
    reason = fmt.literal(entry.row.reason, look.glyphs)
    return f"{back}{': ' if back and reason else ''}{reason}", "quiet"


def _note(entry: Entry, width: int, look: Look) -> Line:
    """What becomes of it, and why it was done."""
    until, (because, style) = until_words(entry, look, short=width < 20), _reason(entry, look)
    gap = ": " if until[0] and because else ""
    return fmt.cut((until, (gap, "quiet"), (because, style)), width, look.glyphs)


COLUMNS: tuple[Column[Entry], ...] = (
    Column("at", "When", 12, 1, text_cell(lambda entry, look: (when(entry.row.at, look.now), "quiet"))),
    Column("id", "No", 6, 9, text_cell(lambda entry, _look: (str(entry.row.id), "quiet"), right=True), right=True),
    Column("who", "Who", 10, 5, text_cell(lambda entry, look: (who(entry.row, look), "quiet")), good=16, most=30),
    Column("kind", "What", 8, 3, text_cell(lambda entry, look: (kind_words(entry.row, look), _plain(entry)))),
    Column("address", "Account", 18, 0, text_cell(_address), good=24, most=50),
    Column("change", "Change", 19, 2, text_cell(_change), good=21, most=26),
    Column("reason", "Reason", 12, 4, _note, good=26, most=90),
)


def text(entry: Entry) -> str:
    """What a filter looks into."""
    row = entry.row
    state = "undone" if entry.undone_by is not None else ""
    kind = f"{row.kind} {KINDS.get(row.kind, '')}"
    return f"{row.operator}\n{row.origin}\n{kind}\n{row.address}\n{row.old}\n{row.new}\n{row.reason}\n{state}"


def detail(entry: Entry | None, width: int, look: Look) -> Line:
    """The entry under the cursor, with what its columns had to cut."""
    if entry is None:
        return ()
    row = entry.row
    name = f"#{row.id} {kind_words(row, look)}{' of ' * bool(row.address)}{fmt.literal(row.address, look.glyphs)}"
    facts = [(change_words(row, look), "plain"), until_words(entry, look), _reason(entry, look)]
    facts.append((f"by {who(row, look)} {format_age(look.now - row.at)} ago", "quiet"))
    return fmt.facts((name, "strong"), (fact for fact in facts if fact[0]), width, look.glyphs)


def lines(entry: Entry, width: int, look: Look) -> list[Line]:
    """One of an account's own; who and why go below where they do not fit, as a reason may be long."""
    row = entry.row
    until, (because, _style) = until_words(entry, look), _reason(entry, look)
    what: list[Run] = [
        (f" {fmt.age(row.at, look.now, look.glyphs):>7} ago  ", "quiet"),
        (" ".join(word for word in (kind_words(row, look), change_words(row, look)) if word) + "  ", _plain(entry)),
    ]
    if until[0]:
        what += [until, ("  ", "plain")]
    by = (f"by {fmt.literal(row.operator, look.glyphs)}{': ' * bool(because)}{because}", "quiet")
    if fmt.width_of([*what, by]) <= width:
        return [(*what, by)]
    return [tuple(what), *fmt.hanging(((" " * INDENT, "plain"), by), width)]
