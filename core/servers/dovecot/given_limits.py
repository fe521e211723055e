"""The limits that Dovecot gives to a user beside the column of the accounts database. Pure.

Dovecot 2.3 reads rules ``quota_rule``, ``quota_rule2`` … up to the first that is missing. A field of the user database
stands in place of the setting of its name; one that is NULL does not. Each rule for ``*`` may set bytes and messages,
and later ones win. 2.4 has ``quota_storage_size`` and ``quota_message_count``: a setting inside the block ``quota``
wins over the field of the user database, which wins over the setting outside the block. See quota-util.c (2.3) and
quota-settings.c (2.4) of Dovecot.

What is not understood with certainty is a ``fault``: then only Dovecot can say which limits its users have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from ...base.inbox_rule import InboxRule
from .conf import Block, driver_of, plugin_values, size_of
from .inbox_limits import inbox_rule, modern_inbox_rule
from .select_list import (
    Column,
    Expression,
    FirstOf,
    Joined,
    Text,
    Unreadable,
    columns_of,
    parse_expression,
    selection,
    value_of,
)

HIGHEST = 2**63 - 1
_RULE_LIMIT = re.compile(r"(storage|bytes|messages)=([0-9]+)(?:([bkmgt]).*)?", re.IGNORECASE | re.DOTALL)
_POWER = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_MODERN_FIELDS = ("quota_storage_size", "quota_message_count")
_RULE = re.compile(r"quota_rule[0-9]*")
_NO_LIMITS = {"0", "unlimited"}


class UserLimits(NamedTuple):
    """The limits of a user, in bytes and messages; None for no limit. ``fault``: why Dovecot can't load the user.

    ``inbox`` is what they become for incoming mail, None where they stay the same.
    """

    size: int | None = None
    messages: int | None = None
    fault: str = ""
    inbox: InboxRule | None = None


class GivenLimits:
    """How Dovecot finds the limits of a user.

    ``fields`` are those of the user query, ``fixed`` settings that win over them, ``settings`` those that hold where
    they give nothing; ``inbox`` is a rule of 2.4 for INBOX; ``table`` is the one that the query reads.
    """

    def __init__(
        self,
        *,
        modern: bool = False,
        settings: Mapping[str, str] | None = None,
        fixed: Mapping[str, str] | None = None,
        fields: Mapping[str, Expression] | None = None,
        percent: int = 100,
        inbox: InboxRule | None = None,
        table: str = "",
        fault: str = "",
    ) -> None:
        self.modern = modern
        self.settings = dict(settings or {})
        self.fixed = dict(fixed or {})
        self.fields = dict(fields or {})
        self.percent = percent  # of quota_message_count
        self.inbox = inbox
        self.table = table
        self.fault = fault

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that the limits of a user depend on."""
        names = (name for field in self.fields.values() for name in columns_of(field))
        return tuple(dict.fromkeys(names))

    @cached_property
    def message_column(self) -> str:
        """The column with the limit of messages, where there is one and nothing else decides on it; else empty."""
        if self.modern:
            name = "quota_message_count"
            alone = name in self.fields and name not in self.fixed and self.percent == 100
            return _own_column(self.fields[name]) if alone else ""
        found = [name for field in self.fields.values() for name in _behind(field, "messages=")]
        return found[0] if len(found) == 1 else ""

    def needs_value(self, column: str) -> bool:
        """Whether more than the limit itself depends on the value of this column, as a rule for a folder may."""
        rules = (field for field in self.fields.values() if not _is_limit(field))
        return not self.modern and any(column in columns_of(field) for field in rules)

    def of(self, row: Mapping[str, str | None]) -> UserLimits:
        """The limits of a user by a row of ``columns``."""
        values = {name: value_of(field, row) for name, field in self.fields.items()}
        given = {name: value for name, value in values.items() if value is not None}
        in_force = {**self.settings, **given, **self.fixed}
        return self._modern(in_force) if self.modern else _by_rules(list(_numbered(in_force)))

    def _modern(self, values: Mapping[str, str]) -> UserLimits:
        size, count = (values.get(name, "unlimited").strip() for name in _MODERN_FIELDS)
        limit = size_of(size)
        if limit is None:
            return UserLimits(fault=f"Dovecot can't read its quota_storage_size {ascii(size)[:80]}")
        number = int(count) if count.isascii() and count.isdigit() and len(count) <= 19 else 2**32
        if count.lower() not in _NO_LIMITS and number >= 2**32:
            return UserLimits(fault=f"Dovecot can't read its quota_message_count {ascii(count)[:80]}")
        most = 0 if count.lower() in _NO_LIMITS else int(number / 100.0 * self.percent)
        return UserLimits(limit if 0 < limit <= HIGHEST else None, most or None, inbox=self.inbox)


def _behind(field: Expression, end: str) -> Iterator[str]:
    """The columns of a joined expression that stand behind a text with this end."""
    if isinstance(field, Joined):
        for before, part in zip(field.parts, field.parts[1:], strict=False):
            if isinstance(before, Text) and before.value.endswith(end) and (name := _own_column(part)):
                yield name


def _own_column(field: Expression) -> str:
    """The column that is all of an expression, also where it stands for NULL; else empty."""
    if isinstance(field, FirstOf) and len(field.parts) == 2 and isinstance(field.parts[1], Text):
        field = field.parts[0]
    return field.name if isinstance(field, Column) else ""


def _numbered(values: Mapping[str, str]) -> Iterator[str]:
    """The rules in their order, up to the first that is missing."""
    number, name = 1, "quota_rule"
    while name in values:
        yield values[name]
        number += 1
        name = f"quota_rule{number}"


