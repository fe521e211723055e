"""What has to be sent so that a terminal that shows some lines shows others: only the cells that differ. Pure.

Lines are Textual's strips. Where most lines only moved up or down, as in a feed, the terminal is told to move them, by
a scroll region of full width (DECSTBM) in which lines are inserted or deleted. A line with signs that are two cells
wide is sent whole, as half a sign can't be replaced. Only what changes of the style is sent: neighbours share most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

GAP = 6  # cells; what differs within so many is sent as one: going there costs as many bytes
FARTHEST = 10  # lines that others may have moved by
GAIN = 3  # lines that moving must save

_NO_WIDTH = re.compile("[\u0300-\u036f]")

Cell = tuple[str, Style | None]
Row = Sequence[Cell]


class Shift(NamedTuple):
    """The lines from ``top`` to ``bottom`` move down by ``by``, or up if that is negative."""

    top: int
    bottom: int
    by: int


def difference(old: Sequence[Strip] | None, new: Sequence[Strip], colours: ColorSystem | None) -> str:
    """The text to send; ``old`` None: it is not known what the terminal shows."""
    pen, parts = _Pen(colours), list[str]()
    before: list[Row | None] = [None] * len(new)
    differing: Sequence[int] = range(len(new))
    if old is not None and len(old) == len(new):
        differing = [y for y, strip in enumerate(new) if old[y] is not strip and old[y] != strip]
        # After most keys a few lines differ, which are not worth moving: the others are not looked at.
        looked_at = range(len(new)) if len(differing) > GAIN else differing
        for y in looked_at:
            before[y] = _cells(old[y])
    after = list(before)
    for y in differing:
        after[y] = _cells(new[y])
    shift = find_shift(before, after) if len(differing) > GAIN else None
    if shift is not None:
        parts.append(_moved(shift))
        before = shifted(before, shift)
    for y, (was, now) in enumerate(zip(before, after, strict=True)):
        if now is not None and was is not now and was != now:
            parts += _line(y, was, now, new[y].cell_length, pen)
    return "".join(parts) + pen.end()


def _cells(strip: Strip) -> list[Cell]:
    """One for each character: as many as the strip has cells unless some are wide or have no width."""
    cells: list[Cell] = []
    for segment in strip:
        if not segment.control:
            cells.extend(zip(segment.text, repeat(segment.style)))
    return cells


# ---- lines that moved


def find_shift(old: Sequence[Row | None], new: Sequence[Row | None]) -> Shift | None:
    """The move that saves most lines; None if none saves enough. The last cell, of the scrollbar, does not count."""
    was = [None if row is None else tuple(row[:-1]) for row in old]
    now = [None if row is None else tuple(row[:-1]) for row in new]
    if sum(before != after for before, after in zip(was, now, strict=True)) <= GAIN:
        return None
    best, saved = None, GAIN - 1
    for count in (each for step in range(1, FARTHEST + 1) for each in (step, -step)):
        for start, end in _runs([0 <= y - count < len(was) and was[y - count] == now[y] for y in range(len(now))]):
            gain = sum(was[y] != now[y] for y in range(start, end))
            if gain > saved:
                best, saved = Shift(min(start, start - count), max(end, end - count) - 1, count), gain
    return best


def _runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where the flags are set one after the other, as start and end."""
    start = None
    for y, flag in enumerate([*flags, False]):
        if flag and start is None:
            start = y
        elif not flag and start is not None:
            yield start, y
            start = None


def shifted(rows: Sequence[Row | None], shift: Shift) -> list[Row | None]:
    """The rows after the move; those that came in are not known."""
    moved, count = list(rows[shift.top : shift.bottom + 1]), abs(shift.by)
    empty: list[Row | None] = [None] * count
    moved = [*empty, *moved[:-count]] if shift.by > 0 else [*moved[count:], *empty]
    return [*rows[: shift.top], *moved, *rows[shift.bottom + 1 :]]


