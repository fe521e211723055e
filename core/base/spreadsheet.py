"""Comma separated values that no spreadsheet takes for a formula. Pure.

Whoever may add a row to the accounts database, or send a mail, must not run a formula in the spreadsheet of an
administrator. The apostrophe is what OWASP's page on CSV injection advises; blanks before a formula do not always stop
one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - as full-width signs, too


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """Rows of values as CSV by RFC 4180, but with newlines of this system."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        text = value.replace("\r", "\\r")  # csv does not quote it, and some programs take it for the end of a row
        return f"'{text}" if value.lstrip(" ").startswith(_FORMULA) else text
    return str(value).lower() if isinstance(value, bool) else value
