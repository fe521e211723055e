"""What a table shows, as CSV, JSON or text. Pure.

Theory of operation. A ``Sheet`` holds the rows as they were when it was made, and of each column its title, its text
and the keys that it has in JSON. ``written`` gives the result part by part, so that the caller can handle keys between
two parts, also with 100,000 accounts. Parts that are empty only give it that time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from mailquota.core.base.spreadsheet import csv_lines
from mailquota.core.base.text import printable_json

from . import format as fmt
from .grid import Column, Context, Placed

T = TypeVar("T")
SLICE = 250  # rows; about 5 ms
WIDE = 240  # cells; no cell of a table needs more
GAP = "  "


class Form(Enum):
    """How rows are written, with the name that it has on the screen and after ``:export``."""

    CSV = "CSV"
    JSON = "JSON"
    TEXT = "text"
    COMMAND = "command"

    @property
    def ending(self) -> str:
        """The ending of a file's name."""
        return {Form.CSV: "csv", Form.JSON: "json"}.get(self, "txt")


@dataclass(frozen=True)
class Part(Generic[T]):
    """One column. ``keys`` are those of its values in the record of a row."""

    title: str
    keys: tuple[str, ...]
    words: Callable[[T, Context], str]
    right: bool = False


@dataclass(frozen=True)
class Sheet(Generic[T]):
    """``record`` gives all that is known of a row by the keys of JSON, ``columns`` are those on the screen.

    ``command`` prints the same rows; without one, ``no_command`` says why. ``marked``: they are the marked rows.
    """

    name: str
    rows: Sequence[T]
    columns: tuple[Part[T], ...]
    record: Callable[[T], Mapping[str, Any]]
    kind: str = "row"
    command: str = ""
    no_command: str = ""
    marked: bool = False

    @property
    def what(self) -> str:
        """``34 accounts``."""
        return fmt.plural(len(self.rows), self.kind)

    def first(self, count: int) -> Sheet[T]:
        """The same with the first rows only."""
        return Sheet(self.name, self.rows[:count], self.columns, self.record, self.kind, self.command)


def parts(placed: Sequence[Placed[T]], keys: Mapping[str, tuple[str, ...]]) -> tuple[Part[T], ...]:
    """The columns of a table. ``keys`` has the keys of JSON by that of the column, which is used where it has none."""
    return tuple(
        Part(place.column.title, keys.get(place.column.key, (place.column.key,)), _words(place.column),
             place.column.right)
        for place in placed
    )  # fmt: skip


def _words(column: Column[T]) -> Callable[[T, Context], str]:
    """The text of a cell as wide as it needs; of a bar the number beside it."""

    def words(row: T, context: Context) -> str:
        runs = column.cell(row, WIDE, context)
        if any(look == "track" or look.endswith("-bar") for _text, look in runs):
            runs = runs[-1:]
        return "".join(text for text, _look in runs).strip()

    return words


def written(sheet: Sheet[T], form: Form, context: Context, *, every: bool = False) -> Iterator[str]:
    """The rows in this form, one slice a part. ``every``: all that is known of a row, not just what has a column."""
    if form is Form.COMMAND:
        yield f"{sheet.command}\n"
    elif form is Form.TEXT:
        yield from _text(sheet, context)
    else:
        records = _records(sheet, context, every=every)
        yield from _csv(records) if form is Form.CSV else _json(records)


def _records(sheet: Sheet[T], context: Context, *, every: bool) -> Iterator[list[dict[str, Any]]]:
    keys = [(part, key) for part in sheet.columns for key in part.keys]
    for start in range(0, len(sheet.rows), SLICE):
        found = []
        for row in sheet.rows[start : start + SLICE]:
            record = sheet.record(row)
            shown = {
                key: record[key] if key in record else part.words(row, context)
                for part, key in keys
            }  # fmt: skip
            found.append({**record, **shown} if every else shown)
        yield found


def _csv(slices: Iterable[list[dict[str, Any]]]) -> Iterator[str]:
    titled = False
    for records in slices:
        titles = [] if titled else [list(records[0])]
        titled = True
        yield csv_lines([*titles, *([_flat(value) for value in record.values()] for record in records)])


def _flat(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _json(slices: Iterable[list[dict[str, Any]]]) -> Iterator[str]:
    """One document with one row a line, as the commands print it."""
    before = "[\n"
    for records in slices:
        yield before + ",\n".join(printable_json(json.dumps(record, ensure_ascii=False)) for record in records)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _text(sheet: Sheet[T], context: Context) -> Iterator[str]:
    """A table in which nothing is cut; its widths are known only after all rows were seen."""
    table = [[part.title for part in sheet.columns]]
    for start in range(0, len(sheet.rows), SLICE):
        slice_ = sheet.rows[start : start + SLICE]
        table += [[part.words(row, context) for part in sheet.columns] for row in slice_]
        yield ""
    widths = [max(fmt.width_of([(line[number], "")]) for line in table) for number in range(len(sheet.columns))]
    for start in range(0, len(table), SLICE):
        yield "".join(_line(line, widths, sheet, context) for line in table[start : start + SLICE])


def _line(cells: list[str], widths: list[int], sheet: Sheet[T], context: Context) -> str:
    fitted = (
        fmt.fit(text, width, context.glyphs, right=part.right)
        for text, width, part in zip(cells, widths, sheet.columns, strict=True)
    )
    return GAP.join(fitted).rstrip() + "\n"
