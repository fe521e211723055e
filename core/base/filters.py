"""The filter language of the accounts table, ``list`` and ``--where``. Pure.

A row has to match all words. ``|`` between words is OR and binds tighter: ``over|near @example.org``. A leading ``!``
negates its word and no other: ``!>80%`` also matches accounts without a percentage.
A filter may select accounts whose limit is changed or whose Trash is emptied. So a comparison that can't be read is a
``UsageError`` and never searched for as text, and ``@domain`` is the whole domain, never the start of one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from .errors import UsageError
from .model import AccountRow, Level
from .patterns import Pattern
from .text import shown
from .times import AGE_FORMS, parse_age
from .units import SIZE_FORMS, parse_size

Test = Callable[[AccountRow, float], bool]

DOCS: tuple[tuple[str, str], ...] = (
    ("text", "addresses that contain the text, upper or lower case"),
    ("@example.org", "addresses of this domain; also domain:example.org"),
    (">80%  <50%", "usage above or below this share of the limit"),
    (">2G  <2G", "usage above or below this size"),
    ("over", "at the limit or above"),
    ("near", "from 80 % of the limit, critical ones included, those over it not"),
    ("critical", "from 95 % of the limit, those over it not"),
    ("ok", "below 80 % of the limit"),
    ("unlimited", "accounts without a limit"),
    ("unknown", "accounts with a limit whose usage is not known"),
    ("limit>5G  limit<5G", "limit above or below this size; unlimited is above any"),
    ("trash>1G  trash<1G", "Trash above or below this size"),
    ("messages>10000", "more messages than this; also messages<10"),
    ("days<14", "full in fewer days than this at the growth of late; those over are full now"),
    ("refused>10", "mail was refused more often than this in 24 hours; also refused<10"),
    ("growth>50M", "grows by more than this a day; also growth<50M"),
    ("growing", "accounts that grow, day by day and not just up and down"),
    ("idle>90d", "accounts whose usage has not changed for this long"),
    ("differs", "accounts of which Dovecot tells another usage or limit"),
    ("/^info[0-9]+@/", "addresses that match this regular expression"),
    ("over|near", "what one of the words matches"),
    ("!word", "everything that the word does not match"),
)

_LEVELS: dict[str, frozenset[Level]] = {
    "over": frozenset({Level.OVER}),
    "near": frozenset({Level.NEAR, Level.CRITICAL}),
    "critical": frozenset({Level.CRITICAL}),
    "ok": frozenset({Level.OK}),
    "unlimited": frozenset({Level.UNLIMITED}),
    "unknown": frozenset({Level.UNKNOWN}),
}
_COMPARISON = re.compile(r"([a-z]*)([<>])(.*)", re.DOTALL)
_COUNT = re.compile(r"[0-9]{1,12}")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_PERCENT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)%")
_LONGEST = 1000  # characters of a filter
_TOKEN = re.compile(r"!*/(?:\\.|[^/\\\s])*/(?=[|\s]|$)|[^\s|]+|\|")  # in a regular expression | is no OR of the filter
_EXPRESSION = re.compile(r"/((?:\\.|[^/\\\s])+)/")
_PAST = frozenset({"growing", "idle", "days", "growth", "refused"})  # words that are answered from the history


class Word:
    """One word of a filter: a test of a row, and whether it is negated. ``past``: it needs the history."""

    __slots__ = ("negated", "past", "test")

    def __init__(self, test: Test, *, negated: bool, past: bool = False) -> None:
        self.test = test
        self.negated = negated
        self.past = past

    def pick(self, rows: Iterable[AccountRow], now: float) -> list[AccountRow]:
        """The rows that match, or with ``!`` those that do not, in their order."""
        test, wanted = self.test, not self.negated
        return [row for row in rows if test(row, now) is wanted]


class AnyOf(Word):
    """Words with ``|`` between them."""

    __slots__ = ("words",)

    def __init__(self, words: Sequence[Word]) -> None:
        super().__init__(self._any, negated=False, past=any(word.past for word in words))
        self.words = tuple(words)

    def _any(self, row: AccountRow, now: float) -> bool:
        return any(word.test(row, now) is not word.negated for word in self.words)


class TextWord(Word):
    """A part of the address. ``pick`` makes no call per row, as it runs at each key press, on up to 100,000 rows."""

    __slots__ = ("needle",)

    def __init__(self, needle: str, *, negated: bool) -> None:
        super().__init__(lambda row, _now: needle in row.address.lower(), negated=negated)
        self.needle = needle

    def pick(self, rows: Iterable[AccountRow], now: float) -> list[AccountRow]:  # noqa: ARG002  as Word has it
        """The rows whose address contains the text, or with ``!`` those whose does not, in their order."""
        needle, wanted = self.needle, not self.negated
        return [row for row in rows if (needle in row.address.lower()) is wanted]


class Filter:
    """A compiled filter; without words it matches all accounts."""

    __slots__ = ("text", "words")

    def __init__(self, text: str, words: tuple[Word, ...]) -> None:
        self.text = text
        self.words = words

    def matches(self, row: AccountRow, now: float) -> bool:
        """Whether one account matches; ``now`` in seconds since the epoch."""
        return all(word.test(row, now) is not word.negated for word in self.words)

    @property
    def asks_for_past(self) -> bool:
        """Whether a word needs the history. Without history it matches no account, and with ``!`` all of them."""
        return any(word.past for word in self.words)

    def select(self, rows: Iterable[AccountRow], now: float) -> list[AccountRow]:
        """The accounts that match, in their order."""
        found = rows if isinstance(rows, list) else list(rows)
        for word in self.words:
            found = word.pick(found, now)
        return found if self.words else list(found)


def parse_filter(text: str) -> Filter:
    """Compile a filter. Raises UsageError for a word that looks like a comparison and can't be read."""
    if len(text) > _LONGEST:
        raise UsageError(f"the filter has {len(text)} characters; accepted: up to {_LONGEST}")
    return Filter(text, tuple(_one_of(words) for words in _split(text)))


