"""Arguments of the commands that act on accounts, as they are typed behind ``:``. Pure.

Options are taken as the shell's commands have them, and without their dashes: ``until friday`` is ``--until friday``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailquota.core.base.errors import UsageError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import parse_until
from mailquota.core.base.units import LIMIT_FORMS, parse_age, parse_limit

from ..desk.typed import Choice, words_of

_ANY = 1 << 50  # bytes; each account has another limit, so only what no limit can be is told here
_TIME = re.compile("[0-9]{1,2}:[0-9]{2}")


@dataclass
class Line:
    """The accounts that are named, the words behind them, and the options by their names."""

    rows: list[AccountRow] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)


def read(text: str, options: Sequence[str], accounts: Mapping[str, AccountRow], *, last: bool = False) -> Line:
    """The parts of a line. ``last``: addresses may come behind the words, too. Raises UsageError."""
    line, rest = Line(), words_of(text)
    while rest:
        word = rest.pop(0)
        name, given, value = word.removeprefix("--").partition("=")
        if name in options and (word.startswith("--") or not given):
            if not given and not rest:
                raise UsageError(f"{name} needs a word behind it")
            line.options[name] = value if given else rest.pop(0)
            if name == "until" and rest and _TIME.fullmatch(rest[0]):
                line.options[name] += f" {rest.pop(0)}"
        elif word.startswith("--"):
            raise UsageError(f"there is no option {word} here")
        elif "@" in word and (last or not line.words) and not line.options:
            line.rows.append(account(word, accounts))
        else:
            line.words.append(word)
    return line


def account(word: str, accounts: Mapping[str, AccountRow]) -> AccountRow:
    """The account of an address. Raises UsageError."""
    row = accounts.get(word.lower())
    if row is None:
        raise UsageError(f"no such account: {word}")
    return row


@dataclass(frozen=True)
class Edit:
    """What the dialog that edits limits begins with."""

    size: str = ""
    until: str = ""
    reason: str = ""


def edit(line: Line, now: float) -> Edit:
    """``SIZE until DATE REASON``. Raises UsageError for a size or a date that is none."""
    if not line.words:
        raise UsageError(f"a size is missing; accepted: {LIMIT_FORMS}")
    size, *reason = line.words
    parse_limit(size, _ANY, _ANY)
    until = line.options.get("until", "")
    if until:
        parse_until(until, now)
    return Edit(size, until, line.options.get("reason", "") or " ".join(reason))


def age(line: Line) -> str:
    """``older-than AGE``. Raises UsageError."""
    found = line.options.get("older-than", "")
    if found:
        parse_age(found)
    no_more(line.words)
    return found


def no_more(words: Sequence[str]) -> None:
    """Raise UsageError where words are left."""
    if words:
        raise UsageError(f"what {words[0]} means here is not known")


def addresses(node: Any, words: Sequence[str]) -> Iterator[Choice]:
    """The accounts that can be named first."""
    if all("@" in word for word in words):
        yield from map(Choice, node.desk.accounts.rows)


def edit_choices(node: Any, words: Sequence[str]) -> Iterator[Choice]:
    """``until`` behind a size; dates behind that."""
    if words and words[-1] == "until":
        dates = {"tomorrow": "the start of that day", "friday": "the next one", "3d": "three days from now"}
        yield from (Choice(*each) for each in dates.items())
    elif words and "@" not in words[-1] and "until" not in words:
        yield from (Choice("until", "a day or time, then it goes back by itself"), Choice("reason", "for the journal"))
    yield from addresses(node, words)


def trash_choices(node: Any, words: Sequence[str]) -> Iterator[Choice]:
    """``older-than``, and ages behind it."""
    if words and words[-1] == "older-than":
        yield from map(Choice, ("30d", "2w", "90d"))
    elif "older-than" not in words:
        yield Choice("older-than", "an age like 30d, 2w, 12h")
        yield from addresses(node, words)


def warn_choices(node: Any, words: Sequence[str]) -> Iterator[Choice]:
    """The threshold, then whom."""
    if not words:
        yield from (
            Choice("now", "by the present usage"),
            Choice("below", "there is room again"),
            *map(Choice, ("80", "95")),
        )
    yield from addresses(node, words[1:] if words and "@" not in words[0] else words)


def threshold(line: Line) -> str:
    """What a warning is about; empty for what the usage calls for. Raises UsageError."""
    no_more(line.words[1:])
    about = line.words[0].lower() if line.words else "now"
    if about not in {"below", "now"} and not about.rstrip("%").isdigit():
        raise UsageError(f"{about} is no threshold; accepted: a percentage like 95, below, or now")
    return "" if about == "now" else about.rstrip("%")
