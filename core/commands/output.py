"""What commands print: JSON, tables, progress, messages. Results go to stdout, all else to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Any, NamedTuple

import click
import msgspec

from ..base.text import NOTHING, printable_json, visible
from .options import Common

_PROGRESS_SECONDS = 0.1  # between two updates of the line
_GAP = "  "
_ESSENTIAL = 4  # columns up to this priority may have the first one cut
_NARROWEST = 20  # cells of the first column, before others are left out


def complain(text: str) -> None:
    """Write a message to stderr, as one line without control characters."""
    click.echo(f"mailquota: {visible(text)}", err=True)


def advise(lines: Iterable[str]) -> None:
    """Write lines to stderr without a prefix, so that they can be copied into a shell."""
    for line in lines:
        click.echo(visible(line), err=True)


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether the stream is a terminal; False for a closed one."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def write_json(document: Any) -> None:
    """Write one JSON document to stdout. A list has one element a line, so that grep works on 100,000 accounts."""
    if isinstance(document, list):
        items = b",\n".join(msgspec.json.encode(item) for item in document)
        text = b"[\n" + items + b"\n]" if document else b"[]"
    else:
        text = msgspec.json.format(msgspec.json.encode(document), indent=2)
    click.echo(text if text.isascii() and b"\x7f" not in text else printable_json(text.decode()).encode())


class Cell(NamedTuple):
    """A text of a table, and its colour by click's name, "" for none."""

    text: str
    colour: str = ""


def write_table(
    common: Common,
    titles: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    to_stderr: bool = False,
    priorities: Sequence[int] = (),
) -> None:
    """Write an aligned table; nothing is wrapped. A title that begins with ``>`` aligns its column right.

    Nothing is cut either, unless ``priorities`` has a number for each column: then those with the highest numbers are
    left out until the rest fits into the width of the output. The first has 0; it is never left out, but may be cut.
    """
    cells = [[_safe(cell) for cell in row] for row in rows]
    heads = [Cell(title.removeprefix(">"), "bold") for title in titles]
    right = [title.startswith(">") for title in titles]
    widths = [len(head.text) for head in heads]
    for row in cells:
        for index, cell in enumerate(row):
            widths[index] = max(widths[index], _width(cell.text))
    room = output_width() if priorities else None
    kept = list(range(len(widths))) if room is None else _fit(widths, priorities, room)
    colours = wants_colour(common, sys.stderr if to_stderr else sys.stdout)
    lines = [_line(row, widths, right, colours, kept) for row in (heads, *cells)]
    click.echo("\n".join(lines), color=colours, err=to_stderr)


def write_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Write a line for each name and value, the values aligned."""
    known = [(name, visible(value)) for name, value in pairs]
    width = max((len(name) for name, _ in known), default=0)
    click.echo("\n".join(f"{name:<{width}}{_GAP}{value}".rstrip() for name, value in known))


def wants_colour(common: Common, stream: IO[str] | None) -> bool:
    """Whether the stream is a terminal that shows colours: not with --no-color, NO_COLOR or TERM=dumb."""
    plain = common.no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return not plain and is_terminal(stream)


def _safe(cell: Cell | str) -> Cell:
    text, colour = cell if isinstance(cell, Cell) else (cell, "")
    return Cell(visible(text), colour)


def output_width() -> int | None:
    """The cells of a line of standard output: of its terminal, or as COLUMNS says, which ``watch`` sets; else None."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isascii() and columns.isdigit() and int(columns) else None


def _fit(widths: list[int], priorities: Sequence[int], room: int) -> list[int]:
    """The columns that fit beside each other into ``room`` cells; the first may become narrower for it.

    First those go that are not essential, then the first column is cut down to NARROWEST, then any go but that one.
    """
    kept = sorted(range(len(widths)), key=lambda column: priorities[column])

    def over() -> int:
        return sum(widths[each] + len(_GAP) for each in kept) - len(_GAP) - room

    while over() > 0 and priorities[kept[-1]] > _ESSENTIAL:
        kept.pop()
    widths[0] = max(min(widths[0], _NARROWEST), widths[0] - max(0, over()))
    while over() > 0 and len(kept) > 1:
        kept.pop()
    widths[0] -= max(0, over())
    return sorted(kept)


def _cut(text: str, width: int) -> str:
    if _width(text) <= width:
        return text
    cells, kept = 0, ""
    for sign in text:
        cells += _width(sign)
        if cells >= width:
            break
        kept += sign
    return kept + "…"


def _line(row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], colours: bool, kept: list[int]) -> str:
    parts = []
    for column in kept:
        width, on_right = widths[column], right[column]
        cell = row[column]._replace(text=_cut(row[column].text, width))
        blanks = " " * (width - _width(cell.text))
        text = _painted(cell) if colours and cell.colour else cell.text
        parts.append(blanks + text if on_right else text + blanks)
    return _GAP.join(parts).rstrip()


def _painted(cell: Cell) -> str:
    return click.style(cell.text, bold=True) if cell.colour == "bold" else click.style(cell.text, fg=cell.colour)


def _width(text: str) -> int:
    """The width of a text on a terminal, in cells."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def percent_text(percent: float | None) -> str:
    """A percentage like ``104.2 %``, rounded down, so that it shows no level that is not reached."""
    return NOTHING if percent is None else f"{int(percent * 10) / 10:,.1f} %"


class Progress:
    """A line on the terminal that shows how many accounts are done, and is erased at the end. Without one: nothing."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = is_terminal(sys.stderr)
        self._next = time.monotonic() + _PROGRESS_SECONDS
        self._written = False

    def __call__(self, done: int, total: int) -> None:
        """Show these numbers, ten times a second at most."""
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + _PROGRESS_SECONDS
            self._written = True
            click.echo(f"\r\x1b[K{self._what} {done:,} of {total:,}", nl=False, err=True, color=True)

    def end(self) -> None:
        """Erase the line."""
        if self._written:
            click.echo("\r\x1b[K", nl=False, err=True, color=True)
            self._written = False
