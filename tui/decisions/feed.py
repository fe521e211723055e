"""The decisions as their screen shows them: filtered, and unchanged during a pause. Pure.

Theory of operation. ``take`` copies what the session received since the last time and gives each decision a number,
which the cursor follows. ``shown`` has those that match the filter, oldest first; the screen counts its lines from the
newest, or by another order that was asked for, in which new ones are sorted in. During a pause nothing is taken: new
decisions stay in the session, which keeps the newest 2,000.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from mailquota.core.control.results import DecisionRow

from ..desk.session import KEPT_DECISIONS, Session
from ..draw.format import clock, verdict_words
from ..draw.order import Order, by_value

MISSED = "missed"
DOCS = (
    ("text", "in time, client, sender, recipient, mailbox or verdict"),
    ("refused", "those that were refused"),
    ("accepted", "those that were accepted"),
    ("trouble", "those that could not be decided"),
    ("would", "refusals that were not done: shadow mode"),
    (MISSED, "accepted, but a full mailbox behind the alias does not get it"),
    ("!word", "what does not match"),
)
_ANSWERS: dict[str, Callable[[str], bool]] = {
    "refused": lambda words: words.startswith("refused"),
    "accepted": lambda words: words == "accepted",
    "trouble": lambda words: words == "trouble",
    "would": lambda words: words.startswith("would"),
}


class NumberedDecision(NamedTuple):
    """A decision with its number among all that this console received."""

    number: int
    row: DecisionRow


class DecisionFilter:
    """Words that a decision must all match. Any text is a valid filter."""

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self._words = [(word.removeprefix("!"), word.startswith("!")) for word in self.text.lower().split()]

    def matches(self, row: DecisionRow) -> bool:
        """Whether the decision has all words, and none of those with ``!``."""
        if not self._words:
            return True
        words = verdict_words(row.verdict, shadow=row.shadow)[0]
        hay = f"{clock(row.at)}\n{row.client}\n{row.sender}\n{row.recipient}\n{row.mailbox}\n{words}".lower()
        return all(_found(word, row, words, hay) != negated for word, negated in self._words)


def _found(word: str, row: DecisionRow, words: str, hay: str) -> bool:
    if word == MISSED:
        return bool(row.missed)
    answer = _ANSWERS.get(word)
    return answer(words) if answer is not None else word in hay


class Feed:
    """The decisions that are held, and those that match the filter."""

    def __init__(self) -> None:
        self.shown: list[NumberedDecision] = []
        self.filter = DecisionFilter()
        self.paused = False
        self._all: list[NumberedDecision] = []
        self._forgotten = 0
        self._taken = 0  # how many of the session's decisions were taken
        self._order: Order[DecisionRow] | None = None  # other than the newest first
        self._sorted: list[NumberedDecision] = []  # in that order
        self._lines: dict[int, int] = {}  # number → line, in that order
        self._answered = 0  # and with those that the engine left out under load

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def known(self) -> int:
        """The number of decisions without the filter."""
        return len(self._all)

    def take(self, session: Session) -> bool:
        """Take new decisions from the session; returns whether there were any."""
        if session.forgotten > self._forgotten:
            self._forgotten, self._all, self.shown = session.forgotten, [], []
        elif self.paused or session.received == self._taken:
            return False
        rows = islice(session.decisions, max(0, len(session.decisions) - session.received + self._taken), None)
        first = max(self._taken, session.received - len(session.decisions))
        new = [NumberedDecision(number, row) for number, row in enumerate(rows, first)]
        self._all = (self._all + new)[-KEPT_DECISIONS:]
        oldest = self._all[0].number if self._all else 0
        self.shown = self.shown[_place(self.shown, oldest) :] + self._through(new)
        self._taken, self._answered = session.received, session.received + session.skipped
        self._sort()
        return True

    def new(self, session: Session) -> int:
        """How many requests were answered since the last ``take``, including those that the engine left out."""
        return session.received + session.skipped - self._answered

    def narrow(self, to: DecisionFilter) -> None:
        """Apply another filter to the decisions that are held."""
        self.filter = to
        self.shown = self._through(self._all)
        self._sort()

    @property
    def by_time(self) -> bool:
        """Whether the newest are first."""
        return self._order is None

    def sort(self, order: Order[DecisionRow]) -> None:
        """Sort otherwise than by time, or by time again."""
        self._order = None if order.is_given else order
        self._sort()

    def _sort(self) -> None:
        order = self._order
        if order is None:
            self._sorted, self._lines = [], {}
            return
        sort, falling = order.column.sort, order.column.falling != order.inverted
        value = None if order.given or sort is None else lambda each: sort(each.row)
        self._sorted = by_value(self.shown if order.given else self.shown[::-1], value, falling=falling)
        self._lines = {each.number: line for line, each in enumerate(self._sorted)}

    def in_order(self) -> list[DecisionRow]:
        """The decisions that match, as the screen has them from the top."""
        return [each.row for each in (self.shown[::-1] if self.by_time else self._sorted)]

    def _through(self, rows: Iterable[NumberedDecision]) -> list[NumberedDecision]:
        return [each for each in rows if self.filter.matches(each.row)]

    def at(self, index: int) -> NumberedDecision | None:
        """The decision on line ``index``, counted from the newest or by the order; None beyond the ends."""
        if not self.by_time:
            return self._sorted[index] if 0 <= index < len(self._sorted) else None
        return self.shown[-1 - index] if 0 <= index < len(self.shown) else None

    def find(self, number: int) -> int | None:
        """The line of the decision with this number; None if it is not shown."""
        if not self.by_time:
            return self._lines.get(number)
        place = _place(self.shown, number)
        found = place < len(self.shown) and self.shown[place].number == number
        return len(self.shown) - 1 - place if found else None


def _place(rows: list[NumberedDecision], number: int) -> int:
    return bisect_left(rows, number, key=attrgetter("number"))
