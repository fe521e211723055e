"""Columns of a table as data: which of them fit, where they stand, what they show. Pure.

A column has its text, its width, how it sorts, and how early a narrow terminal drops it. ``arrange`` gives each column
its cells; ``cells`` makes the line of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from . import format as fmt
from .format import Line, Run
from .glyphs import Glyphs

T = TypeVar("T")
GAP = 2
ESSENTIAL = 4  # columns up to this priority may squeeze the others


@dataclass(frozen=True)
class Context:
    """What text depends on besides its data: the time in seconds since the epoch, and the signs of the terminal."""

    now: float
    glyphs: Glyphs


@dataclass(frozen=True)
class Column(Generic[T]):
    """``priority``: the highest is dropped first where there is no room. Widths are cells.

    ``sort`` gives the value to sort by, None if it is not known, which sorts last; without it rows sort by their key.
    Values are numbers, or texts in a table of a RowList.
    ``falling``: the largest first, unless inverted. ``good``: the width it gets before less important columns show;
    ``most``: the widest that it may become. ``about``: what it shows, where columns are chosen. ``usual``: shown unless
    others were chosen.
    """

    key: str
    title: str
    width: int
    priority: int
    cell: Callable[[T, int, Context], Line]
    sort: Callable[[T], Any] | None = None
    falling: bool = True
    right: bool = False
    good: int = 0
    most: int = 0
    about: str = ""
    usual: bool = True


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A column with its first cell and its width."""

    column: Column[T]
    x: int
    width: int


def text_cell(words: Callable[[T, Context], Run], *, right: bool = False) -> Callable[[T, int, Context], Line]:
    """The ``cell`` of a column that shows one text in one style, cut or filled to the width."""

    def cell(row: T, width: int, context: Context) -> Line:
        text, style = words(row, context)
        return ((fmt.fit(text, width, context.glyphs, right=right), style),)

    return cell


def arrange(columns: Sequence[Column[T]], width: int, lead: int, *, in_order: bool = False) -> tuple[Placed[T], ...]:
    """The columns that fit into ``width`` cells after ``lead`` cells.

    The one of priority 0 is always among them; with ``in_order`` it is the first, and those further right go first.
    """
    ranks = {column.key: number if in_order else column.priority for number, column in enumerate(columns)}
    kept = sorted(columns, key=lambda column: ranks[column.key])
    # First the unimportant columns go, until all others have their good width; then any, until the smallest widths fit.
    while len(kept) > 1 and ranks[kept[-1].key] > ESSENTIAL and lead + _total(kept, good=True) > width:
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
    """The more important columns first get their good width; then the rest is given out cell by cell up to ``most``."""
    widths = {column.key: column.width for column in columns}
    for column in columns:
        needed = min(spare, max(0, column.good - column.width))
        widths[column.key] += needed
        spare -= needed
    for _cell in range(spare):
        wanting = [column for column in columns if widths[column.key] < column.most]
        if not wanting:
            break
        # The one that is narrowest compared with its ``most``, so that all of them grow at the same rate.
        narrow = min(wanting, key=lambda column: widths[column.key] / column.most)
        widths[narrow.key] += 1
    return widths


def cells(row: T, placed: Sequence[Placed[T]], context: Context, lead: Line) -> Line:
    """The line of a row, after its ``lead``. Neighbours of one style become one run, so fewer bytes are sent."""
    runs = list(lead)
    at = fmt.width_of(lead)
    for place in placed:
        if place.x > at:
            runs.append((" " * (place.x - at), "plain"))
        runs.extend(place.column.cell(row, place.width, context))
        at = place.x + place.width
    return tuple(runs)


def titles(placed: Sequence[Placed[Any]], glyphs: Glyphs, sorted_by: str = "", *, inverted: bool = False) -> Line:
    """The line of titles; an arrow shows the sorted column and its direction."""
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


def with_more(titles: Line, placed: Sequence[Placed[Any]], width: int, glyphs: Glyphs, more: tuple[bool, bool]) -> Line:
    """The line of titles with signs where there are more columns: before the second one, and at the end of the line."""
    left, right = glyphs.more
    if more[0] and len(placed) > 1:
        before, behind = fmt.split(titles, placed[1].x - 1)
        titles = (*before, (left, "key"), *fmt.split(behind, 1)[1])
    if more[1] and fmt.width_of(titles) < width:
        titles = (*titles, (" " * (width - 1 - fmt.width_of(titles)), "title"), (right, "key"))
    return titles


def column_at(placed: Sequence[Placed[T]], x: int) -> Column[T] | None:
    """The column at cell ``x``; a gap belongs to the column on its left."""
    found = None
    for place in placed:
        if place.x <= x:
            found = place.column
    return found