def _split(text: str) -> list[list[str]]:
    """The words; those with ``|`` between them together."""
    words: list[str] = _TOKEN.findall(text)
    found: list[list[str]] = []
    for before, word in zip(("|", *words), (*words, "|"), strict=True):
        if before == word == "|" and words:
            raise UsageError("'|' stands between two words, like over|near")
        if word != "|" and before == "|" and found:
            found[-1].append(word)
        elif word != "|":
            found.append([word])
    return found


def _one_of(words: list[str]) -> Word:
    found = [_parse_word(word) for word in words]
    return found[0] if len(found) == 1 else AnyOf(found)


def _parse_word(text: str) -> Word:
    word = text.lstrip("!")
    negated = (len(text) - len(word)) % 2 == 1
    if not word:
        raise UsageError(f"{shown(text)} negates nothing; write the word right after it, like !over")
    if word.startswith("/"):
        return Word(_expression(text, word), negated=negated)
    word = word.lower()
    test = _keyword(word) or _domain(text, word) or _comparison(text, word)
    if test is None:
        return TextWord(word, negated=negated)
    return Word(test, negated=negated, past=re.split("[<>]", word)[0] in _PAST)


def _expression(text: str, word: str) -> Test:
    found = _EXPRESSION.fullmatch(word)
    if found is None:
        raise UsageError(
            f"{shown(text)} needs a / at its end, as /info[0-9]+/ has; \\/ and \\s stand for a slash and a blank in it"
        )
    found_in = Pattern(found[1].replace("\\/", "/")).found_in
    return lambda row, _now: found_in(row.address.lower())


def _keyword(word: str) -> Test | None:
    if word == "growing":
        return lambda row, _now: (row.growth_bytes_per_day or 0) > 0
    if word == "differs":
        return lambda row, _now: bool(row.differs)
    levels = _LEVELS.get(word)
    return None if levels is None else lambda row, _now: row.level in levels


