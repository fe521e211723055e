"""Reads what a user query of Dovecot selects: each field with its expression, as far as it is a simple one. Pure.

Simple are texts, numbers, columns, ``concat(…)``, ``a || b`` (in SQLite alone: in MySQL that means OR), ``coalesce(…)``
and ``ifnull(…)``. A text with a variable of Dovecot is not simple, as its value differs by user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\")|(?P<number>[0-9]+(?![\w.]))"
    r"|(?P<name>[\w`]+(?:\s*\.\s*[\w`]+)*)|(?P<sign>\|\||[(),]))\s*",
    re.DOTALL,
)
_FROM = re.compile(r"\s*[`\"]?(\w+)[`\"]?(?:\s+as)?(?:\s+\w+)?\s*;?\s*", re.IGNORECASE)
_CONDITION = re.compile(r"\b(?:where|limit|order\s+by)\b", re.IGNORECASE)
_ALIAS = re.compile(r"(?P<expression>.*?[\s)'\"`])(?:as\s+)?[`\"']?(?P<name>\w+)[`\"']?\s*", re.IGNORECASE | re.DOTALL)
_PIECE = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`[^`]*`|\bfrom\b|.", re.IGNORECASE | re.DOTALL)

_MOST_CALLS = 100  # functions in one expression


class Unreadable(Exception):  # noqa: N818 - a form of a query, not a fault of the program
    """An expression, or a query, that is not a simple one."""


class Text(NamedTuple):
    """A text, or a number, that is the same for all users."""

    value: str


class Column(NamedTuple):
    """A column of the table."""

    name: str


class Joined(NamedTuple):
    """Several expressions one after the other; NULL where one of them is NULL."""

    parts: tuple[Expression, ...]


class FirstOf(NamedTuple):
    """The first of several expressions that is not NULL."""

    parts: tuple[Expression, ...]


Expression = Text | Column | Joined | FirstOf


class Selection(NamedTuple):
    """The fields of a query by name, each with its text, and the one table that it reads; "" where it is not one."""

    fields: dict[str, str]
    table: str


def selection(query: str) -> Selection:
    """What a query selects. Raises Unreadable where it is no SELECT of columns."""
    start = re.match(r"\s*select\s+(?:distinct\s+)?", query, re.IGNORECASE)
    if start is None:
        raise Unreadable(query)
    items, rest = _items(query[start.end() :])
    source = _FROM.fullmatch(_CONDITION.split(rest, maxsplit=1)[0])
    return Selection(dict(map(_named, items)), source[1] if source else "")


def _items(text: str) -> tuple[list[str], str]:
    """The items between SELECT and FROM, and what stands behind FROM."""
    items, depth = [""], 0
    for piece in _PIECE.finditer(text):
        part = piece[0]
        if part.lower() == "from" and not depth:
            return items, text[piece.end() :]
        depth += (part == "(") - (part == ")")
        if part == "," and not depth:
            items.append("")
        else:
            items[-1] += part
    raise Unreadable(text)


def _named(item: str) -> tuple[str, str]:
    """An item as field and expression: ``a AS b``, ``a b``, or a column that has the name of the field."""
    alias = _ALIAS.fullmatch(item.strip() + " ") if re.search(r"[\s)'\"`]", item.strip()) else None
    if alias is not None and alias["expression"].strip():
        return alias["name"].lower(), alias["expression"].strip()
    name = item.strip().rpartition(".")[2].strip('`" ')
    return name.lower(), item.strip()


def parse_expression(text: str, *, pipes: bool = False) -> Expression:
    """The expression of a field; ``pipes``: ``||`` joins, as in SQLite. Raises Unreadable for any other form."""
    tokens = list(_tokens(text))
    if tokens.count(("sign", "(")) > _MOST_CALLS:
        raise Unreadable(text)
    found, left = _expression(tokens, pipes)
    if left:
        raise Unreadable(text)
    return found


_Token = tuple[str, str]


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise Unreadable(text)
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


def _expression(tokens: list[_Token], pipes: bool) -> tuple[Expression, list[_Token]]:
    first, left = _term(tokens, pipes)
    parts = [first]
    while left and left[0] == ("sign", "||") and pipes:
        part, left = _term(left[1:], pipes)
        parts.append(part)
    return (Joined(tuple(parts)) if len(parts) > 1 else first), left


def _term(tokens: list[_Token], pipes: bool) -> tuple[Expression, list[_Token]]:
    if not tokens:
        raise Unreadable
    (kind, word), left = tokens[0], tokens[1:]
    if kind == "text":
        return Text(_literal(word)), left
    if kind == "number":
        return Text(word), left
    if kind != "name":
        raise Unreadable(word)
    if left[:1] == [("sign", "(")]:
        return _call(word.lower(), left[1:], pipes)
    return Column(word.rpartition(".")[2].strip("` ")), left


def _call(name: str, tokens: list[_Token], pipes: bool) -> tuple[Expression, list[_Token]]:
    """A function with its arguments, behind its opening bracket."""
    if name not in {"concat", "coalesce", "ifnull"}:
        raise Unreadable(name)
    parts: list[Expression] = []
    while True:
        part, tokens = _expression(tokens, pipes)
        parts.append(part)
        sign, tokens = tokens[:1], tokens[1:]
        if sign == [("sign", ")")]:
            return (Joined(tuple(parts)) if name == "concat" else FirstOf(tuple(parts))), tokens
        if sign != [("sign", ",")]:
            raise Unreadable(name)


def _literal(word: str) -> str:
    """The text in quotes. Dovecot replaces its variables before the database sees the query; ``%%`` is a percent."""
    text = re.sub(r"\\(.)|(['\"])\2", lambda found: found[1] or found[2], word[1:-1])
    if "%" in text.replace("%%", ""):
        raise Unreadable(word)
    return text.replace("%%", "%")


def columns_of(expression: Expression) -> Iterator[str]:
    """The names of all columns in an expression."""
    if isinstance(expression, Column):
        yield expression.name
    elif isinstance(expression, Joined | FirstOf):
        for part in expression.parts:
            yield from columns_of(part)


def value_of(expression: Expression, row: Mapping[str, str | None]) -> str | None:
    """The value of an expression in a row of columns; None is NULL."""
    match expression:
        case Text(text):
            return text
        case Column(name):
            return row[name]
        case Joined(parts):
            known = [value for part in parts if (value := value_of(part, row)) is not None]
            return "".join(known) if len(known) == len(parts) else None
        case FirstOf(parts):
            return next((found for part in parts if (found := value_of(part, row)) is not None), None)