def _is_limit(field: Expression) -> bool:
    """Whether an expression is a rule for all folders, which sets the limit."""
    if isinstance(field, FirstOf):
        return all(map(_is_limit, field.parts))
    first = field.parts[0] if isinstance(field, Joined) else field
    return isinstance(first, Text) and first.value[:2] in {"*:", "?:"}


def _by_rules(rules: list[str]) -> UserLimits:
    found = {"bytes": 0, "messages": 0}
    for rule in rules:
        mask, _, limits = rule.partition(":")
        if mask not in {"*", "?"}:
            continue
        for part in limits.split(":"):
            match = _RULE_LIMIT.fullmatch(part)
            number = 0 if match is None or len(match[2]) > 19 else int(match[2])
            if match is None or number > HIGHEST or len(match[2]) > 19:
                return UserLimits(fault=f"Dovecot can't read its quota rule {ascii(rule)[:80]}")
            kind = match[1].lower()
            power = 1 if kind == "storage" and not match[3] else _POWER[(match[3] or "").lower()]
            found["messages" if kind == "messages" else "bytes"] = min(number * 1024**power, HIGHEST)
    return UserLimits(found["bytes"] or None, found["messages"] or None, inbox=inbox_rule(rules))


def given_limits(conf: Block, *, modern: bool, query: str = "", sqlite: bool = False, fault: str = "") -> GivenLimits:
    """How Dovecot with these settings finds the limits of a user.

    ``query`` is the one for a user of its SQL database, and ``fault`` why that could not be read.
    """
    settings, fixed = _modern_settings(conf) if modern else (_rules(plugin_values(conf)), {})
    if not (list(conf.of_kind("quota")) if modern else plugin_values(conf).get("quota")):
        return GivenLimits(modern=modern)  # without quota Dovecot has no limits
    try:
        fields, table = ({}, "") if fault else _fields(query, modern, sqlite)
        percent = _percent(conf, modern)
        defaults, overrides = _around(conf, modern)
    except (Unreadable, ValueError) as error:
        return GivenLimits(modern=modern, fault=fault or f"the limits of users can't be read from {error}")
    return GivenLimits(
        modern=modern,
        settings={**settings, **defaults},
        fixed={**fixed, **overrides},
        fields=fields,
        percent=percent,
        inbox=modern_inbox_rule(conf, selection(query).fields if query.strip() else ()) if modern else None,
        table=table,
        fault=fault or _other_users(conf),
    )


def _rules(values: Mapping[str, str]) -> dict[str, str]:
    return {name: text.replace("%%", "%") for name, text in values.items() if _RULE.fullmatch(name)}


def _modern_settings(conf: Block) -> tuple[dict[str, str], dict[str, str]]:
    """The settings outside and inside the first block ``quota``; inside, a name may lack its ``quota_``."""
    block = next(iter(conf.of_kind("quota")), Block())
    inside = {}
    for name in _MODERN_FIELDS:
        value = block.values.get(name) or block.values.get(name.removeprefix("quota_"))
        if value:
            inside[name] = value
    return {name: conf.values[name] for name in _MODERN_FIELDS if name in conf.values}, inside


def _percent(conf: Block, modern: bool) -> int:
    """The share of quota_message_count that counts. Raises Unreadable where the size is changed in such a way."""
    if not modern:
        return 100
    block = next(iter(conf.of_kind("quota")), Block())

    def found(name: str, default: str) -> str:
        return block.values.get(name) or block.values.get(name.removeprefix("quota_")) or conf.values.get(name, default)

    for name, plain in (("quota_storage_percentage", {"100"}), ("quota_storage_extra", {"0", "0B"})):
        if found(name, min(plain)) not in plain:
            raise Unreadable(name)
    return int(found("quota_message_percentage", "100"))


def _fields(query: str, modern: bool, sqlite: bool) -> tuple[dict[str, Expression], str]:
    if not query.strip():
        return {}, ""
    chosen = selection(query)
    wanted = re.compile("|".join(_MODERN_FIELDS)) if modern else _RULE
    found = {}
    for name, text in chosen.fields.items():
        if wanted.fullmatch(name):
            try:
                found[name] = parse_expression(text, pipes=sqlite)
            except Unreadable:
                raise Unreadable(f"{name} of the user query, {text[:80]}") from None
    return found, chosen.table


def _around(conf: Block, modern: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Fields that the settings give to users without, and in place of, those of the user database."""
    found: tuple[dict[str, str], dict[str, str]] = {}, {}
    for block in conf.of_kind("userdb"):
        for place, key in enumerate(("default_fields", "override_fields")):
            words = dict(word.partition("=")[::2] for word in block.values.get(key, "").split())
            found[place].update(_rules(words))
        inner = [one for kind in ("fields", "userdb_fields") for one in block.of_kind(kind)]
        found[1].update((name, one.values[name]) for one in inner for name in _MODERN_FIELDS if name in one.values)
    values = [value for part in found for value in part.values()]
    if modern and any("%" in value for value in values):
        raise Unreadable("fields of the user database")
    return found


def _other_users(conf: Block) -> str:
    kinds = [driver_of(block) for block in conf.of_kind("userdb")]
    others = [kind for kind in kinds if kind not in {"sql", "prefetch"}]
    if others or kinds.count("sql") != 1:
        return f"users come from the databases {', '.join(kinds) or 'that the settings do not name'}"
    return ""


NOTHING_GIVEN = GivenLimits()