def _domain(text: str, word: str) -> Test | None:
    if word.startswith("domain:"):
        domain = word.removeprefix("domain:").removeprefix("@")
        if not domain:
            raise UsageError(f"{shown(text)} names no domain; accepted: domain:example.org or @example.org")
    elif word.startswith("@") and len(word) > 1:
        domain = word[1:]
    else:
        return None
    end = "@" + domain
    return lambda row, _now: row.address.lower().endswith(end)


def _comparison(text: str, word: str) -> Test | None:
    match = _COMPARISON.fullmatch(word)
    if match is None:
        return None
    make = _COMPARISONS.get(match[1])
    if make is None:
        raise UsageError(
            f"{shown(text)} compares nothing known; accepted: >80%, <50%, >2G, <2G, limit>5G, trash>1G, messages>10000,"
            " refused>10, days<14, growth>50M, idle>90d"
        )
    return make(text, match[2], match[3])


def _use(text: str, operator: str, operand: str) -> Test:
    share = _PERCENT.fullmatch(operand)
    if share is None:
        return _compared(lambda row: row.used_bytes, operator, _size(text, operand, "size or percentage"))
    return _compared(lambda row: row.percent, operator, float(share[1]))


def _trash(text: str, operator: str, operand: str) -> Test:
    return _compared(lambda row: row.trash_bytes, operator, _size(text, operand, "size"))


def _refused(text: str, operator: str, operand: str) -> Test:
    if not _COUNT.fullmatch(operand):
        raise UsageError(f"{shown(text)} compares with no number of refusals; accepted: refused>10, refused<10")
    return _compared(lambda row: row.refused_day, operator, int(operand))


def _messages(text: str, operator: str, operand: str) -> Test:
    if not _COUNT.fullmatch(operand):
        raise UsageError(f"{shown(text)} compares with no number of messages; accepted: messages>10000, messages<10")
    return _compared(lambda row: row.messages, operator, int(operand))


def _limit(text: str, operator: str, operand: str) -> Test:
    return _compared(_limit_of, operator, _size(text, operand, "size"))


def _limit_of(row: AccountRow) -> float | None:
    limit = row.limit_bytes
    return math.inf if limit is None else limit if limit >= 0 else None


def _growth(text: str, operator: str, operand: str) -> Test:
    return _compared(lambda row: row.growth_bytes_per_day, operator, _size(text, operand, "size"))


def _days(text: str, operator: str, operand: str) -> Test:
    if not _NUMBER.fullmatch(operand.removesuffix("d")):
        raise UsageError(f"{shown(text)} compares with no number of days; accepted: days<14, days>90")
    return _compared(days_left, operator, float(operand.removesuffix("d")))


def days_left(row: AccountRow) -> float | None:
    """Days until it is full, at the growth of late; 0 where it is, None where it does not fill up."""
    return 0.0 if row.level is Level.OVER else row.days_to_full


def _idle(text: str, operator: str, operand: str) -> Test:
    if operator != ">":
        raise UsageError(f"{shown(text)} can't be answered; accepted: idle>90d, or !idle>90d")
    try:
        age = parse_age(operand)
    except UsageError:
        raise UsageError(f"{shown(text)}: {shown(operand)} is not an age; accepted: {AGE_FORMS}") from None
    return lambda row, now: row.changed_at is not None and now - row.changed_at > age


_COMPARISONS: dict[str, Callable[[str, str, str], Test]] = {
    "": _use,
    "limit": _limit,
    "trash": _trash,
    "growth": _growth,
    "days": _days,
    "messages": _messages,
    "refused": _refused,
    "idle": _idle,
}


def _size(text: str, operand: str, kind: str) -> int:
    try:
        return parse_size(operand)
    except UsageError:
        forms = SIZE_FORMS if kind == "size" else f"80%, {SIZE_FORMS}"
        raise UsageError(f"{shown(text)} compares with no {kind}; accepted: {forms}") from None


def _compared(value: Callable[[AccountRow], float | None], operator: str, bound: float) -> Test:
    """A test of one value of a row; a value that is not known (None) is neither above nor below any bound."""
    if operator == ">":
        return lambda row, _now: (found := value(row)) is not None and found > bound
    return lambda row, _now: (found := value(row)) is not None and found < bound
