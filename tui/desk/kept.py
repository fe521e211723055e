"""What is remembered, as a record and as TOML. Pure.

Of a file by another version, or by hand, each value that is right counts. What is not known here stays in the file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

MOST_FILTERS = 50
LETTERS = re.compile("[a-zA-Z0-9]")
_LONGEST = 1000  # characters of a filter
_BARE = re.compile("[A-Za-z0-9_-]+")
_HEADING = "# What the console of mailquota remembers. It is written by the console; remove it to start anew.\n"


class Kept(msgspec.Struct, frozen=True):
    """Empty or None: as the console starts without it.

    ``sort`` and ``columns`` are keys of columns, these in their order; ``pace`` is in seconds;
    ``filters`` are the last ones of the accounts, newest first; ``saved`` filters by their letter. ``past`` and
    ``letters`` are the same of each other screen, by its name; ``past`` also has the last commands.
    """

    theme: str = ""
    mouse: bool | None = None
    sort: str = ""
    inverted: bool = False
    pace: float = 0.0
    columns: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    saved: dict[str, str] = {}
    past: dict[str, tuple[str, ...]] = {}
    letters: dict[str, dict[str, str]] = {}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) < 40


def is_filter(value: Any) -> bool:
    """Whether it is a text that can be kept as a filter."""
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()


def _are_filters(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_filter, value))


def _are_lettered(value: Any) -> bool:
    return isinstance(value, dict) and all(LETTERS.fullmatch(key) and is_filter(text) for key, text in value.items())


def _each(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(_is_word(key) and check(one) for key, one in value.items())


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "theme": _is_word,
    "mouse": lambda value: isinstance(value, bool),
    "sort": _is_word,
    "inverted": lambda value: isinstance(value, bool),
    "pace": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 3600,
    "columns": lambda value: isinstance(value, list) and all(map(_is_word, value)),
    "filters": _are_filters,
    "saved": _are_lettered,
    "past": _each(_are_filters),
    "letters": _each(_are_lettered),
}


def read(content: str) -> tuple[Kept, list[str]]:
    """What the text remembers, and which values of it are wrong. Raises ValueError for what is no TOML."""
    data = _parsed(content)
    good = {key: data[key] for key, is_good in _CHECKS.items() if key in data and is_good(data[key])}
    wrong = [f"{key} is not used, as its value is wrong" for key in _CHECKS if key in data and key not in good]
    for key in ("columns", "filters"):
        good[key] = tuple(good.get(key, ()))
    good["past"] = {name: tuple(filters) for name, filters in good.get("past", {}).items()}
    return Kept(**good), wrong


def _parsed(content: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content)
    except RecursionError:  # very many nested brackets
        raise ValueError("it has too many brackets") from None


def merged(kept: Kept, changes: Mapping[str, Any]) -> Kept:
    """With these changes; new filters come before the old ones, and None forgets the filter of a letter."""
    values = dict(changes)
    if "filters" in values:
        values["filters"] = latest((*values["filters"], *kept.filters))
    if "saved" in values:
        values["saved"] = _with(kept.saved, values["saved"])
    if "past" in values:
        new = {name: latest((*texts, *kept.past.get(name, ()))) for name, texts in values["past"].items()}
        values["past"] = {**kept.past, **new}
    if "letters" in values:
        saved = {name: _with(kept.letters.get(name, {}), texts) for name, texts in values["letters"].items()}
        values["letters"] = {**kept.letters, **saved}
    return msgspec.structs.replace(kept, **values)


def _with(saved: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {letter: text for letter, text in {**saved, **changes}.items() if text is not None}


def together(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two changes as one: the later one counts, and its filters come first."""
    both = {**earlier, **later}
    for key in {"filters", "saved", "past", "letters"} & earlier.keys() & later.keys():
        both[key] = _joined(earlier[key], later[key])
    return both


def _joined(earlier: Any, later: Any) -> Any:
    """Tuples one behind the other, mappings as one; so are the values of these."""
    if isinstance(earlier, tuple) and isinstance(later, tuple):
        return (*later, *earlier)
    if isinstance(earlier, Mapping) and isinstance(later, Mapping):
        shared = earlier.keys() & later.keys()
        return {**earlier, **later, **{key: _joined(earlier[key], later[key]) for key in shared}}
    return later


def latest(filters: Iterable[str]) -> tuple[str, ...]:
    """Each once, where it comes first, up to MOST_FILTERS."""
    return tuple(dict.fromkeys(filters))[:MOST_FILTERS]


def written(content: str, changes: Mapping[str, Any]) -> str:
    """The text with these changes in it. Raises ValueError where it is no TOML: that is not overwritten."""
    before, _faults = read(content)
    after = merged(before, changes)
    data = {**_parsed(content), **{key: getattr(after, key) for key in changes}}
    lines = [f"{_key(key)} = {_toml(value)}\n" for key, value in data.items() if not isinstance(value, dict)]
    for key, value in data.items():
        if isinstance(value, dict):
            lines += [f"\n[{_key(key)}]\n", *(f"{_key(name)} = {_toml(one)}\n" for name, one in value.items())]
    return _HEADING + "".join(lines)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _text(text: str) -> str:
    """A basic string of TOML: as one of JSON, with the one sign more that TOML has escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
