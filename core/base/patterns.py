"""Regular expressions that are matched in time linear in the text, whatever was written. Pure.

Theory of operation. Python's ``re`` tries one way after the other and may take hours for ``(a+)+$``. Here an expression
becomes positions: each stands for one sign of the text, and knows which may follow it (Glushkov). While a text is read,
the set of all positions that it may be at is one integer; each sign of the text makes the next set of it.
Sets that were seen before are kept as ``_State``, so that a sign usually costs one look-up. What is kept is bounded;
beyond that the sets are computed, which costs a few microseconds a sign. There are at most MOST positions.

Capitals do not matter. There are no groups to refer to, no look-ahead, no word boundaries: they say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .errors import UsageError
from .text import shown

MOST = 100  # positions: signs of the expression, those in ``{2,5}`` counted as often as they may come
_DEEPEST = 20  # parentheses in each other
_KEPT = 20_000  # transitions
_START, _END = "start", "end"  # stand before and after the text; no sign of a text is equal to them
_TIMES = re.compile(r"\{([0-9]{1,4})?(,?)([0-9]{1,4})?\}")
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdecimal,
    "w": lambda sign: sign.isalnum() or sign == "_",
    "s": str.isspace,
}

Test = Callable[[str], bool]  # of a sign of the text, in small letters


class _Signs(NamedTuple):
    """One sign of the text; or one ``end`` of it, and no sign."""

    test: Test
    end: str = ""

    def accepts(self, sign: str) -> bool:
        """Whether this sign of the text, or this end, may be here."""
        if sign in (_START, _END):
            return self.end == sign
        return not self.end and self.test(sign)


class _Ways(NamedTuple):
    """One of several ways, each a row of parts."""

    ways: tuple[tuple[object, ...], ...]


class _Times(NamedTuple):
    """A part that comes ``least`` to ``most`` times; None: without an end."""

    part: object
    least: int
    most: int | None


class _Reader:
    """Reads an expression; each method takes what it is named for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> _Ways:
        found = self._ways()
        if self._at < len(self._text):
            raise self._error("has a ) that closes nothing; write \\) for the sign itself")
        return found

    def _error(self, fault: str) -> UsageError:
        return UsageError(f"the expression {shown(self._text)} {fault}")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]

    def _ways(self) -> _Ways:
        ways = [self._row()]
        while self._next() == "|":
            self._take()
            ways.append(self._row())
        return _Ways(tuple(ways))

    def _row(self) -> tuple[object, ...]:
        parts = []
        while self._next() not in {"", "|", ")"}:
            parts.append(self._part())
        return tuple(parts)

    def _part(self) -> object:
        if self._next() in {"*", "+", "?"}:
            raise self._error(
                f"has a {self._next()} with nothing before it; write \\{self._next()} for the sign itself"
            )
        sign = self._take()
        if sign in "^$":
            return _Signs(_is(sign), _START if sign == "^" else _END)
        return self._repeated(self._one(sign))

    def _one(self, sign: str) -> object:
        if sign == "(":
            return self._group()
        if sign == "[":
            return _Signs(self._set())
        if sign == ".":
            return _Signs(lambda _found: True)
        return _Signs(self._escaped() if sign == "\\" else _is(sign))

    def _group(self) -> _Ways:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._next() == "?":
            raise self._error("has (?, which is not known here; accepted: ( ) and (?: ); capitals never matter")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(f"has more than {_DEEPEST} parentheses in each other")
        found = self._ways()
        if self._next() != ")":
            raise self._error("has a ( that is not closed; write \\( for the sign itself")
        self._take()
        self._depth -= 1
        return found

    def _escaped(self) -> Test:
        if not self._next():
            raise self._error("ends with \\; write \\\\ for the sign itself")
        sign = self._take()
        if sign.lower() in _CLASSES:
            test = _CLASSES[sign.lower()]
            return test if sign.islower() else lambda found: not test(found)
        if sign.isalnum():
            raise self._error(
                f"has \\{sign}, which is not known here; accepted: \\d \\w \\s \\D \\W \\S, and \\ before a sign"
            )
        return _is(sign)

    def _set(self) -> Test:
        wanted = self._next() != "^"
        if not wanted:
            self._take()
        tests = [self._member(first=True)]
        while self._next() != "]":
            tests.append(self._member())
        self._take()
        return lambda found: any(test(found) for test in tests) is wanted

    def _member(self, *, first: bool = False) -> Test:
        if not self._next() or (first and self._next() == "]" and "]" not in self._text[self._at + 1 :]):
            raise self._error("has a [ that is not closed; write \\[ for the sign itself")
        low = self._take()
        if low == "\\" and self._next().lower() in _CLASSES:
            return self._escaped()
        low = self._plain(low)
        if self._next() != "-" or self._text[self._at + 1 : self._at + 2] in {"", "]"}:
            return _is(low)
        self._take()
        high = self._plain(self._take())
        if low > high:
            raise self._error(f"has the range {low}-{high}, which is empty")
        return lambda found: low <= found <= high or low <= found.upper() <= high

    def _plain(self, sign: str) -> str:
        """A sign of a set, without the backslash before it."""
        if sign != "\\":
            return sign
        if not self._next() or self._next().isalnum():
            raise self._error(
                f"has \\{self._next()} in [ ], which is not known here; accepted: \\d \\w \\s, and \\ before a sign"
            )
        return self._take()

    def _repeated(self, part: object) -> object:
        bounds = self._bounds()
        if bounds is None:
            return part
        if self._next() == "?":  # as few as possible: what matches is the same
            self._take()
        if self._next() in {"*", "+", "?"}:
            raise self._error(
                f"has {self._text[self._at - 1]}{self._next()}: repeat something once; a group may be repeated"
            )
        return _Times(part, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        if self._next() in {"*", "+", "?"}:
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[self._take()]
        found = _TIMES.match(self._text, self._at)
        if found is None or not (found[1] or found[2]):
            return None  # a brace that counts nothing is a sign, as elsewhere
        self._at = found.end()
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else None
        if most is not None and most < least:
            raise self._error(f"has {found[0]}, which is empty")
        return least, most


def _is(sign: str) -> Test:
    small = sign.lower()
    return lambda found: found == small


def _count(part: object) -> int:
    """How many positions a part takes; an empty one counts, too, so that building it is bounded."""
    if isinstance(part, _Ways):
        return max(1, sum(_count(one) for way in part.ways for one in way))
    if isinstance(part, _Times):
        return _count(part.part) * max(1, part.least, part.most or 0)
    return 1


class _Piece(NamedTuple):
    """A part as sets of positions: where it may begin and end, and whether it may be left out."""

    empty: bool
    first: int
    last: int


_NOTHING = _Piece(True, 0, 0)


class _Builder:
    """Gives each sign of the expression its position."""

    def __init__(self) -> None:
        self.signs: list[_Signs] = []
        self.follows: list[int] = []

    def build(self, part: object) -> _Piece:
        if isinstance(part, _Ways):
            ways = [self._row(way) for way in part.ways]
            return _Piece(any(way.empty for way in ways), _union(w.first for w in ways), _union(w.last for w in ways))
        if isinstance(part, _Times):
            return self._times(part)
        assert isinstance(part, _Signs)
        bit = 1 << len(self.signs)
        self.signs.append(part)
        self.follows.append(0)
        return _Piece(False, bit, bit)

    def _row(self, parts: tuple[object, ...]) -> _Piece:
        found = _NOTHING
        for part in parts:
            found = self._join(found, self.build(part))
        return found

    def _join(self, one: _Piece, other: _Piece) -> _Piece:
        self._follow(one.last, other.first)
        first = one.first | (other.first if one.empty else 0)
        last = other.last | (one.last if other.empty else 0)
        return _Piece(one.empty and other.empty, first, last)

    def _times(self, times: _Times) -> _Piece:
        found = _NOTHING
        for _ in range(times.least - (times.most is None and times.least > 0)):
            found = self._join(found, self.build(times.part))
        if times.most is None:
            piece = self.build(times.part)
            self._follow(piece.last, piece.first)
            return self._join(found, piece if times.least else piece._replace(empty=True))
        for _ in range(times.most - times.least):
            found = self._join(found, self.build(times.part)._replace(empty=True))
        return found

    def _follow(self, last: int, first: int) -> None:
        for position in _bits(last):
            self.follows[position] |= first


def _union(masks: Iterator[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class _State(dict[str, "_State"]):
    """A set of positions; by the next sign of the text the set after that."""

    def __init__(self, machine: Pattern, mask: int) -> None:
        super().__init__()
        self._machine = machine
        self.mask = mask

    def __missing__(self, sign: str) -> _State:
        return self._machine.after(self, sign)


class Pattern:
    """A compiled expression. Raises UsageError for one that can't be read, or is too long."""

    def __init__(self, text: str) -> None:
        whole = _Reader(text).whole()
        if _count(whole) > MOST:
            raise UsageError(f"the expression {shown(text)} is too long; at most {MOST} signs, repeated ones counted")
        builder = _Builder()
        piece = builder.build(whole)
        self._signs = builder.signs
        self._anything = piece.empty
        self._first, self._last = piece.first, piece.last
        self._follows = [_table(builder.follows[at : at + 8]) for at in range(0, len(builder.follows), 8)]
        self._of_sign: dict[str, int] = {}
        self._ends = sum(signs.end == _END for signs in self._signs)  # ``$$`` needs two
        self._hit = _State(self, -1)
        self._kept = 0
        self._states: dict[int, _State] = {}
        self._begin = self._after_starts()

    def found_in(self, text: str) -> bool:
        """Whether it matches somewhere in the text, which is in small letters."""
        if self._anything:
            return True
        hit, state = self._hit, self._begin
        for sign in text:
            if state is hit:
                return True
            state = state[sign]
        for _ in range(self._ends):
            if state is hit:
                return True
            state = state[_END]
        return state is hit

    def after(self, state: _State, sign: str) -> _State:
        """The state after another sign. Called where it is not known yet."""
        mask = self._step(state.mask, sign)
        known = self._hit if mask & self._last else self._states.get(mask)
        found = _State(self, mask) if known is None else known
        if self._kept < _KEPT:
            self._kept += 1
            self._states[mask] = state[sign] = found
        return found

    def _after_starts(self) -> _State:
        state = _State(self, 0)
        for _ in range(sum(signs.end == _START for signs in self._signs)):
            state = self.after(state, _START) if state is not self._hit else state
        return state

    def _step(self, mask: int, sign: str) -> int:
        following = self._first
        for table in self._follows:
            if not mask:
                break
            following |= table[mask & 255]
            mask >>= 8
        return following & self._positions_of(sign)

    def _positions_of(self, sign: str) -> int:
        found = self._of_sign.get(sign)
        if found is None:
            found = _union(signs.accepts(sign) << position for position, signs in enumerate(self._signs))
            if len(self._of_sign) < _KEPT:
                self._of_sign[sign] = found
        return found


def _table(follows: list[int]) -> list[int]:
    """For each set of these eight positions all that may follow it."""
    table = [0] * 256
    for chosen in range(1, 1 << len(follows)):
        low = chosen & -chosen
        table[chosen] = table[chosen ^ low] | follows[low.bit_length() - 1]
    return table
