"""Columns of a table, as data: which fit, where they are, what they say. Pure.

A column says what it shows, how wide, how it sorts, and how early a narrow terminal drops it. ``arrange`` gives each
column its cells; ``cells`` turns one row into the line that the table draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mailquota.tui.draw import format as fmt
from mailquota.tui.draw.format import Line, Run
from mailquota.tui.draw.glyphs import Glyphs

T = TypeVar("T")
GAP = 2
ESSENTIAL = 4  # columns up to this priority may squeeze the others


@dataclass(frozen=True)
class Look:
    """What a cell needs to know besides its row: the time and the signs."""

    now: float
    glyphs: Glyphs


@dataclass(frozen=True)
class Column(Generic[T]):
    """``priority``: the highest is dropped first. ``sort`` gives None for what is not known, which sorts last.

    Without ``sort`` the column sorts by the key of its rows. ``falling``: largest first until inverted. ``good`` and
    ``most``: the width that it should have before less important columns come, and the widest that it may grow to.
    """

    key: str
    title: str
    width: int
    priority: int
    cell: Callable[[T, int, Look], Line]
    sort: Callable[[T], float | None] | None = None
    falling: bool = True
    right: bool = False
    good: int = 0
    most: int = 0


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A column with the cells it got."""

    column: Column[T]
    x: int
    width: int


def text_cell(words: Callable[[T, Look], Run], *, right: bool = False) -> Callable[[T, int, Look], Line]:
    """A cell of one run, cut or filled to its width."""

    def cell(row: T, width: int, look: Look) -> Line:
        text, style = words(row, look)
        return ((fmt.fit(text, width, look.glyphs, right=right), style),)

    return cell


def arrange(columns: Sequence[Column[T]], width: int, lead: int) -> tuple[Placed[T], ...]:
    """Which columns fit into ``width`` cells, ``lead`` of them before the first. That of priority 0 always does."""
    kept = sorted(columns, key=lambda column: column.priority)
    while kept[-1].priority > ESSENTIAL and lead + _total(kept, good=True) > width:
        kept.pop()
    while len(kept) > 1 and lead + _total(kept) > width:
        kept.pop()
    widths = _grown(kept, max(0, width - lead - _total(kept)))
    placed, x = [], lead
    for column in columns:
        if column in kept:
            cells = min(widths[column.key], max(1, width - x))
            placed.append(Placed(column, x, cells))
            x += cells + GAP
    return tuple(placed)


def _total(columns: Sequence[Column[Any]], *, good: bool = False) -> int:
    widths = (max(column.width, column.good) if good else column.width for column in columns)
    return sum(widths) + GAP * (len(columns) - 1)


def _grown(columns: Sequence[Column[Any]], spare: int) -> dict[str, int]:
    """The more important first get the width that is good; the rest goes to those that can use it, cell by cell."""
    widths = {column.key: column.width for column in columns}
    for column in columns:
        needed = min(spare, max(0, column.good - column.width))
        widths[column.key] += needed
        spare -= needed
    for _cell in range(spare):
        wanting = [column for column in columns if widths[column.key] < column.most]
        if not wanting:
            break
        narrow = min(wanting, key=lambda column: widths[column.key] / column.most)
        widths[narrow.key] += 1
    return widths


def cells(row: T, placed: Sequence[Placed[T]], look: Look, lead: Line) -> Line:
    """One row as the line of the table, after its ``lead``; alike neighbours are one run, to send less."""
    runs = list(lead)
    at = fmt.width_of(lead)
    for place in placed:
        if place.x > at:
            runs.append((" " * (place.x - at), "plain"))
        runs.extend(place.column.cell(row, place.width, look))
        at = place.x + place.width
    return tuple(runs)


def titles(placed: Sequence[Placed[Any]], glyphs: Glyphs, sorted_by: str = "", *, inverted: bool = False) -> Line:
    """The header; an arrow tells the sorted column and its direction."""
    runs: list[Run] = []
    at = 0
    for place in placed:
        column = place.column
        runs.append((" " * (place.x - at), "title"))
        text = column.title
        if column.key == sorted_by:
            arrow = glyphs.down if column.falling != inverted else glyphs.up
            text += " " * (len(text) + 1 < place.width) + arrow
        text = fmt.fit(text, place.width, glyphs, right=column.right)
        runs.append((text, "sorted" if column.key == sorted_by else "title"))
        at = place.x + place.width
    return tuple(run for run in runs if run[0])


def column_at(placed: Sequence[Placed[T]], x: int) -> Column[T] | None:
    """The column under cell ``x``, gaps counted to the column on their left."""
    found = None
    for place in placed:
        if place.x <= x:
            found = place.column
    return found
