"""How a language writes sizes, numbers and times: the filters of the templates. Pure but for the time zone.

Languages that are not listed write them as English does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ..base.text import NOTHING
from ..base.units import format_size

ENGLISH = "en"
LANGUAGES = (ENGLISH, "de", "fr")  # of which there are built-in texts

_DECIMAL = {"de": ",", "fr": ","}
_THOUSANDS = {"de": ".", "fr": "\u202f"}
_DATE = {"de": "%d.%m.%Y %H:%M", "fr": "%d/%m/%Y %H:%M"}
_COPY = {"de": "Kopie", "fr": "Copie"}


def base(language: str) -> str:
    """The language without its region: ``de`` of ``de-AT``."""
    return language.replace("_", "-").partition("-")[0]


def filters(language: str) -> dict[str, Callable[..., str]]:
    """``size`` of bytes, ``number`` of a count, ``date`` of seconds since the epoch. None is a dash."""
    code = base(language)

    def size(value: int | None) -> str:
        return format_size(value).replace(".", _DECIMAL.get(code, "."))

    def number(value: int | None) -> str:
        return NOTHING if value is None else f"{value:,}".replace(",", _THOUSANDS.get(code, ","))

    def date(value: float | None) -> str:
        form = _DATE.get(code, "%Y-%m-%d %H:%M")
        return NOTHING if value is None else datetime.fromtimestamp(value).astimezone().strftime(form)

    return {"size": size, "number": number, "date": date}


def tag(language: str, *, test: bool, copy: bool) -> str:
    """What the subject of a test or a copy begins with, as "[Test, Copy] "; "" for the mail itself."""
    words = (["Test"] if test else []) + ([_COPY.get(base(language), "Copy")] if copy else [])
    return f"[{', '.join(words)}] " if words else ""