def _moved(shift: Shift) -> str:
    """Insert or delete lines at the top of a scroll region. In the plain style: new lines get its background."""
    order = "L" if shift.by > 0 else "M"
    return f"\x1b[m\x1b[{shift.top + 1};{shift.bottom + 1}r\x1b[{shift.top + 1};1H\x1b[{abs(shift.by)}{order}\x1b[r"


# ---- cells that differ


def _line(y: int, old: Row | None, new: Row, width: int, pen: _Pen) -> Iterator[str]:
    if old is None or len(old) != len(new) or len(new) != width or _is_wide(new) or _is_wide(old):
        yield _at(0, y) + pen.draw(new)
        return
    for start, end in _spans(old, new):
        yield _at(start, y) + pen.draw(new[start:end])


def _is_wide(row: Row) -> bool:
    """Whether a sign may have another width than one cell; those that this console draws with have one."""
    text = "".join([sign for sign, _style in row])
    return not text.isascii() and (max(text) > "\u2fff" or _NO_WIDTH.search(text) is not None)


def _spans(old: Row, new: Row) -> list[tuple[int, int]]:
    """Where the cells differ, as start and end; neighbours that are close are one."""
    spans: list[tuple[int, int]] = []
    for x, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        if spans and x - spans[-1][1] <= GAP:
            spans[-1] = (spans[-1][0], x + 1)
        else:
            spans.append((x, x + 1))
    return spans


def _at(x: int, y: int) -> str:
    return f"\x1b[{y + 1};{x + 1}H"


class _Pen:
    """The style that the terminal draws in at the moment."""

    def __init__(self, colours: ColorSystem | None) -> None:
        self._colours = colours
        self._now = _PLAIN

    def draw(self, cells: Row) -> str:
        """The text for these cells."""
        parts: list[str] = []
        last: object = self  # no style yet
        for sign, style in cells:
            if style is not last:
                parts.append(self._take(style, blank=sign == " "))
                # The foreground of a blank is not sent, so the sign after it has to be looked at again.
                last = style if sign != " " else self
            parts.append(sign)
        return "".join(parts)

    def _take(self, style: Style | None, *, blank: bool) -> str:
        wanted = _PLAIN if style is None else look_of(style, self._colours)
        if blank and not _SEEN_ON_BLANKS.intersection(wanted.marks):
            wanted = wanted._replace(fore=self._now.fore)
        now, self._now = self._now, wanted
        if now == wanted:
            return ""
        if now.marks - wanted.marks:  # each would have to be ended by a code of its own
            codes = ["0", *sorted(wanted.marks), *(each for each in (wanted.fore, wanted.back) if each not in _DEFAULT)]
        else:
            codes = sorted(wanted.marks - now.marks)
            codes += [wanted.fore] * (wanted.fore != now.fore) + [wanted.back] * (wanted.back != now.back)
        return f"\x1b[{';'.join(codes)}m"

    def end(self) -> str:
        """Back to the plain style."""
        return "" if self._now == _PLAIN else "\x1b[m"


class Look(NamedTuple):
    """A style by the codes of its marks (bold and others), of its foreground and of its background (SGR)."""

    marks: frozenset[str]
    fore: str
    back: str


_DEFAULT = {"39", "49"}
_PLAIN = Look(frozenset(), "39", "49")
_SEEN_ON_BLANKS = {"4", "7", "9"}  # underlined, reversed, struck out


@lru_cache(maxsize=1024)
def look_of(style: Style, colours: ColorSystem | None) -> Look:
    """The codes of a style, in the colours that the terminal has."""
    marks = {
        "1": style.bold, "2": style.dim, "3": style.italic, "4": style.underline,
        "5": style.blink, "7": style.reverse, "9": style.strike,
    }  # fmt: skip
    fore, back = "39", "49"
    if colours is not None:
        if style.color is not None:
            fore = ";".join(style.color.downgrade(colours).get_ansi_codes(foreground=True))
        if style.bgcolor is not None:
            back = ";".join(style.bgcolor.downgrade(colours).get_ansi_codes(foreground=False))
    return Look(frozenset(code for code, on in marks.items() if on), fore, back)
