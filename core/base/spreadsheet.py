"""Comma separated values that no spreadsheet takes for a formula. Pure.

Whoever may add a row to the accounts database, or send a mail, must not run a formula in the spreadsheet of an
administrator. The apostrophe is what OWASP's page on CSV injection advises. Blanks, quotes and what does not print do
not always stop a formula behind them. A spreadsheet of another country may end cells at semicolons or tabs, and then a
value in quotes ends at them, too: so what follows one of these, or a new line, is like the begin of a value.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - as full-width signs, too
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_CELL_ENDS = re.compile(r"(?<=[;\t\n|])")


def csv_lines(rows: Iterable[Iterable[object]]) -> str:
    """Rows of values as CSV by RFC 4180, but with newlines of this system."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        text = "".join(f"'{part}" if _is_formula(part) else part for part in _CELL_ENDS.split(value))
        return text.replace("\r", "\\r")  # csv does not quote it, and some programs take it for the end of a row
    return str(value).lower() if isinstance(value, bool) else value


def _is_formula(text: str) -> bool:
    if text.startswith(_FORMULA):
        return True
    first = next((sign for sign in text if not (sign in '" ' or unicodedata.category(sign) in _UNSEEN)), None)
    return first in _FORMULA
